"""The budget (promise 5): whatever books at the same time and whatever is killed, the window never sees too many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from crm_sync.decide.budget import WINDOW
from crm_sync.errors import BudgetExhausted, CallCapReached, Misconfigured
from crm_sync.ledger import runs, settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.model import ApiUsage, RunKind
from crm_sync.ports import LIMITS

NAME = "salesforce_main"
BOOK_UNTIL_REFUSED = """
import sys
from crm_sync.errors import BudgetExhausted
from crm_sync.ledger.database import Database
from crm_sync.ledger.spending import LedgerMeter
meter = LedgerMeter(Database(sys.argv[1]), "salesforce_main", None, "agent")
booked = 0
try:
    while True:
        meter.book("test")
        booked += 1
except BudgetExhausted:
    print(booked)
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
    yield found
    found.close()


def meter(database: Database, lane: RunKind = "agent", daily_calls: int = 10) -> LedgerMeter:
    choose(database, daily_calls=daily_calls)
    return LedgerMeter(database, NAME, None, lane)


def choose(database: Database, **chosen: object) -> None:
    with database.transaction() as tx:
        settings.change_settings(tx, NAME, chosen)


def spend_long_ago(url: str, count: int, age: timedelta) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into crm_sync.spending (connection, lane, purpose, booked_at) "
            "select %s, 'sync', 'test', clock_timestamp() - %s from generate_series(1, %s)",
            (NAME, age, count),
        )


def booked(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from crm_sync.spending").fetchone()
    assert row is not None
    return int(row[0])


def test_the_call_after_the_last_is_refused_and_not_booked(database: Database, database_url: str) -> None:
    for _ in range(10):
        meter(database).book("read")
    with pytest.raises(
        BudgetExhausted, match=r"10 of 10 calls of 24 hours are used.*the next one is free in 24 h 10 min"
    ):
        meter(database).book("read")
    assert booked(database_url) == 10


def test_several_processes_together_never_exceed_the_limit(database: Database, database_url: str) -> None:
    choose(database, daily_calls=40)
    command = [sys.executable, "-c", BOOK_UNTIL_REFUSED, database_url]
    include = str(Path(__file__).parents[3] / "include")
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": include})
        for _ in range(4)
    ]
    told = [int(worker.communicate()[0]) for worker in workers]
    assert sum(told) == 40
    assert booked(database_url) == 40


def test_a_roll_back_elsewhere_unbooks_nothing(database: Database, database_url: str) -> None:
    """A booking is committed on its own connection before the call leaves: a crash can waste one, never hide one."""
    own = Database(database_url)
    with pytest.raises(ZeroDivisionError):
        fail_after_booking(database, own)
    own.close()
    assert booked(database_url) == 1


def fail_after_booking(database: Database, own: Database) -> None:
    with database.transaction():
        LedgerMeter(own, NAME, None, "agent").book("write")
        _ = 1 / 0


def test_calls_older_than_the_window_are_free_again(database: Database, database_url: str) -> None:
    spend_long_ago(database_url, 10, WINDOW + timedelta(minutes=1))
    meter(database).book("read")
    assert booked(database_url) == 11


def test_a_call_counts_until_it_can_no_longer_be_inside_any_window(
    database: Database, database_url: str
) -> None:
    """It may have left a time-out after its booking, so it counts for that much longer than a day."""
    spend_long_ago(database_url, 10, timedelta(hours=24, minutes=1))
    with pytest.raises(BudgetExhausted):
        meter(database).book("read")


@pytest.mark.parametrize(
    ("lane", "allowed"), [("agent", 20), ("sync", 19), ("provision", 19), ("reconcile", 16), ("backfill", 12)]
)
def test_each_lane_has_its_share_of_the_day(database: Database, lane: RunKind, allowed: int) -> None:
    for _ in range(allowed):
        meter(database, lane, 20).book("read")
    with pytest.raises(BudgetExhausted, match=rf"lane {lane} may use {allowed}"):
        meter(database, lane, 20).book("read")


