"""Bulk jobs that go wrong on demand, and what a kill leaves of them and of query cursors."""

import signal
import time
from typing import Any

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running, token_of
from tests.salesforce_standin.test_bulk_ingest import ended, opened, results, upload, worked_off
from tests.salesforce_standin.test_faults_and_storage import Process

ROWS = "LastName,AccountId\n" + "".join(f"Row {number},\n" for number in range(500))


@pytest.fixture
def quick(standin, client):
    client.post("/standin/settings", {"bulk_milliseconds": 0})
    return client


def rule(client: Client, **values: Any) -> None:
    reply = client.post("/standin/faults", values)
    assert reply.status_code == 201, reply.text


def hits(client: Client) -> list[int]:
    return [one["hits"] for one in client.get("/standin/faults").json()["faults"]]


def unprocessed(client: Client, job: dict[str, Any]) -> int:
    return len(client.get(f"/jobs/ingest/{job['id']}/unprocessedrecords").text.splitlines()) - 1


def test_a_job_fails_in_the_middle(quick):
    rule(quick, action="fail_job", path="/Contact/insert", rows=250, reply="InternalServerError : Try again")
    done = worked_off(quick, ROWS)
    assert (done["state"], done["errorMessage"]) == ("Failed", "InternalServerError : Try again")
    assert (done["numberRecordsProcessed"], unprocessed(quick, done)) == (250, 250)
    assert len(results(quick, done, "successfulResults")) == 250
    assert len(quick.rows("SELECT Id FROM Contact")) == 250
    assert worked_off(quick, ROWS)["state"] == "JobComplete"


def test_a_job_is_aborted_by_somebody_else(quick):
    rule(quick, action="abort_job", path="V2Ingest", rows=100)
    done = worked_off(quick, ROWS)
    assert (done["state"], done["numberRecordsProcessed"], unprocessed(quick, done)) == ("Aborted", 100, 400)


def test_a_job_completes_with_rows_that_nobody_came_to(quick):
    rule(quick, action="unprocessed_rows", rows=499)
    done = worked_off(quick, ROWS)
    assert (done["state"], done["numberRecordsProcessed"], unprocessed(quick, done)) == (
        "JobComplete",
        499,
        1,
    )


def test_a_job_stalls_for_a_while_or_until_it_is_aborted(quick):
    rule(quick, action="stall_job", rows=200)
    job = opened(quick)
    upload(quick, job, ROWS)
    quick.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    found = quick.get(f"/jobs/ingest/{job['id']}").json()
    while not found["numberRecordsProcessed"]:
        found = quick.get(f"/jobs/ingest/{job['id']}").json()
    assert (found["state"], found["numberRecordsProcessed"]) == ("InProgress", 200)
    quick.patch(f"/jobs/ingest/{job['id']}", {"state": "Aborted"})
    assert unprocessed(quick, job) == 300
    rule(quick, action="stall_job", seconds=0.05)
    assert worked_off(quick, ROWS)["state"] == "JobComplete"


def test_rows_that_are_locked(quick):
    account = quick.create("Account", Name="A")
    rule(quick, action="lock_rows", path="/Contact/", body='"Row [12]"', count=5)
    rule(quick, action="lock_rows", body=account)
    done = worked_off(quick, f"{ROWS}Child,{account}\n")
    bad = results(quick, done, "failedResults")
    locked = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: "
    assert [(row["LastName"], row["sf__Error"]) for row in bad] == [
        ("Row 1", f"{locked}<unknown>:--"),
        ("Row 2", f"{locked}<unknown>:--"),
        ("Child", f"{locked}{account}:--"),
    ]
    assert hits(quick) == [2, 1]
    assert quick.get("/sobjects/Contact/describe").status_code == 200  # requests are not hit


def test_a_query_job_fails(quick):
    rule(quick, action="fail_job", path="V2Query")
    job = quick.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Contact"}).json()
    done = ended(quick, job["id"], "query")
    assert (done["state"], done["errorMessage"]) == (
        "Failed",
        "InternalServerError : An unexpected error occurred",
    )


def test_a_kill_in_the_middle_of_a_job_writes_no_row_twice(tmp_path):
    first = Process(tmp_path)
    client = Client(first.base, token_of(first.base))
    rule(client, action="stall_job", rows=600)
    job = opened(client)
    upload(client, job, "LastName\n" + "".join(f"Kill {number}\n" for number in range(1000)))
    client.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    while client.get(f"/jobs/ingest/{job['id']}").json().get("numberRecordsProcessed") != 600:
        time.sleep(0.01)
    first.end(signal.SIGKILL)
    (outcomes,) = (tmp_path / "bulk").glob("*.outcomes")
    with outcomes.open("ab") as file:  # a chunk whose commit never came
        file.write(b'["003x",true,[]]\n')
    second = Process(tmp_path)
    client.base = second.base
    assert ended(client, job["id"])["numberRecordsProcessed"] == 1000
    names = [row["LastName"] for row in results(client, job, "successfulResults")]
    assert names == [f"Kill {number}" for number in range(1000)]
    assert client.query("SELECT COUNT() FROM Contact").json()["totalSize"] == 1000
    client.http.close()
    second.end()


def test_a_query_goes_on_after_a_restart(tmp_path):
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    client = Client(running.base, ADMIN_TOKEN)
    worked_off(client, "LastName\n" + "".join(f"Row {number:04}\n" for number in range(450)))
    small = {"Sforce-Query-Options": "batchSize=200"}
    first = client.query("SELECT Id, LastName FROM Contact ORDER BY LastName", headers=small).json()
    purged = client.query("SELECT Id FROM Contact WHERE LastName = 'Row 0201'").json()["records"][0]["Id"]
    client.post("/standin/records/purge", {"ids": [purged]})
    running.stop()
    running = Running("--data", str(tmp_path))
    client.base = running.base
    again = client.query("SELECT Id FROM Contact", headers=small).json()
    assert again["nextRecordsUrl"] != first["nextRecordsUrl"]
    second = client.get(first["nextRecordsUrl"]).json()
    assert (second["totalSize"], second["done"], len(second["records"])) == (450, False, 199)
    third = client.get(second["nextRecordsUrl"]).json()
    names = [row["LastName"] for page in (first, second, third) for row in page["records"]]
    assert names == [f"Row {number:04}" for number in range(450) if number != 201]
    client.post("/standin/clock", {"advance": 3 * 86_400})
    late = client.get(first["nextRecordsUrl"])
    assert (late.status_code, late.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    client.http.close()
    running.stop()
