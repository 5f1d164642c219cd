"""Bulk API 2.0, queries, over a real socket."""

import csv
import io
from typing import Any

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, token_of
from tests.salesforce_standin.test_bulk_ingest import ended, worked_off


@pytest.fixture(scope="module")
def shared():
    running = Running("--bulk-milliseconds", "0")
    client = Client(running.base, token_of(running.base))
    owner = client.create("Account", Name='Say "hi"', NumberOfEmployees=7, AnnualRevenue=1.5)
    rows = "".join(f"Row {number:04},{owner},two\n" for number in range(1234))
    worked_off(client, f"LastName,AccountId,Title\n{rows}")
    client.http.close()
    yield running
    running.stop()


@pytest.fixture
def user(shared):
    made = Client(shared.base, token_of(shared.base))
    yield made
    made.http.close()


def found(client: Client, soql: str, operation: str = "query", **more: Any) -> str:
    reply = client.post("/jobs/query", {"operation": operation, "query": soql, **more})
    assert reply.status_code == 200, reply.text
    job_id: str = reply.json()["id"]
    done = ended(client, job_id, "query")
    assert done["state"] == "JobComplete", done
    return job_id


def test_a_job_and_its_result(user):
    reply = user.post(
        "/jobs/query",
        {
            "operation": "query",
            "query": "select id, name, account.name, account.numberofemployees, IsDeleted, CreatedDate, Fax, Birthdate"
            " from contact order by name limit 1",
        },
    )
    job = reply.json()
    assert list(job) == [
        "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode",
        "contentType", "apiVersion", "lineEnding", "columnDelimiter",
    ]  # fmt: skip
    assert (job["object"], job["state"], job["apiVersion"]) == ("Contact", "UploadComplete", 66.0)
    done = ended(user, job["id"], "query")
    assert (done["numberRecordsProcessed"], done["jobType"], done["isPkChunkingSupported"]) == (
        1,
        "V2Query",
        True,
    )
    reply = user.get(f"/jobs/query/{job['id']}/results", headers={"Accept": "text/csv"})
    assert reply.headers["Content-Type"] == "text/csv"
    assert (reply.headers["Sforce-Locator"], reply.headers["Sforce-NumberOfRecords"]) == ("null", "1")
    header, line = reply.text.splitlines()
    assert header == (
        '"Id","Name","Account.Name","Account.NumberOfEmployees","IsDeleted","CreatedDate","Fax","Birthdate"'
    )
    (row,) = csv.DictReader(io.StringIO(reply.text))
    assert line.startswith('"003')
    assert '"Say ""hi""","7","false"' in line
    assert row["CreatedDate"].endswith(".000Z")
    assert (row["Fax"], row["Birthdate"]) == ("", "")


def test_pages(user):
    job_id = found(user, "SELECT LastName FROM Contact ORDER BY LastName")
    names: list[str] = []
    counts: list[str] = []
    locator = ""
    while locator != "null":
        page = user.get(f"/jobs/query/{job_id}/results", params={"maxRecords": 500, "locator": locator})
        lines = page.text.splitlines()
        assert lines[0] == '"LastName"'
        names += lines[1:]
        counts.append(page.headers["Sforce-NumberOfRecords"])
        locator = page.headers["Sforce-Locator"]
    assert counts == ["500", "500", "234"]
    assert names == [f'"Row {number:04}"' for number in range(1234)]
    whole = user.get(f"/jobs/query/{job_id}/results")
    assert whole.text.splitlines()[1:] == names
    for wrong in ({"locator": "!"}, {"locator": "MTIzNTA"}):
        reply = user.get(f"/jobs/query/{job_id}/results", params=wrong)
        assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert user.get(f"/jobs/query/{job_id}/results?maxRecords=0").status_code == 400
    other = user.get(f"/services/data/v65.0/jobs/query/{job_id}/results")
    assert other.status_code == 409


def test_parallel_pages(user):
    job_id = found(user, "SELECT Id FROM Contact")
    pages = user.get(f"/jobs/query/{job_id}/resultPages").json()
    assert (pages["done"], pages["nextRecordsUrl"], len(pages["resultPages"])) == (True, None, 1)
    page = user.get(pages["resultPages"][0]["resultUrl"])
    assert page.headers["Sforce-NumberOfRecords"] == "1234"
    assert user.get(f"/services/data/v57.0/jobs/query/{job_id}/resultPages").status_code == 404


