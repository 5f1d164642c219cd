"""The budget (promise 5): whatever books at the same time and whatever is killed, the window never sees too many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from crm_sync.decide.budget import WINDOW
from crm_sync.errors import BudgetExhausted
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.model import RunKind

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


def test_spendings_are_never_rewritten(database: Database, database_url: str) -> None:
    meter(database).book("read")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="only ever added"),
    ):
        connection.execute("delete from crm_sync.spending")
