"""The day's calls end amid a run: it is paused and says until when; the next day everything goes on, and only once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crm_sync.engine import notes
from crm_sync.errors import BudgetExhausted
from tests.crm_sync.engine.cases.office import STAGES, Office

PAGE = {"method": "GET", "path": "/query/01g"}
WRITE = {"method": "POST", "path": "/composite$", "body": "PATCH", "skip": 1}
LOOK = {"method": "GET", "path": "/jobs/ingest/[^/]*$"}
RESULT = {"method": "GET", "path": "/jobs/ingest/.*/successfulResults"}


@pytest.fixture
def busy(office: Office) -> Iterator[Office]:
    """Much to do both ways, few records a call."""
    office.connect(conflict_policy="crm_wins", batch_size=50, org_reserve=0)
    office.both()
    office.run()
    office.page_size = 200
    office.people.creates_many("contact", 201)
    for n in range(5):
        office.ours(email=f"ours{n}@example.com", title="new")
    yield office
    office.people.ask("POST", "/standin/usage", json={"used": 0})


def paused(office: Office) -> tuple[int, str]:
    """A run until the day's calls end: its id, and the stage in which that was."""
    run_id = office.open()
    for stage in STAGES:
        try:
            with notes.noted(office.database, run_id):
                office.stage(run_id, stage)
        except BudgetExhausted:
            return run_id, stage
    raise AssertionError("the calls never ended")


def goes_on(office: Office, run_id: int, stage: str, how: str) -> None:
    """The deferred task runs again, or that run is over and the schedule begins another."""
    if how == "another run":
        report = office.settle(run_id, stage)
        assert (report.state, "goes on by itself at" in report.message) == ("paused_budget", True)
        assert office.run().state == "succeeded"
        return
    for again in STAGES[STAGES.index(stage) :]:
        with notes.noted(office.database, run_id):
            office.stage(run_id, again)
    assert office.settle(run_id).state == "succeeded"


def next_day(office: Office) -> None:
    office.people.mends()
    office.people.ask("POST", "/standin/usage", json={"used": 0})
    office.client.execute("update crm_sync.allocation set look_at = now() where look_at is not null")


def says_when_it_goes_on(office: Office, run_id: int) -> bool:
    return bool(office.one(
        "select state = 'paused_budget' and paused_until > now() and message like 'paused: budget, goes on by itself at '"
        " || to_char(paused_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC: %%' from crm_sync.run where run_id = %s",
        run_id,
    ))  # fmt: skip


def assert_everything_once(office: Office, known: str) -> None:
    office.page_size = None
    office.assert_silent()
    assert office.counts() == (207, 207)
    assert office.one("select count(distinct their_id) from crm_sync.link where state = 'live'") == 207
    assert (office.value(known, "phone"), office.shown(office.linked(known), "phone")) == ("+49 1", "+49 1")
    there = office.query("SELECT Email FROM Contact WHERE Title = 'new'")
    assert sorted(c["Email"] for c in there) == [f"ours{n}@example.com" for n in range(5)]


@pytest.mark.parametrize("how", ["the task again", "another run"])
@pytest.mark.parametrize(
    ("large", "calls", "stage"),
    [
        ("composite", PAGE, "pull"), ("composite", WRITE, "push_theirs"), ("bulk", LOOK, "push_theirs"),
        ("bulk", RESULT, "push_theirs"),
    ],
    ids=["amid the pages", "amid the batches", "while a job works", "before a job's results"],
)  # fmt: skip
def test_the_orgs_calls_end_amid_a_run(
    busy: Office, large: str, calls: dict[str, object], stage: str, how: str
) -> None:
    busy.connect(large_pushes=large)
    known = busy.one("select id::text from gptweb.contacts where email = 'e0@example.com'")
    busy.people.breaks(action="reply", error="daily_limit", count=None, **calls)
    run_id, where = paused(busy)
    assert where == stage
    assert says_when_it_goes_on(busy, run_id)
    busy.edit(known, phone="+49 1")  # people work on
    next_day(busy)
    goes_on(busy, run_id, stage, how)
    assert_everything_once(busy, known)


@pytest.mark.parametrize("how", ["the task again", "another run"])
def test_the_orgs_calls_are_used_up_by_others_between_two_stages(busy: Office, how: str) -> None:
    """Nothing is sent until it is time to look; a look in vain puts the next one off."""
    known = busy.one("select id::text from gptweb.contacts where email = 'e0@example.com'")
    run_id = busy.open()
    busy.stage(run_id, *STAGES[:3])
    busy.people.ask("POST", "/standin/usage", json={"used": 15_000})
    for _ in range(3):
        with pytest.raises(BudgetExhausted), notes.noted(busy.database, run_id):
            busy.stage(run_id, "push_theirs")
    assert says_when_it_goes_on(busy, run_id)
    busy.people.forgets()
    with pytest.raises(BudgetExhausted):
        busy.stage(run_id, "push_theirs")
    assert busy.people.calls() == []
    busy.edit(known, phone="+49 1")
    next_day(busy)
    goes_on(busy, run_id, "push_theirs", how)
    assert_everything_once(busy, known)


@pytest.mark.parametrize("more", [2, 4])
def test_our_own_calls_end_amid_a_run(busy: Office, more: int) -> None:
    known = busy.one("select id::text from gptweb.contacts where email = 'e0@example.com'")
    used = busy.one("select count(*) from crm_sync.spending")
    busy.connect(daily_calls=-(-(used + more) * 100 // 95))
    run_id, stage = paused(busy)
    assert says_when_it_goes_on(busy, run_id)
    assert busy.one(
        "select paused_until > now() + interval '23 hours' from crm_sync.run where run_id = %s", run_id
    )
    assert busy.calls(run_id) == more
    busy.edit(known, phone="+49 1")
    busy.connect(daily_calls=15_000)  # as good as a day
    goes_on(busy, run_id, stage, "the task again")
    assert_everything_once(busy, known)
