"""Bulk API 1.0 over a real socket, in JSON, CSV and XML."""

import time
from typing import Any

import pytest
import requests

from salesforce_standin import xml_text
from salesforce_standin.clock import epoch_of
from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, provide, token_of

SPACE = "http://www.force.com/2009/06/asyncapi/dataload"
TYPES = {
    "JSON": "application/json",
    "XML": "application/xml; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8",
}


@pytest.fixture(scope="module")
def shared():
    running = Running("--bulk-milliseconds", "0")
    client = Client(running.base, token_of(running.base))
    provide(client, "Contact")
    client.http.close()
    yield running
    running.stop()


@pytest.fixture
def bulk(shared):
    return Bulk(shared.base, token_of(shared.base))


class Bulk:
    """A client that speaks XML about jobs, unless told otherwise."""

    def __init__(self, base: str, token: str) -> None:
        self.base = base
        self.token = token

    def call(self, method: str, path: str, content: str = "", kind: str = TYPES["XML"], **more: str) -> Any:
        headers = {"X-SFDC-Session": self.token, "Content-Type": kind, **more}
        address = f"{self.base}/services/async/66.0/{path}"
        return requests.request(method, address, data=content.encode(), headers=headers, timeout=10)

    def open(self, operation: str, kind: str, content_type: str, key: str = "", **more: str) -> str:
        named = f"<externalIdFieldName>{key}</externalIdFieldName>" if key else ""
        job = (
            f'<jobInfo xmlns="{SPACE}"><operation>{operation}</operation><object>{kind}</object>{named}'
            f"<concurrencyMode>Parallel</concurrencyMode><contentType>{content_type}</contentType></jobInfo>"
        )
        reply = self.call("POST", "job", job, **more)
        assert reply.status_code == 201, reply.text
        return value(reply, "id")

    def add(self, job: str, content: str, content_type: str) -> str:
        reply = self.call("POST", f"job/{job}/batch", content, TYPES[content_type])
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"]) if content_type == "JSON" else value(reply, "id")

    def done(self, job: str, batch: str) -> dict[str, str]:
        for _ in range(1000):
            root = read(self.call("GET", f"job/{job}/batch/{batch}"))
            info = {xml_text.local(one.tag): one.text or "" for one in root}
            if info["state"] in {"Completed", "Failed", "NotProcessed"}:
                return info
            time.sleep(0.01)
        raise AssertionError(batch)


def read(reply: requests.Response) -> Any:
    assert reply.headers["Content-Type"] == "application/xml", reply.headers
    root = xml_text.read(reply.content)
    assert root is not None
    assert root.tag.startswith(f"{{{SPACE}}}")
    return root


def value(reply: requests.Response, name: str) -> str:
    return xml_text.text(read(reply), name)


def test_csv_rows_with_an_xml_job(bulk):
    job = bulk.open("upsert", "Contact", "CSV", "GPTWeb_Id__c")
    batch = bulk.add(job, "GPTWeb_Id__c,LastName,Title\nc1,One,x\nc2,,\n", "CSV")
    info = bulk.done(job, batch)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (
        "Completed",
        "2",
        "1",
    )
    assert (info["jobId"], info["createdDate"][-1]) == (job, "Z")
    result = bulk.call("GET", f"job/{job}/batch/{batch}/result")
    lines = result.text.splitlines()
    assert lines[0] == '"Id","Success","Created","Error"'
    assert lines[1].endswith(',"true","true",""')
    assert lines[2] == (
        '"","false","false","REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"'
    )
    again = bulk.add(job, "GPTWeb_Id__c,Title,LastName\nc1,#N/A,\n", "CSV")
    bulk.done(job, again)
    assert (
        bulk.call("GET", f"job/{job}/batch/{again}/result").text.splitlines()[1].endswith('"true","false",""')
    )
    assert bulk.call("GET", f"job/{job}/batch/{again}/request").text.startswith("GPTWeb_Id__c,Title")
    listed = read(bulk.call("GET", f"job/{job}/batch"))
    assert [xml_text.text(one, "id") for one in listed] == [batch, again]
    closed = bulk.call("POST", f"job/{job}", f'<jobInfo xmlns="{SPACE}"><state>Closed</state></jobInfo>')
    assert (value(closed, "state"), value(closed, "numberBatchesCompleted")) == ("Closed", "2")
    late = bulk.call("POST", f"job/{job}/batch", "Id\n", TYPES["CSV"])
    assert (late.status_code, value(late, "exceptionCode")) == (400, "InvalidJobState")


