"""A process that reads by a query job is killed: the next try goes on with that job, another run asks anew, and all is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from crm_sync.ledger.database import Database
from tests.crm_sync.engine.cases.office import Office
from tests.crm_sync.engine.cases.workers import Workers, working
from tests.crm_sync.stores.standin import StandinOrg, standin_org

MANY = 4_300
SIZES = {"page_size": 200, "result_size": 1_500}
KILLED_AT = {
    "made, and not kept": "answered 2",
    "kept, and at work": "call 3",
    "ended": "part 1",
    "a part has come": "part 2",
    "some rows are stored": "part 3",
}


@pytest.fixture(scope="module")
def full_org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        org.people.creates_many("contact", MANY)
        org.people.ask("POST", "/standin/settings", json={"bulk_milliseconds": 1})
        yield org


@pytest.fixture
def office(full_org: StandinOrg, database_url: str) -> Iterator[Office]:
    """A connection that only reads, so that the org stays as it is."""
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        office = Office(full_org, database_url, database, client)
        office.connect(direction="pull", approve_creations_above=None)
        full_org.people.forgets()
        yield office
    full_org.people.mends()


@pytest.fixture
def workers(office: Office, tmp_path: Path) -> Iterator[Workers]:
    with working(office, tmp_path) as workers:
        yield workers


def jobs_made(office: Office) -> int:
    return sum(
        call["method"] == "POST" and call["path"].endswith("/jobs/query") for call in office.people.calls()
    )


def killed(office: Office, workers: Workers, at: str) -> int:
    """A run whose process is killed in its pull."""
    run_id = office.open(objects=("contact",))
    (end,) = workers.start(workers.job(run_id, "pull", at=at, store=SIZES))
    assert end["killed"], workers.said()
    assert position(office) is None, "not all was read"
    return run_id


def position(office: Office) -> Any:
    return office.one("select position from crm_sync.cursor where object = 'contact'")


def assert_all_here_once(office: Office, edited: str) -> None:
    office.run()
    assert office.one("select count(*) from gptweb.contacts") == MANY
    assert office.one("select count(distinct their_id) from crm_sync.link where state = 'live'") == MANY
    assert (
        office.value(office.one("select our_id from crm_sync.link where their_id = %s", edited), "title")
        == edited
    )
    report = office.run()
    assert (report.state, report.counts["planned"]) == ("succeeded", 0)


def edits(office: Office) -> str:
    """Somebody there edits, after the job was made, a record of its last rows."""
    (last,) = office.query("SELECT Id FROM Contact ORDER BY Id DESC LIMIT 1")
    office.people.edits(last["Id"], "title", last["Id"])
    return str(last["Id"])


@pytest.mark.parametrize("at", KILLED_AT.values(), ids=KILLED_AT.keys())
def test_the_cleared_task_goes_on_with_its_job(office: Office, workers: Workers, at: str) -> None:
    run_id = killed(office, workers, at)
    edited = edits(office)
    workers.start(workers.job(run_id, "pull", store=SIZES))
    assert jobs_made(office) == (2 if at == KILLED_AT["made, and not kept"] else 1)
    assert position(office) is not None, workers.said()
    assert office.one("select count(*) from crm_sync.query_job") == 0
    office.stage(run_id, "plan", "push_ours")
    office.settle(run_id)
    assert_all_here_once(office, edited)


def test_another_run_reads_anew(office: Office, workers: Workers) -> None:
    run_id = killed(office, workers, KILLED_AT["some rows are stored"])
    assert office.one("select count(*) from crm_sync.stray") == 2_000
    edited = edits(office)
    office.settle(run_id, "pull")
    workers.start(workers.job(office.open(objects=("contact",)), "pull", store=SIZES))
    assert jobs_made(office) == 2
    assert position(office) is not None, workers.said()
    assert_all_here_once(office, edited)


def test_rows_are_counted_also_by_who_goes_on(office: Office, workers: Workers) -> None:
    """The same locator twice, then an end: fewer rows than announced, so nothing counts as read."""
    run_id = killed(office, workers, KILLED_AT["some rows are stored"])
    edited = edits(office)
    office.people.breaks(
        action="reply", path="locator=", status=200, reply='"Id"\n',
        headers={"Sforce-NumberOfRecords": "0", "Sforce-Locator": "null", "Content-Type": "text/csv"},
    )  # fmt: skip
    workers.start(workers.job(run_id, "pull", store=SIZES))
    assert workers.said().startswith("IncompleteRead"), workers.said()
    assert position(office) is None
    workers.start(workers.job(run_id, "pull", store=SIZES))
    assert jobs_made(office) == 1
    office.stage(run_id, "plan", "push_ours")
    office.settle(run_id)
    assert_all_here_once(office, edited)


def test_a_job_that_the_org_has_deleted_meanwhile_is_made_anew(office: Office, workers: Workers) -> None:
    run_id = killed(office, workers, KILLED_AT["some rows are stored"])
    edited = edits(office)
    job = office.one("select job_id from crm_sync.query_job")
    office.people.rest("DELETE", f"/jobs/query/{job}")
    workers.start(workers.job(run_id, "pull", store=SIZES))
    assert jobs_made(office) == 2
    office.stage(run_id, "plan", "push_ours")
    office.settle(run_id)
    assert_all_here_once(office, edited)


def test_an_idle_run_costs_a_call_and_one_more_per_further_2000_rows(office: Office) -> None:
    """Promise 4: all objects share the first call; a page more for every further 2,000 rows in the window that is read again."""
    office.run()
    report = office.run()
    assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1 + MANY // 2_000)
    office.people.ask("POST", "/standin/clock", json={"advance": 3_600})  # what was made is old by then
    office.run()
    report = office.run()
    assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)
