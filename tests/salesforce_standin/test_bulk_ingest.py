"""Bulk API 2.0, ingest, over a real socket: the life of a job, its CSV conventions and its three results."""

import csv
import gzip
import io
import time
from typing import Any

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, provide, token_of

CSV = {"Content-Type": "text/csv"}
# The words of the parser that Salesforce's own Java client (WSC's CSVReader) shares with the platform.
UNPARSED = "InvalidBatch : Failed to parse CSV."
STRAY_QUOTE = "Found unescaped quote. A value with quote should be within a quote"


@pytest.fixture(scope="module")
def shared():
    running = Running("--bulk-milliseconds", "0")
    client = Client(running.base, token_of(running.base))
    provide(client, "Contact")
    client.http.close()
    yield running
    running.stop()


@pytest.fixture
def user(shared):
    made = Client(shared.base, token_of(shared.base))
    yield made
    made.http.close()


def opened(client: Client, operation: str = "insert", **more: Any) -> dict[str, Any]:
    reply = client.post("/jobs/ingest", {"object": "Contact", "operation": operation} | more)
    assert reply.status_code == 200, reply.text
    document: dict[str, Any] = reply.json()
    return document


def upload(client: Client, job: dict[str, Any], content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    reply = client.call("PUT", f"/{job['contentUrl']}", data=data, headers=CSV)
    assert (reply.status_code, reply.content) == (201, b"")


def ended(client: Client, job_id: str, family: str = "ingest") -> dict[str, Any]:
    for _ in range(1000):
        found: dict[str, Any] = client.get(f"/jobs/{family}/{job_id}").json()
        if found["state"] in {"JobComplete", "Failed", "Aborted"}:
            return found
        time.sleep(0.01)
    raise AssertionError(job_id)


def worked_off(
    client: Client, content: str | bytes, operation: str = "insert", **more: Any
) -> dict[str, Any]:
    job = opened(client, operation, **more)
    upload(client, job, content)
    closed = client.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    assert (closed.status_code, closed.json()["state"]) == (200, "UploadComplete")
    return ended(client, job["id"])


def results(client: Client, job: dict[str, Any], name: str, **style: Any) -> list[dict[str, str]]:
    reply = client.get(f"/jobs/ingest/{job['id']}/{name}")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/csv")
    return list(csv.DictReader(io.StringIO(reply.content.decode(), newline=""), **style))


def test_the_life_of_a_job(user):
    job = opened(user)
    assert job == {
        "id": job["id"],
        "operation": "insert",
        "object": "Contact",
        "createdById": job["createdById"],
        "createdDate": job["createdDate"],
        "systemModstamp": job["createdDate"],
        "state": "Open",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
        "jobType": "V2Ingest",
        "contentUrl": f"services/data/v66.0/jobs/ingest/{job['id']}/batches",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert job["id"].startswith("750")
    rows = "".join(f"Life {number},{number}@life.example\n" for number in range(450))
    upload(user, job, f"LastName,Email\n{rows},no name\n")
    again = user.call("PUT", f"/{job['contentUrl']}", data=b"LastName\nX\n", headers=CSV)
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "BULK_API_ERROR")
    early = user.get(f"/jobs/ingest/{job['id']}/successfulResults")
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    early = user.delete(f"/jobs/ingest/{job['id']}")
    assert early.json() == [
        {
            "message": "Error encountered when deleting the job because the job is not terminated",
            "errorCode": "API_ERROR",
        }
    ]
    closed = user.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"}).json()
    assert (closed["state"], "contentUrl" in closed) == ("UploadComplete", False)
    done = ended(user, job["id"])
    assert (done["state"], done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (
        "JobComplete",
        451,
        1,
    )
    assert {"retries", "totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"} <= done.keys()
    good = results(user, done, "successfulResults")
    assert list(good[0]) == ["sf__Id", "sf__Created", "LastName", "Email"]
    assert (len(good), good[0]["sf__Created"], good[0]["LastName"]) == (450, "true", "Life 0")
    assert user.get(f"/sobjects/Contact/{good[0]['sf__Id']}").json()["Email"] == "0@life.example"
    assert results(user, done, "failedResults") == [
        {
            "sf__Id": "",
            "sf__Error": "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --;"
            "INVALID_EMAIL_ADDRESS:Email: invalid email address: no name:Email --",
            "LastName": "",
            "Email": "no name",
        }
    ]
    for name in ("unprocessedrecords", "unprocessedRecords"):
        assert user.get(f"/jobs/ingest/{job['id']}/{name}").text == '"LastName","Email"\n'
    late = user.patch(f"/jobs/ingest/{job['id']}", {"state": "Aborted"})
    assert late.json() == [
        {"message": "Aborting already Completed Job not allowed", "errorCode": "INVALIDJOBSTATE"}
    ]
    assert user.delete(f"/jobs/ingest/{job['id']}").status_code == 204
    gone = user.get(f"/jobs/ingest/{job['id']}")
    assert (gone.status_code, gone.json()) == (
        404,
        [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}],
    )


def test_conventions_of_the_cells(user):
    user.create("Account", Name="Parent")
    (made,) = results(
        user,
        worked_off(
            user,
            "lastname,Title,GPTWeb_Id__c,Is_DQL__c,Last_Visit__c,Score__c\n"
            '"Quote "" and, comma","two\nlines",cells-1,1,2026-01-02T03:04:05.000Z,1.25e1\n',
        ),
        "successfulResults",
    )
    record = user.get(f"/sobjects/Contact/{made['sf__Id']}").json()
    assert (record["LastName"], record["Title"]) == ('Quote " and, comma', "two\nlines")
    assert (record["Is_DQL__c"], record["Score__c"]) == (True, 12.5)
    assert record["Last_Visit__c"] == "2026-01-02T03:04:05.000+0000"
    assert made["Title"] == "two\nlines"
    done = worked_off(
        user,
        "GPTWeb_Id__c,LastName,Title,Score__c,ReportsTo.GPTWeb_Id__c\n"
        "cells-1,,#N/A,,cells-1\ncells-2,New,,,\ncells-3,Orphan,,,nobody\n",
        "upsert",
        externalIdFieldName="GPTWeb_Id__c",
    )
    assert done["externalIdFieldName"] == "GPTWeb_Id__c"
    good = results(user, done, "successfulResults")
    assert [(row["sf__Created"], row["GPTWeb_Id__c"]) for row in good] == [
        ("false", "cells-1"),
        ("true", "cells-2"),
    ]
    (bad,) = results(user, done, "failedResults")
    assert bad["sf__Error"].startswith("INVALID_FIELD:Foreign key external ID: nobody not found")
    record = user.get(f"/sobjects/Contact/{made['sf__Id']}").json()
    assert (record["Title"], record["Score__c"], record["LastName"]) == (None, 12.5, 'Quote " and, comma')
    assert record["ReportsToId"] == made["sf__Id"]
    worked_off(user, f"Id,ReportsTo.GPTWeb_Id__c\n{made['sf__Id']},#N/A\n", "update")
    assert user.get(f"/sobjects/Contact/{made['sf__Id']}").json()["ReportsToId"] is None


def test_a_key_twice_in_a_chunk_writes_neither_row(user):
    content = "GPTWeb_Id__c,LastName\ntwice,A\nonce,B\nTWICE,C\n,D\n"
    done = worked_off(user, content, "upsert", externalIdFieldName="GPTWeb_Id__c")
    assert [row["LastName"] for row in results(user, done, "successfulResults")] == ["B"]
    assert [row["sf__Error"] for row in results(user, done, "failedResults")] == [
        "DUPLICATE_VALUE:Duplicate external id specified: twice:GPTWeb_Id__c --",
        "DUPLICATE_VALUE:Duplicate external id specified: TWICE:GPTWeb_Id__c --",
        "MISSING_ARGUMENT:GPTWeb_Id__c not specified:--",
    ]


@pytest.mark.parametrize(
    ("delimiter", "sign"),
    [("BACKQUOTE", "`"), ("CARET", "^"), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")],
)
def test_other_delimiters_with_crlf(user, delimiter, sign):
    content = f"LastName{sign}Title\r\nA,B{sign}C\r\n"
    done = worked_off(user, content, columnDelimiter=delimiter, lineEnding="CRLF")
    (row,) = results(user, done, "successfulResults", delimiter=sign)
    assert (row["LastName"], row["Title"]) == ("A,B", "C")
    assert user.get(f"/jobs/ingest/{done['id']}/successfulResults").text.endswith('"\r\n')


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "LastName\r\nA\r\n",
            {},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
        ),
        (
            "LastName\nA\n",
            {"lineEnding": "CRLF"},
            "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is CRLF",
        ),
        ("LastName;Title\nA;B\n", {}, "InvalidBatch : Field name not found : LastName;Title"),
        ("LastName,Nope__c\nA,B\n", {}, "InvalidBatch : Field name not found : Nope__c"),
        ("\ufeffLastName\nA\n", {}, "InvalidBatch : Field name not found : \ufeffLastName"),
        ("LastName\nA,B\n", {}, "InvalidBatch : A row has more columns than the header"),
        ('LastName\nA\n"B\n', {}, f"{UNPARSED} EOF reached before closing an opened quote"),
        ('LastName\n"A"B\n', {}, f"{UNPARSED} {STRAY_QUOTE}"),
        ('\ufeff"LastName"\nA\n', {}, f"{UNPARSED} {STRAY_QUOTE}"),
        (
            "Id,LastName\nA,B\n",
            {"operation": "delete"},
            "InvalidBatch : The 'delete' batch must contain only ids",
        ),
        (b"LastName\n\xff\xfe\n", {}, "InvalidBatch : Failed to parse CSV: the data is not UTF-8"),
    ],
)
def test_content_that_fails_the_job(user, content, options, message):
    done = worked_off(user, content, **options)
    assert (done["state"], done["errorMessage"], done["numberRecordsProcessed"]) == ("Failed", message, 0)
    for name in ("successfulResults", "failedResults", "unprocessedrecords"):
        assert user.get(f"/jobs/ingest/{done['id']}/{name}").status_code == 200