def test_the_recorded_form_of_xml_and_json(bulk):
    reply = bulk.call(
        "POST",
        "job",
        f'<jobInfo xmlns="{SPACE}"><operation>insert</operation><object>Contact</object></jobInfo>',
    )
    job = value(reply, "id")
    stamp = value(reply, "createdDate")
    assert reply.headers["Location"] == f"/services/async/66.0/job/{job}"
    assert reply.text == (
        '<?xml version="1.0" encoding="UTF-8"?><jobInfo\n   xmlns="http://www.force.com/2009/06/asyncapi/dataload">\n'
        f" <id>{job}</id>\n <operation>insert</operation>\n <object>Contact</object>\n"
        f" <createdById>{value(reply, 'createdById')}</createdById>\n <createdDate>{stamp}</createdDate>\n"
        f" <systemModstamp>{stamp}</systemModstamp>\n <state>Open</state>\n"
        " <concurrencyMode>Parallel</concurrencyMode>\n <contentType>XML</contentType>\n"
        " <numberBatchesQueued>0</numberBatchesQueued>\n <numberBatchesInProgress>0</numberBatchesInProgress>\n"
        " <numberBatchesCompleted>0</numberBatchesCompleted>\n <numberBatchesFailed>0</numberBatchesFailed>\n"
        " <numberBatchesTotal>0</numberBatchesTotal>\n <numberRecordsProcessed>0</numberRecordsProcessed>\n"
        " <numberRetries>0</numberRetries>\n <apiVersion>66.0</apiVersion>\n"
        " <numberRecordsFailed>0</numberRecordsFailed>\n <totalProcessingTime>0</totalProcessingTime>\n"
        " <apiActiveProcessingTime>0</apiActiveProcessingTime>\n <apexProcessingTime>0</apexProcessingTime>\n</jobInfo>"
    )
    none = bulk.call("GET", f"job/{job}/batch")
    assert none.text == f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList\n   xmlns="{SPACE}" />'
    query = bulk.open("query", "Contact", "JSON")
    reply = bulk.call("POST", f"job/{query}/batch", "SELECT Id FROM Contact", TYPES["JSON"])
    batch = reply.json()["id"]
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Location"] == f"/services/async/66.0/job/{query}/batch/{batch}"
    assert list(reply.json()) == [
        "apexProcessingTime", "apiActiveProcessingTime", "createdDate", "id", "jobId", "numberRecordsFailed",
        "numberRecordsProcessed", "state", "stateMessage", "systemModstamp", "totalProcessingTime",
    ]  # fmt: skip
    while bulk.call("GET", f"job/{query}/batch/{batch}").json()["state"] != "Completed":
        time.sleep(0.01)
    headers = {"X-SFDC-Session": bulk.token}
    twice = f"{bulk.base}//services/async/66.0/job/{query}/batch/{batch}/result"
    (result_id,) = requests.get(twice, headers=headers, timeout=10).json()
    assert (result_id[:3], len(result_id)) == ("752", 15)
    found = requests.get(f"{twice}/{result_id}?format=json", headers=headers, timeout=10)
    assert (found.headers["Content-Type"], type(found.json())) == ("application/json", list)


def test_xml_rows(bulk):
    job = bulk.open("insert", "Contact", "XML")
    rows = (
        f'<sObjects xmlns="{SPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><sObject><LastName>A &amp; B'
        '</LastName><Title xsi:nil="true"/><Email/></sObject><sObject><LastName>C</LastName><ReportsTo><sObject>'
        "<GPTWeb_Id__c>nobody</GPTWeb_Id__c></sObject></ReportsTo></sObject></sObjects>"
    )
    batch = bulk.add(job, rows, "XML")
    assert bulk.done(job, batch)["numberRecordsFailed"] == "1"
    results = read(bulk.call("GET", f"job/{job}/batch/{batch}/result"))
    good, bad = results
    assert (xml_text.text(good, "success"), xml_text.text(good, "created")) == ("true", "true")
    error = xml_text.child(bad, "errors")
    assert error is not None
    assert xml_text.text(error, "statusCode") == "INVALID_FIELD"
    query = bulk.open("query", "Contact", "XML")
    found = bulk.add(
        query,
        "SELECT Id, LastName, Title, CreatedDate, Account.Name FROM Contact WHERE LastName = 'A & B'",
        "XML",
    )
    bulk.done(query, found)
    result_id = value(bulk.call("GET", f"job/{query}/batch/{found}/result"), "result")
    (record,) = read(bulk.call("GET", f"job/{query}/batch/{found}/result/{result_id}"))
    assert xml_text.type_of(record) == "sObject"
    assert (xml_text.text(record, "type"), xml_text.text(record, "LastName")) == ("Contact", "A & B")
    assert xml_text.text(record, "CreatedDate").endswith("Z")