def test_the_message_says_when_the_lane_has_room_again(database: Database, database_url: str) -> None:
    spend_long_ago(database_url, 8, timedelta(hours=23))
    for _ in range(12):
        meter(database, "agent", 20).book("read")
    # 20 are booked and a backfill may use 12: nine of them have to leave the window, the ninth is a new one.
    with pytest.raises(BudgetExhausted) as refused:
        meter(database, "backfill", 20).book("read")
    assert refused.value.resume_after > timedelta(hours=24)
    with pytest.raises(BudgetExhausted) as soon:
        meter(database, "sync", 20).book("read")
    assert timedelta(hours=1) < soon.value.resume_after < timedelta(hours=1, minutes=11)


# ----------------------------------------------------------------------------------------------- the clocks

WEDNESDAY = datetime(2026, 3, 4, tzinfo=UTC)


class At:
    """A meter at a time of its own."""

    def __init__(self, database: Database, now: datetime, other: datetime | None = None) -> None:
        self.meter = LedgerMeter(
            database, NAME, None, "agent", clock=lambda _tx: now, worker_clock=lambda: other or now
        )

    def book(self) -> None:
        self.meter.book("read")


def spend_at(url: str, count: int, at: datetime) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into crm_sync.spending (connection, lane, purpose, booked_at) "
            "select %s, 'sync', 'test', %s from generate_series(1, %s)",
            (NAME, at, count),
        )


def test_salesforces_own_example(database: Database, database_url: str) -> None:
    """14,500 calls at 05:00 on Wednesday and 499 at 23:00 leave one until 05:00 on Thursday (facts 3.1).

    Ours comes free ten minutes later, because a call may leave that long after it was booked.
    """
    spend_at(database_url, 14_500, WEDNESDAY + timedelta(hours=5))
    spend_at(database_url, 499, WEDNESDAY + timedelta(hours=23))
    choose(database, run_calls=20_000)
    At(database, WEDNESDAY + timedelta(hours=23, minutes=1)).book()
    thursday = WEDNESDAY + timedelta(hours=29)
    for now in (WEDNESDAY + timedelta(hours=23, minutes=2), thursday, thursday + timedelta(minutes=9)):
        with pytest.raises(BudgetExhausted) as refused:
            At(database, now).book()
        assert now + refused.value.resume_after == thursday + timedelta(minutes=10)
    At(database, thursday + timedelta(minutes=10)).book()


def test_the_crms_own_clock_is_believed_before_the_workers(database: Database, database_url: str) -> None:
    noon = WEDNESDAY + timedelta(hours=12)
    meter = LedgerMeter(database, NAME, None, "agent", clock=lambda _tx: noon, monotonic=lambda: 5.0)
    meter.saw(noon + timedelta(hours=2), None)
    meter.book("read")
    with psycopg.connect(database_url) as connection:
        at = connection.execute("select booked_at from crm_sync.spending").fetchone()
    assert at == (noon + timedelta(hours=2),)


@pytest.mark.parametrize("hours", [24, -24, 8760])
def test_clocks_that_differ_by_a_day_stop_all_calls(
    database: Database, database_url: str, hours: int
) -> None:
    with pytest.raises(
        Misconfigured, match=r"the clock of GPTWeb's database says 2026-03-04 00:00 UTC, this worker's"
    ):
        At(database, WEDNESDAY, WEDNESDAY + timedelta(hours=hours)).book()
    assert booked(database_url) == 0


# --------------------------------------------------------------------------------------------- the org's limit