@pytest.mark.parametrize(("version", "told"), [("58.0", {}), ("61.0", {"isPkChunkingSupported": False})])
def test_newer_versions_tell_that_an_ingest_job_is_not_chunked(user, version, told):
    """As Airbyte's source keeps it of v62 and others of v58: the key comes last."""
    done = worked_off(user, "LastName\nA\n")
    body = user.get(f"/services/data/v{version}/jobs/ingest/{done['id']}").json()
    assert list(body)[-1] == next(iter(told), "apexProcessingTime")
    assert {name: body[name] for name in told} == told


def test_rows_before_a_bad_one_stay_and_the_rest_is_unprocessed(user):
    rows = "".join(f"Half {number}\n" for number in range(400))
    done = worked_off(user, f"LastName\n{rows}bad,row\nlast\n")
    assert (done["state"], done["numberRecordsProcessed"]) == ("Failed", 400)
    assert len(user.rows("SELECT Id FROM Contact WHERE LastName LIKE 'Half %'")) == 400
    rest = user.get(f"/jobs/ingest/{done['id']}/unprocessedrecords").text
    assert rest == '"LastName"\n"bad","row"\n"last"\n'


def test_delete_and_hard_delete(user):
    made = [user.create("Contact", LastName=f"Gone {number}") for number in range(3)]
    done = worked_off(user, f"Id\n{made[0]}\n{made[0][:15]}\n003wrong\n", "delete")
    assert done["numberRecordsFailed"] == 2
    bad = results(user, done, "failedResults")
    assert [row["sf__Id"] for row in bad] == [made[0][:15], "003wrong"]
    errors = [row["sf__Error"] for row in bad]
    assert errors[0] == "ENTITY_IS_DELETED:entity is deleted:--"
    assert errors[1].startswith("MALFORMED_ID:Contact ID: id value of incorrect type: 003wrong")
    worked_off(user, f"Id\n{made[1]}\n", "hardDelete")
    everything = user.rows("SELECT Id FROM Contact WHERE LastName LIKE 'Gone %'", "/queryAll")
    assert [row["Id"] for row in everything] == [made[0], made[2]]
    anna = user.post("/standin/sessions", {"username": "anna.sales@example.com"}).json()["access_token"]
    sales = Client(user.base, anna)
    refused = sales.post("/jobs/ingest", {"object": "Contact", "operation": "hardDelete"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "FEATURENOTENABLED")
    sales.http.close()


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        ({"object": "Foo", "operation": "insert"}, "INVALIDJOB", "InvalidJob : Unable to find object: Foo"),
        (
            {"object": "Contact", "operation": "x"},
            "API_ERROR",
            "Invalid value: 'x' supplied for property: 'operation'",
        ),
        (
            {"object": "Contact", "operation": "insert", "contentType": "JSON"},
            "API_ERROR",
            "Invalid value: 'JSON' supplied for property: 'contentType'",
        ),
        (
            {"object": "Contact", "operation": "upsert"},
            "INVALIDJOB",
            "InvalidJob : Field name provided,  does not match an External ID for Contact",
        ),
        (
            {"object": "Contact", "operation": "upsert", "externalIdFieldName": "Title"},
            "INVALIDJOB",
            "InvalidJob : Field name provided, Title does not match an External ID for Contact",
        ),
    ],
)
def test_jobs_that_are_not_opened(user, document, code, message):
    reply = user.post("/jobs/ingest", document)
    assert (reply.status_code, reply.json()) == (400, [{"message": message, "errorCode": code}])