def test_json_results_are_spelled_as_recorded(bulk):
    """CumulusCI's cassette of a bulk query: pretty without being asked, TYPEOF nests, moments in milliseconds."""
    client = Client(bulk.base, ADMIN_TOKEN)
    lead = client.create("Lead", LastName="Recorded", Company="C")
    me = client.get("/services/oauth2/userinfo").json()["user_id"]
    created = client.rows(f"SELECT CreatedDate FROM Lead WHERE Id = '{lead}'")[0]["CreatedDate"]
    job = bulk.open("query", "Lead", "JSON")
    soql = f"SELECT TYPEOF Owner WHEN User THEN Id ELSE Name END, CreatedDate FROM Lead WHERE Id = '{lead}'"
    batch = bulk.add(job, soql, "JSON")
    while bulk.call("GET", f"job/{job}/batch/{batch}").json()["state"] in {"Queued", "InProgress"}:
        pass
    (result,) = bulk.call("GET", f"job/{job}/batch/{batch}/result").json()
    root = "/services/data/v66.0/sobjects"
    assert bulk.call("GET", f"job/{job}/batch/{batch}/result/{result}").text == (
        f'[ {{\n  "attributes" : {{\n    "type" : "Lead",\n    "url" : "{root}/Lead/{lead}"\n  }},\n'
        f'  "Owner" : {{\n    "attributes" : {{\n      "type" : "User",\n      "url" : "{root}/User/{me}"\n    }},\n'
        f'    "Id" : "{me}"\n  }},\n  "CreatedDate" : {int(epoch_of(created) * 1000)}\n}} ]'
    )
    client.delete(f"/sobjects/Lead/{lead}")
    client.http.close()


def test_csv_query_with_a_json_job(bulk):
    content = '{"operation": "query", "object": "Account", "contentType": "CSV"}'
    reply = bulk.call("POST", "job", content, TYPES["JSON"])
    job = reply.json()["id"]
    assert (reply.status_code, reply.json()["contentType"]) == (201, "CSV")
    batch = bulk.add(job, "SELECT Id FROM Account WHERE Name = 'none'", "CSV")
    bulk.done(job, batch)
    result_id = value(bulk.call("GET", f"job/{job}/batch/{batch}/result", kind=TYPES["JSON"]), "result")
    found = bulk.call("GET", f"job/{job}/batch/{batch}/result/{result_id}")
    assert found.text == "Records not found for this query"
    closed = bulk.call("POST", f"job/{job}", '{"state": "Closed"}', TYPES["JSON"])
    assert closed.json()["state"] == "Closed"


def test_pk_chunking(bulk):
    job = bulk.open("insert", "Lead", "CSV")
    rows = "".join(f"Lead {number},Chunk\n" for number in range(25))
    bulk.done(job, bulk.add(job, f"LastName,Company\n{rows}", "CSV"))
    query = bulk.open("query", "Lead", "CSV", **{"Sforce-Enable-PKChunking": "chunkSize=10"})
    first = bulk.add(query, "SELECT LastName FROM Lead", "CSV")
    assert bulk.done(query, first)["state"] == "NotProcessed"
    batches = [xml_text.text(one, "id") for one in read(bulk.call("GET", f"job/{query}/batch"))]
    assert len(batches) == 4
    names: list[str] = []
    for batch in batches[1:]:
        bulk.done(query, batch)
        result_id = value(bulk.call("GET", f"job/{query}/batch/{batch}/result"), "result")
        names += bulk.call("GET", f"job/{query}/batch/{batch}/result/{result_id}").text.splitlines()[1:]
    assert sorted(names) == sorted(f'"Lead {number}"' for number in range(25))


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        ("<a", "XML", "InvalidXML"),
        ("{", "JSON", "InvalidJob"),
        ('{"operation": "INSERT", "object": "Contact"}', "JSON", "InvalidJob"),
        ('{"operation": "insert", "object": "Foo"}', "JSON", "InvalidJob"),
        ('{"operation": "insert", "object": "Contact", "contentType": "ZIP_CSV"}', "JSON", "InvalidJob"),
        ('{"operation": "upsert", "object": "Contact", "contentType": "CSV"}', "JSON", "InvalidJob"),
    ],
)
def test_jobs_that_are_not_opened(bulk, content, kind, code):
    reply = bulk.call("POST", "job", content, TYPES[kind])
    said = reply.json()["exceptionCode"] if kind == "JSON" else value(reply, "exceptionCode")
    assert (reply.status_code, said) == (400, code)


