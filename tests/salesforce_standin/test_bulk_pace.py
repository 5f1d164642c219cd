"""The org's pace for ingest jobs: rows a second of all batches together, while everything else is answered."""

from typing import Any

import pytest

from tests.salesforce_standin.running import ADMIN_TOKEN, Client, Running
from tests.salesforce_standin.test_bulk_classic import Bulk, value
from tests.salesforce_standin.test_bulk_ingest import ended, opened, results, upload, worked_off

ROWS = "LastName\n" + "".join(f"Row {number}\n" for number in range(500))


@pytest.fixture
def slow(client):
    """An org that has the next 200 rows written 200 seconds after the first."""
    client.post("/standin/settings", {"bulk_milliseconds": 0, "bulk_rows_per_second": 1})
    return client


def begun(client: Client, content: str) -> dict[str, Any]:
    job = opened(client)
    upload(client, job, content)
    client.patch(f"/jobs/ingest/{job['id']}", {"state": "UploadComplete"})
    return job


def at_work(client: Client, job: dict[str, Any], processed: int) -> dict[str, Any]:
    """Return what the job says once it has so many rows, or more, behind it."""
    while True:
        found: dict[str, Any] = client.get(f"/jobs/ingest/{job['id']}").json()
        if found["state"] != "UploadComplete" and found["numberRecordsProcessed"] >= processed:
            return found


def test_a_job_grows_while_the_org_answers_and_the_next_job_waits(slow):
    job = begun(slow, ROWS)
    found = at_work(slow, job, 1)
    assert (found["state"], found["numberRecordsProcessed"]) == ("InProgress", 200)
    assert slow.query("SELECT COUNT() FROM Contact").json()["totalSize"] == 200
    other = begun(slow, "LastName\nOther\n")
    found = at_work(slow, other, 0)
    assert (found["state"], found["numberRecordsProcessed"]) == ("InProgress", 0)
    assert slow.get(f"/jobs/ingest/{job['id']}").json()["numberRecordsProcessed"] == 200
    slow.post("/standin/settings", {"bulk_rows_per_second": 0})
    assert ended(slow, job["id"])["numberRecordsProcessed"] == 500
    assert ended(slow, other["id"])["numberRecordsProcessed"] == 1


def test_a_job_ends_when_the_time_of_its_last_row_is_over(slow):
    job = begun(slow, "LastName\nA\nB\nC\n")
    found = at_work(slow, job, 3)
    assert (found["state"], found["numberRecordsProcessed"]) == ("InProgress", 3)
    slow.post("/standin/settings", {"bulk_rows_per_second": 0})
    assert ended(slow, job["id"])["state"] == "JobComplete"


def test_the_org_tells_the_time_that_the_pace_took(slow):
    slow.post("/standin/settings", {"bulk_rows_per_second": 1000})
    assert worked_off(slow, ROWS)["totalProcessingTime"] >= 500


def test_a_job_that_rests_can_be_aborted(slow):
    job = begun(slow, ROWS)
    at_work(slow, job, 1)
    slow.patch(f"/jobs/ingest/{job['id']}", {"state": "Aborted"})
    done = ended(slow, job["id"])
    assert (done["state"], done["numberRecordsProcessed"]) == ("Aborted", 200)
    assert len(results(slow, job, "unprocessedrecords")) == 300


def test_queries_have_no_pace(slow):
    at_work(slow, begun(slow, ROWS), 1)
    job = slow.post("/jobs/query", {"operation": "query", "query": "SELECT Id FROM Contact"}).json()
    assert ended(slow, job["id"], "query")["numberRecordsProcessed"] == 200


def test_batches_of_bulk_api_1_keep_the_pace_too(slow):
    bulk = Bulk(slow.base, slow.token)
    job = bulk.open("insert", "Contact", "CSV")
    batch = bulk.add(job, ROWS, "CSV")
    path = f"job/{job}/batch/{batch}"
    while value(bulk.call("GET", path), "numberRecordsProcessed") == "0":
        pass
    found = bulk.call("GET", path)
    assert (value(found, "state"), value(found, "numberRecordsProcessed")) == ("InProgress", "200")
    slow.post("/standin/settings", {"bulk_rows_per_second": 0})
    while value(found, "state") == "InProgress":
        found = bulk.call("GET", path)
    assert (value(found, "state"), value(found, "numberRecordsProcessed")) == ("Completed", "500")


def test_a_restart_in_the_middle_goes_on(tmp_path):
    paced = ("--bulk-milliseconds", "0", "--bulk-rows-per-second", "1")
    running = Running("--data", str(tmp_path), *paced)
    client = Client(running.base, ADMIN_TOKEN)
    job = begun(client, ROWS)
    at_work(client, job, 1)
    running.stop()
    running = Running("--data", str(tmp_path), *paced)
    client.base = running.base
    found = at_work(client, job, 201)
    assert (found["state"], found["numberRecordsProcessed"]) == ("InProgress", 400)
    running.stop()
    running = Running("--data", str(tmp_path), "--bulk-milliseconds", "0")
    client.base = running.base
    assert ended(client, job["id"])["numberRecordsProcessed"] == 500
    names = [row["LastName"] for row in results(client, job, "successfulResults")]
    assert names == [f"Row {number}" for number in range(500)]
    client.http.close()
    running.stop()


def test_a_pace_is_a_number_of_rows(client):
    for wrong in (-1, 0.5, "fast"):
        refused = client.post("/standin/settings", {"bulk_rows_per_second": wrong})
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
    assert client.get("/standin/settings").json()["bulk_rows_per_second"] == 0