def test_a_multipart_request_closes_its_job_itself(user):
    files = {
        "job": (None, '{"object": "Contact", "operation": "insert"}', "application/json"),
        "content": ("content", "LastName\nMultipart\n", "text/csv"),
    }
    reply = user.call("POST", "/jobs/ingest/", files=files)
    assert (reply.status_code, reply.json()["state"]) == (200, "UploadComplete")
    assert ended(user, reply.json()["id"])["numberRecordsProcessed"] == 1
    broken = user.call("POST", "/jobs/ingest", files={"job": (None, "{}", "application/json")})
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "API_ERROR")


def test_an_open_job_is_aborted_and_jobs_are_listed(user):
    job = opened(user)
    aborted = user.patch(f"/jobs/ingest/{job['id']}", {"state": "Aborted"})
    assert (aborted.status_code, aborted.json()["state"]) == (200, "Aborted")
    assert user.get(f"/jobs/ingest/{job['id']}/failedResults").text == '"sf__Id","sf__Error"\n'
    listed = user.get("/jobs/ingest?jobType=V2Ingest").json()
    assert (listed["done"], listed["nextRecordsUrl"]) == (True, None)
    assert job["id"] in {one["id"] for one in listed["records"]}
    assert user.get("/jobs/ingest?jobType=Classic").json()["records"] == []
    wrong = user.patch(f"/jobs/ingest/{job['id']}", {"state": "x"})
    assert wrong.json()[0]["message"] == "Invalid value: 'x' supplied for property: 'state'"
    assert user.get("/services/data/v40.0/jobs/ingest").status_code == 404


