"""Large reads go by a query job: the same records as by pages, all of them or none, at a handful of calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from crm_sync.errors import IncompleteRead, RetryLater, SyncError
from crm_sync.model import ChangedSince, Image
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