def look_at(url: str) -> list[tuple[int, bool]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select looks, look_at is not null from crm_sync.allocation").fetchall()


def test_an_org_that_others_use_up_stops_every_lane_and_every_process(
    database: Database, database_url: str
) -> None:
    one, other = meter(database, "sync", 15_000), meter(database, "agent", 15_000)
    one.book("read")
    one.saw(None, ApiUsage(13_600, 15_000))
    for each in (one, other):
        with pytest.raises(
            BudgetExhausted,
            match=r"the org has 1,400 of its 15,000 calls of 24 hours left, and 1,500 are kept for its other users "
            r"\(org_reserve 10%\); it is asked again in 5 min",
        ) as refused:
            each.book("read")
        assert timedelta(minutes=4) < refused.value.resume_after <= timedelta(minutes=5)
    assert booked(database_url) == 1


def test_after_the_wait_one_call_looks_whether_there_is_room_and_the_others_wait_for_it(
    database: Database, database_url: str
) -> None:
    one, other = meter(database, "sync", 15_000), meter(database, "sync", 15_000)
    one.book("read")
    one.saw(None, ApiUsage(15_000, 15_000))
    with database.transaction() as tx:
        tx.run("update crm_sync.allocation set look_at = clock_timestamp()")
    one.book("read")
    with pytest.raises(BudgetExhausted, match="asked again in 10 min"):
        other.book("read")
    one.saw(None, ApiUsage(9_000, 15_000))
    other.book("read")
    assert (booked(database_url), look_at(database_url)) == (3, [(0, False)])


def test_limits_is_asked_in_doubt_once_and_its_answer_decides(database: Database, database_url: str) -> None:
    one = meter(database, "sync", 15_000)
    one.book("read")
    one.saw(None, ApiUsage(13_490, 15_000))
    assert (one.asks_limits(), one.asks_limits()) == (True, False)
    one.book(LIMITS)
    one.saw(None, ApiUsage(13_501, 15_000), exact=True)
    with pytest.raises(BudgetExhausted, match="1,499 of its 15,000"):
        one.book("read")
    one.book(LIMITS)  # which is always allowed
    assert booked(database_url) == 3


def test_the_orgs_figures_are_kept_once_a_minute_as_long_as_there_is_room(
    database: Database, database_url: str
) -> None:
    now = [0.0]
    choose(database, daily_calls=15_000)
    one = LedgerMeter(database, NAME, None, "sync", monotonic=lambda: now[0])
    kept = []
    for calls in (100, 101, 102, 103):
        one.book("read")
        one.saw(None, ApiUsage(calls, 15_000))
        now[0] += 30
        with psycopg.connect(database_url) as connection:
            kept.append(connection.execute("select used from crm_sync.allocation").fetchall())
    assert kept == [[], [(100,)], [(100,)], [(102,)]]


def rename(url: str, statement: LiteralString) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def test_a_reply_counts_though_its_figures_could_not_be_kept(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Else an answered write would look like one that never left."""
    one = meter(database, "sync", 15_000)
    one.book("read")
    choose(database, org_reserve=0.5)
    rename(database_url, "alter table crm_sync.allocation rename to hidden")
    try:
        one.saw(None, ApiUsage(15_000, 15_000))
    finally:
        rename(database_url, "alter table crm_sync.hidden rename to allocation")
    assert "what its org says of its calls could not be kept" in caplog.text
    one.book("read")
    one.saw(None, ApiUsage(15_000, 15_000))
    with pytest.raises(BudgetExhausted, match=r"org_reserve 50%"):
        one.book("read")


# ------------------------------------------------------------------------------------------------ loops (case 18)


def test_a_run_that_loops_is_stopped_before_it_burns_the_day(database: Database, database_url: str) -> None:
    choose(database, daily_calls=15_000, run_calls=5, object_calls=3)
    with database.transaction() as tx:
        run_id = runs.open_run(tx, NAME, "sync", "loops", {})
    one = LedgerMeter(database, NAME, run_id, "sync")
    for _ in range(3):
        one.book("sync contact")
    with pytest.raises(
        CallCapReached, match=rf"run {run_id} has made 3 calls for 'sync contact'.*raise object_calls"
    ):
        one.book("sync contact")
    one.book("sync lead")
    again = LedgerMeter(database, NAME, run_id, "sync")  # a cleared task is the same run
    again.book("sync")
    with pytest.raises(CallCapReached, match=rf"run {run_id} has made 5 calls.*raise run_calls"):
        again.book("sync")
    assert booked(database_url) == 5
    LedgerMeter(database, NAME, None, "sync").book("sync")


def test_spendings_are_never_rewritten(database: Database, database_url: str) -> None:
    meter(database).book("read")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="only ever added"),
    ):
        connection.execute("delete from crm_sync.spending")
