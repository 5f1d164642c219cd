"""Large reads go by a query job: the same records as by pages, all of them or none, at a handful of calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from crm_sync.errors import IncompleteRead, JobUnderWay, RetryLater, SyncError
from crm_sync.model import ChangedSince, Image, Page
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.stores.contract import new, soon
from tests.crm_sync.stores.standin import StandinOrg, standin_org

MANY = 1_700  # of 200 a page more calls than a job takes
AWKWARD = [
    'she said "no"', "a, b; c", "two\nlines\r\nand three", "  outer blanks  ", "#N/A", "=1+1", "\\N", "é 😀 𝔘 日本",
    "שלום עולם", "x" * 128, "'", '"', "null", "0012", "true",
]  # fmt: skip


@pytest.fixture(scope="module")
def org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        for text in AWKWARD:
            org.people.creates("contact", last_name="Awkward", title=text)
        org.store().write("contact", [
            new(last_name="Gone", total_score=12.5),
            new(last_name="Scored", total_score=3, is_dql=True, visit_count=4, last_visit_at="2026-01-02T03:04:05Z"),
        ], soon())  # fmt: skip
        gone = next(i.id for i in read(org.store()).values() if i.values["last_name"] == "Gone")
        org.people.creates_many("contact", MANY)
        org.people.deletes(gone)
        org.people.ask("POST", "/standin/settings", json={"bulk_milliseconds": 1})
        yield org


@pytest.fixture(autouse=True)
def _mended(org: StandinOrg) -> Iterator[None]:
    org.meter.booked.clear()
    org.people.forgets()
    yield
    org.people.mends()


def by_job(org: StandinOrg, **settings: Any) -> SalesforceStore:
    return org.store(page_size=200, **settings)


def read(store: SalesforceStore, since: datetime | None = None) -> dict[str, Image]:
    return {i.id: i for page in store.read([ChangedSince("contact", since)]) for i in page.images}


def test_a_job_shows_what_pages_show(org: StandinOrg) -> None:
    by_pages = read(org.store())
    assert read(by_job(org)) == by_pages
    assert len(by_pages) == MANY + len(AWKWARD) + 2
    shown = [i.values["title"] for i in by_pages.values() if i.values["last_name"] == "Awkward"]
    assert set(shown) == {text.strip() for text in AWKWARD}  # what Salesforce holds of them
    assert [i.deleted for i in by_pages.values() if i.values["last_name"] == "Gone"] == [True]


def test_its_calls_are_few(org: StandinOrg) -> None:
    read(by_job(org))
    paths = [
        (call["method"], call["path"].partition("?")[0].rpartition("/")[2]) for call in org.people.calls()
    ]
    assert paths[:2] == [("POST", "composite"), ("POST", "query")]
    assert paths[-1] == ("GET", "results")
    assert len(paths) == len(org.meter.booked) < -(-MANY // 200)


def test_a_small_read_stays_with_pages(org: StandinOrg) -> None:
    read(org.store())
    assert [call["method"] for call in org.people.calls()] == ["POST"]


def test_no_page_is_last_before_all_rows_have_come(org: StandinOrg) -> None:
    pages = list(by_job(org).read([ChangedSince("contact")]))
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert len({page.read_start for page in pages}) == 1  # that of the first call, before the job began


def test_session_ended_amid_a_query_locator(org: StandinOrg) -> None:
    whole = read(org.store())
    org.people.breaks(action="end_session", path="/results", skip=2)
    assert read(by_job(org, result_size=400)) == whole


LIES: dict[str, dict[str, Any]] = {
    "part cut off": {"action": "truncate", "sent": 1_000, "path": "/results"},
    "connection broken on the way": {"action": "reset_after", "path": "/results", "count": None},
    "fewer rows than the part's header says": {
        "action": "reply", "path": "/results", "status": 200, "reply": '"Id"\n',
        "headers": {"Sforce-NumberOfRecords": "3", "Sforce-Locator": "null", "Content-Type": "text/csv"},
    },
    "fewer rows than the job says": {
        "action": "edit", "path": "/jobs/query/750", "count": None, "put": {"numberRecordsProcessed": MANY + 99}
    },
    "the same locator again": {
        "action": "reply", "path": "locator=", "status": 200, "reply": '"Id"\n', "count": None,
        "headers": {"Sforce-NumberOfRecords": "0", "Sforce-Locator": "NDAw", "Content-Type": "text/csv"},
    },
    "job failed": {"action": "fail_job", "path": "/V2Query", "rows": 0, "reply": "TooManyLockFailure"},
    "job aborted": {"action": "abort_job", "path": "/V2Query", "rows": 0},
    "job stuck": {"action": "stall_job", "path": "/V2Query"},
    "job lost its state": {"action": "edit", "path": "/jobs/query/750", "count": None, "drop": ["state"]},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_read_that_is_not_whole_never_ends(org: StandinOrg, lie: str) -> None:
    org.people.breaks(**LIES[lie])
    lasts: list[bool] = []
    with pytest.raises((IncompleteRead, RetryLater)) as raised:
        lasts.extend(
            page.last
            for page in by_job(org, result_size=400, sleep=lambda _: None).read([ChangedSince("contact")])
        )
    assert True not in lasts
    assert "again" in str(raised.value)


def test_a_stuck_job_is_aborted(org: StandinOrg) -> None:
    org.people.breaks(**LIES["job stuck"])
    with suppress(SyncError):
        read(by_job(org, sleep=lambda _: None))
    jobs = org.people.rest("GET", "/jobs/query")["records"]
    assert "InProgress" not in {job["state"] for job in jobs}
    assert max(jobs, key=lambda job: job["id"])["state"] == "Aborted"


# ------------------------------------------------------------------------------------- left and taken up again


def leave(org: StandinOrg, seconds: float | None = None) -> tuple[str, JobUnderWay]:
    """A read whose job stalls (for so many seconds, or for ever) is left; returns the job that a page named, and why."""
    org.people.breaks(**LIES["job stuck"], **({"seconds": seconds} if seconds else {}))
    pages: list[Page] = []
    with pytest.raises(JobUnderWay) as left:
        pages.extend(
            by_job(org, sleep=lambda _: None, query_patience=3).read([ChangedSince("contact", job="")])
        )
    org.people.mends()
    return made(org), left.value


def made(org: StandinOrg) -> str:
    """The newest query job of the org."""
    return str(max(job["id"] for job in org.people.rest("GET", "/jobs/query")["records"]))


def take_up(org: StandinOrg, job: str, **settings: Any) -> list[Page]:
    return list(by_job(org, **settings).read([ChangedSince("contact", job=job)]))


def test_the_job_is_named_before_it_is_waited_for(org: StandinOrg) -> None:
    org.people.breaks(**LIES["job stuck"])
    pages = by_job(org, sleep=lambda _: None, query_patience=3).read([ChangedSince("contact", job="")])
    page = next(pages)
    assert (page.images, page.last, page.job) == ((), False, made(org))
    with pytest.raises(
        JobUnderWay, match=rf"job {page.job} of about {MANY + len(AWKWARD) + 2:,} rows is InProgress"
    ):
        next(pages)


def test_a_read_that_was_left_goes_on_with_its_job(org: StandinOrg) -> None:
    whole = read(org.store())
    job, why = leave(org, seconds=0.5)
    assert 30 <= why.after.total_seconds() <= 600
    org.people.forgets()
    pages = take_up(org, job)
    assert {image.id: image for page in pages for image in page.images} == whole
    assert {page.job for page in pages} == {job}
    assert ("POST", "query") not in [
        (call["method"], call["path"].rpartition("/")[2]) for call in org.people.calls()
    ]


def test_a_job_that_is_still_at_work_is_left_again(org: StandinOrg) -> None:
    job, _ = leave(org)
    with pytest.raises(JobUnderWay, match=job):
        take_up(org, job, sleep=lambda _: None, query_patience=3)


@pytest.mark.parametrize("end", ["aborted", "deleted"])
def test_a_job_that_can_tell_nothing_any_more_is_made_anew(org: StandinOrg, end: str) -> None:
    job, _ = leave(org)
    org.people.rest("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"})
    if end == "deleted":
        org.people.rest("DELETE", f"/jobs/query/{job}")
    pages = take_up(org, job)
    assert {page.job for page in pages} == {made(org)}
    assert made(org) != job
    assert pages[-1].last


def test_who_keeps_no_id_waits_to_the_end(org: StandinOrg) -> None:
    org.people.breaks(**LIES["job stuck"], seconds=0.2)
    nap = by_job(org, sleep=lambda _: time.sleep(0.05), query_patience=0)
    assert read(nap) == read(org.store())