def test_delimiters_and_no_rows(user):
    job_id = found(
        user,
        "SELECT Name, Id FROM Account WHERE Name = 'none'",
        columnDelimiter="CARET",
        lineEnding="CRLF",
    )
    reply = user.get(f"/jobs/query/{job_id}/results")
    assert reply.text == '"Name"^"Id"\r\n'
    assert (reply.headers["Sforce-Locator"], reply.headers["Sforce-NumberOfRecords"]) == ("null", "0")


def test_deleted_rows_are_seen_by_query_all_alone(user):
    gone = user.create("Lead", LastName="Gone", Company="X")
    user.delete(f"/sobjects/Lead/{gone}")
    for operation, count in (("query", "0"), ("queryAll", "1")):
        job_id = found(user, "SELECT Id FROM Lead WHERE LastName = 'Gone'", operation)
        assert user.get(f"/jobs/query/{job_id}/results").headers["Sforce-NumberOfRecords"] == count


@pytest.mark.parametrize(
    ("soql", "code", "message"),
    [
        ("SELECT COUNT(Id) FROM Contact", "API_ERROR", "Aggregate Relationships not supported in Bulk Query"),
        (
            "SELECT Name FROM Account GROUP BY Name",
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk Query",
        ),
        (
            "SELECT BillingAddress FROM Account",
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "API_ERROR",
            "Nested queries not supported in Bulk Query",
        ),
        ("SELECT Id FROM Account LIMIT 1 OFFSET 1", "API_ERROR", "OFFSET clause not supported in Bulk Query"),
        (
            "SELECT FIELDS(ALL) FROM Account LIMIT 1",
            "API_ERROR",
            "FIELDS function not supported in Bulk Query",
        ),
        ("SELECT Nope FROM Account", "INVALID_FIELD", "No such column 'Nope' on entity 'Account'"),
        ("SELECT Id FROM Nope", "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ("SELECT", "MALFORMED_QUERY", "unexpected token"),
        ("", "API_ERROR", "Invalid value: '' supplied for property: 'query'"),
    ],
)
def test_queries_that_are_not_taken(user, soql, code, message):
    reply = user.post("/jobs/query", {"operation": "query", "query": soql})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, code)
    assert message in reply.json()[0]["message"]


def test_abort_delete_and_list(client):
    client.post("/standin/settings", {"bulk_milliseconds": 100_000})
    job = client.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Contact"}).json()
    early = client.get(f"/jobs/query/{job['id']}/results")
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert client.delete(f"/jobs/query/{job['id']}").status_code == 400
    aborted = client.patch(f"/jobs/query/{job['id']}", {"state": "Aborted"})
    assert (aborted.status_code, aborted.json()["state"]) == (200, "Aborted")
    assert [one["id"] for one in client.get("/jobs/query").json()["records"]] == [job["id"]]
    assert client.delete(f"/jobs/query/{job['id']}").status_code == 204
    assert client.get(f"/jobs/query/{job['id']}").status_code == 404
    assert client.get("/jobs/query").json()["records"] == []


def test_more_than_a_thousand_jobs_are_listed_in_pages(client):
    client.post("/standin/settings", {"bulk_milliseconds": 100_000})
    for _ in range(1001):
        client.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Contact"})
    first = client.get("/jobs/query").json()
    assert (first["done"], len(first["records"])) == (False, 1000)
    second = client.get(first["nextRecordsUrl"]).json()
    assert (second["done"], len(second["records"]), second["nextRecordsUrl"]) == (True, 1, None)
    assert client.get("/jobs/query?queryLocator=x").status_code == 400


def test_a_result_survives_a_restart_and_a_query_that_was_cut_off_runs_again(tmp_path):
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    client = Client(running.base, ADMIN_TOKEN)
    client.create("Contact", LastName="Kept")
    job_id = found(client, "SELECT LastName FROM Contact")
    client.post("/standin/settings", {"bulk_milliseconds": 100_000})
    later = client.post("/jobs/query", {"operation": "query", "query": "SELECT LastName FROM Contact"}).json()
    running.stop()
    running = Running("--data", str(tmp_path))
    client.base = running.base
    client.post("/standin/settings", {"bulk_milliseconds": 0})
    running.stop()
    running = Running("--data", str(tmp_path))
    client.base = running.base
    for one in (job_id, later["id"]):
        ended(client, one, "query")
        assert client.get(f"/jobs/query/{one}/results").text == '"LastName"\n"Kept"\n'
    client.http.close()
    running.stop()