def test_rules_and_field_security_hold_for_bulk_rows_too(client):
    client.post("/standin/settings", {"bulk_milliseconds": 0})
    rule = {"object": "Lead", "name": "Phone", "message": "A phone, please.", "when": {"Phone": ""}}
    assert client.post("/standin/validation-rules", rule).status_code == 201
    twins = {"object": "Contact", "name": "Twins", "fields": ["Email"], "allow_save": False}
    assert client.post("/standin/duplicate-rules", twins).status_code == 201
    done = worked_off(client, "LastName,Company\nA,B\n", object="Lead")
    (bad,) = results(client, done, "failedResults")
    assert bad["sf__Error"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION:A phone, please.:--"
    done = worked_off(client, "LastName,Email\nA,a@x.example\nB,a@x.example\n")
    (bad,) = results(client, done, "failedResults")
    assert (bad["LastName"], bad["sf__Error"].partition(":")[0]) == ("B", "DUPLICATES_DETECTED")
    token = client.post("/standin/sessions", {"username": "anna.sales@example.com"}).json()["access_token"]
    sales = Client(client.base, token)
    provide(client, "Contact")
    hidden = worked_off(sales, "LastName,GPTWeb_Id__c\nA,1\n")
    assert (hidden["state"], hidden["errorMessage"]) == (
        "Failed",
        "InvalidBatch : Field name not found : GPTWeb_Id__c",
    )
    sales.http.close()


def test_the_batches_of_a_day(client):
    assert client.post("/standin/settings", {"bulk_milliseconds": 0, "bulk_batches": 3}).status_code == 200
    worked_off(client, "LastName\n" + "x\n" * 10_001)
    assert client.get("/limits").json()["DailyBulkApiBatches"] == {"Max": 3, "Remaining": 1}
    open_job = opened(client)
    upload(client, open_job, "LastName\nx\n")
    refused = client.post("/jobs/ingest", {"object": "Contact", "operation": "insert"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "EXCEEDEDQUOTA")
    client.post("/standin/clock", {"advance": 2 * 86_400})
    token = token_of(client.base)
    later = Client(client.base, token)
    assert opened(later)["state"] == "Open"
    later.http.close()


@pytest.mark.parametrize("content", ["", "\n", "LastName\n"])
def test_a_job_without_rows_completes(user, content):
    done = worked_off(user, content)
    assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", 0)
    for which in ("successfulResults", "failedResults", "unprocessedrecords"):
        assert results(user, done, which) == []


def test_packed_data(user):
    job = opened(user)
    packed = gzip.compress(b"LastName\nPacked\n")
    reply = user.call(
        "PUT", f"/{job['contentUrl']}", data=packed, headers={**CSV, "Content-Encoding": "gzip"}
    )
    assert reply.status_code == 201
    user.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    assert ended(user, job["id"])["numberRecordsProcessed"] == 1


def test_pollers_see_every_state(client):
    assert client.post("/standin/settings", {"bulk_milliseconds": 600}).status_code == 200
    job = opened(client)
    seen = ["Open"]
    upload(client, job, "LastName\nSlow\n")
    client.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    while seen[-1] != "JobComplete":
        state = client.get(f"/jobs/ingest/{job['id']}").json()["state"]
        seen += [state] if state != seen[-1] else []
    assert seen == ["Open", "UploadComplete", "InProgress", "JobComplete"]


def test_a_restart_loses_no_job(tmp_path):
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "100000")
    client = Client(running.base, ADMIN_TOKEN)
    waiting, half, empty = opened(client), opened(client), opened(client)
    for job in (waiting, half):
        upload(client, job, f"LastName\n{job['id']}\n")
    client.patch(f"/jobs/ingest/{waiting['id']}", {"state": "UploadComplete"})
    running.stop()
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    client.base = running.base
    done = ended(client, waiting["id"])
    assert (done["state"], done["numberRecordsProcessed"]) == ("JobComplete", 1)
    assert client.get(f"/jobs/ingest/{half['id']}").json()["state"] == "Open"
    client.patch(f"/jobs/ingest/{half['id']}", {"state": "UploadComplete"})
    assert ended(client, half["id"])["numberRecordsProcessed"] == 1
    assert len(results(client, half, "successfulResults")) == 1
    running.stop()
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    client.base = running.base
    assert len(results(client, half, "successfulResults")) == 1
    upload(client, empty, "LastName\nLate\n")
    assert opened(client)["id"] > empty["id"]
    client.http.close()
    running.stop()
