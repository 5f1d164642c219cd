"""The forecast of a run against a real database, and what a pause leaves in the run's summary."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from crm_sync.ledger import forecast, runs, settings
from crm_sync.ledger.database import Database
from crm_sync.model import RunKind

NAME = "salesforce_main"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {"batch_size": 10})
    yield found
    found.close()


def opened(database: Database, kind: RunKind = "sync", options: dict[str, object] | None = None) -> int:
    with database.transaction() as tx:
        return runs.insert(tx, NAME, kind, "test", options or {})


def foretold(database: Database, run_id: int) -> forecast.Forecast:
    with database.transaction() as tx:
        return forecast.note(tx, run_id)


def do(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode(), parameters)


CONTACTS = "insert into gptweb.contacts (last_name) select 'x' from generate_series(1, %s)"
LINKED = """insert into crm_sync.link (connection, object, their_object, our_id, their_id, state, dirty, reread)
    select %s, 'contact', 'Contact', id, '003' || row_number() over (), 'live', false, %s from gptweb.contacts"""


def test_an_idle_connection_needs_the_one_call_that_reads(database: Database) -> None:
    told = foretold(database, opened(database))
    assert (told.room.left, told.room.limit, told.needed, told.wait) == (14_250, 14_250, 1, timedelta(0))
    assert str(told) == "14,250 of 14,250 calls left in the next 24 h for lane sync; 1 needed for the backlog"


def test_what_waits_is_counted_in_batches(database: Database, database_url: str) -> None:
    do(database_url, CONTACTS, 21)
    run_id = opened(database)
    assert foretold(database, run_id).needed == 1 + 3, "three batches of creates"
    do(database_url, LINKED, NAME, False)
    do(database_url, CONTACTS, 1)
    assert foretold(database, run_id).needed == 1 + 3 + 1, "three batches of updates and one of creates"
    do(database_url, "delete from crm_sync.outbox")
    assert foretold(database, run_id).needed == 1
    do(database_url, "update crm_sync.link set dirty = true")
    assert foretold(database, run_id).needed == 1 + 3


def test_a_noisy_measure_that_waits_for_its_hour_is_no_backlog(database: Database, database_url: str) -> None:
    do(database_url, CONTACTS, 1)
    do(database_url, LINKED, NAME, False)
    held = "insert into crm_sync.pace select link_id, '{}', %s, now() + interval '1 hour' from crm_sync.link"
    do(database_url, held, 1)
    assert foretold(database, opened(database)).needed == 1
    do(database_url, "update gptweb.contacts set title = 'x'")
    assert foretold(database, opened(database)).needed == 1 + 1


def test_records_to_be_read_again_need_queries_of_their_own(database: Database, database_url: str) -> None:
    do(database_url, CONTACTS, 1_001)
    do(database_url, LINKED, NAME, True)
    do(database_url, "delete from crm_sync.outbox")
    assert foretold(database, opened(database)).needed == 2, "six queries, five a call"


@pytest.mark.parametrize(
    ("chosen", "options", "needed"),
    [
        ({"create_contacts": False}, {}, 1),
        ({"direction": "pull"}, {}, 1),
        ({}, {"direction": "pull"}, 1),
        ({}, {"objects": ["lead"]}, 1),
        ({"direction": "push"}, {}, 4),
    ],
)
def test_what_the_settings_hold_back_needs_no_call(
    database: Database, database_url: str, chosen: dict[str, object], options: dict[str, object], needed: int
) -> None:
    do(database_url, CONTACTS, 21)
    with database.transaction() as tx:
        settings.change_settings(tx, NAME, chosen)
    assert foretold(database, opened(database, "sync", options)).needed == needed


def test_a_record_that_waits_for_a_person_needs_no_call(database: Database, database_url: str) -> None:
    do(database_url, CONTACTS, 21)
    do(
        database_url,
        "insert into crm_sync.parked (connection, object, our_id, side, cause, code, remedy) "
        "select %s, 'contact', id, 'theirs', 'no key', 'NO_KEY', 'enter one' from gptweb.contacts",
        NAME,
    )
    assert foretold(database, opened(database)).needed == 1


def test_a_lane_without_calls_says_when_it_has_some(database: Database, database_url: str) -> None:
    do(
        database_url,
        "insert into crm_sync.spending (connection, lane, purpose, booked_at) "
        "select %s, 'sync', 'test', now() - interval '23 hours' from generate_series(1, 9000)",
        NAME,
    )
    told = foretold(database, opened(database, "backfill"))
    assert str(told).startswith("0 of 9,000 calls left in the next 24 h for lane backfill; 1 needed")
    assert str(told).endswith("the next call is free in 1 h 10 min")


# -------------------------------------------------------------------------------------------------- a pause


@pytest.mark.parametrize(
    ("daily_calls", "spent", "calls", "waits"),
    [(100, 93, 2, 0), (100, 93, 3, 60), (100, 0, 10, 0), (4, 0, 10, 0), (4, 1, 10, 60)],
)
def test_what_is_of_no_use_in_pieces_waits_until_so_many_calls_are_free_or_all_of_its_lane(
    database: Database, database_url: str, daily_calls: int, spent: int, calls: int, waits: int
) -> None:
    do(
        database_url,
        "insert into crm_sync.spending (connection, lane, purpose, booked_at) "
        "select %s, 'sync', 'test', now() from generate_series(1, %s)",
        NAME,
        spent,
    )
    with database.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {"daily_calls": daily_calls})
        wait, _ = forecast.wait_of(tx, NAME, "provision", calls)
    assert wait == timedelta(seconds=waits)


def paused_until(url: str, run_id: int) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        query = "select state, ended_at, paused_until, message from crm_sync.run_summary where run_id = %s"
        row = connection.execute(query, (run_id,)).fetchone()
    assert row is not None
    return row


def test_a_paused_run_says_until_when_and_another_run_does_not_close_it(
    database: Database, database_url: str
) -> None:
    first = opened(database, "backfill")
    with database.transaction() as tx:
        runs.pause(tx, first, "9,000 calls are used", timedelta(hours=3))
    second = opened(database, "backfill")
    with database.transaction() as tx:
        assert runs.abandoned(tx, NAME, "backfill", second) == []
    state, ended_at, until, message = paused_until(database_url, first)
    assert (state, ended_at) == ("paused_budget", None)
    assert isinstance(until, datetime)
    assert timedelta(hours=2) < until - datetime.now(UTC) < timedelta(hours=4)
    assert message == f"paused: budget, goes on by itself at {until:%F %H:%M} UTC: 9,000 calls are used"


def test_a_pause_that_is_long_over_belongs_to_a_run_that_was_stopped_from_outside(
    database: Database,
) -> None:
    first = opened(database, "backfill")
    with database.transaction() as tx:
        runs.pause(tx, first, "9,000 calls are used", timedelta(hours=-2))
    with database.transaction() as tx:
        assert runs.abandoned(tx, NAME, "backfill", opened(database, "backfill")) == [first]