def test_batches_that_fail(bulk):
    for content_type, content, message in (
        ("JSON", "{", "InvalidBatch : Failed to parse JSON"),
        ("JSON", '{"a": 1}', "InvalidBatch : Records not found"),
        ("XML", "<a", "InvalidBatch : Failed to parse XML"),
        ("XML", "<a/>", "InvalidBatch : Records not found"),
        ("CSV", "Nope\n1\n", "InvalidBatch : Field name not found : Nope"),
    ):
        job = bulk.open("insert", "Contact", content_type)
        batch = bulk.add(job, content, content_type)
        if content_type == "JSON":
            reply = bulk.call("GET", f"job/{job}/batch/{batch}").json()
            while reply["state"] in {"Queued", "InProgress"}:
                reply = bulk.call("GET", f"job/{job}/batch/{batch}").json()
        else:
            reply = bulk.done(job, batch)
        assert (reply["state"], reply["stateMessage"][: len(message)]) == ("Failed", message)
    job = bulk.open("query", "Contact", "CSV")
    batch = bulk.done(job, bulk.add(job, "SELECT Id FROM Lead", "CSV"))
    assert batch["stateMessage"] == (
        "InvalidBatch : Failed to process query: INVALID_TYPE_FOR_OPERATION: The root entity of the requested query"
        " (Lead) does not match the entity of the requested Bulk API Job (Contact)."
    )


def test_a_batch_of_nothing_is_refused(bulk):
    """github.com/jsforce/jsforce/issues/545."""
    job = bulk.open("query", "Contact", "JSON")
    reply = bulk.call("POST", f"job/{job}/batch", "", TYPES["JSON"])
    assert (reply.status_code, reply.json()) == (400, {
        "exceptionCode": "ClientInputError", "exceptionMessage": "Unable to find any data to create batch",
    })  # fmt: skip


def test_addresses_and_sessions(bulk):
    reply = bulk.call("GET", "job/7505g0000000000AAA")
    assert (reply.status_code, value(reply, "exceptionCode")) == (400, "InvalidJob")
    reply = bulk.call("GET", "nowhere")
    assert (reply.status_code, value(reply, "exceptionCode")) == (400, "InvalidUrl")
    bulk.token = "dead"
    reply = bulk.call("GET", "job/7505g0000000000AAA", kind=TYPES["JSON"])
    assert (reply.status_code, reply.json()["exceptionCode"]) == (400, "InvalidSessionId")


def test_an_aborted_job_leaves_its_batches(tmp_path):
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "100000")
    bulk = Bulk(running.base, ADMIN_TOKEN)
    job = bulk.open("insert", "Contact", "CSV")
    batch = bulk.add(job, "LastName\nNever\n", "CSV")
    bulk.call("POST", f"job/{job}", f'<jobInfo xmlns="{SPACE}"><state>Aborted</state></jobInfo>')
    kept = bulk.open("insert", "Contact", "CSV")
    waiting = bulk.add(kept, "LastName\nAfter the restart\n", "CSV")
    running.stop()
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    bulk.base = running.base
    client = Client(running.base, ADMIN_TOKEN)
    assert bulk.done(job, batch)["state"] == "NotProcessed"
    assert bulk.done(kept, waiting)["state"] == "Completed"
    assert [row["LastName"] for row in client.rows("SELECT LastName FROM Contact")] == ["After the restart"]
    client.http.close()
    running.stop()
