"""What the pages read: the figures of a connection, its runs by pages, a run's progress, and what waits for how long."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from crm_sync.errors import Missing
from crm_sync.ledger import lifecycle, overview, parking, settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.freshness import AT_MOST, freshness

NAME = "salesforce_main"
CONTACTS = "insert into gptweb.contacts (last_name) select 'No ' || n from generate_series(1, %s) n"
RUN = "insert into crm_sync.run (connection, kind, state, conflicts, options) values (%s, %s, %s, %s, %s) returning run_id"
CHANGE = """insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules)
  select %s, %s, 'contact', gen_random_uuid(), 'ours', 'update', '{}', '{"title": 1}', '{}', '{}'
  from generate_series(1, %s) returning change_id"""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
    yield found
    found.close()


def do(url: str, statement: str, *parameters: object) -> list:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def view(database: Database) -> overview.Overview:
    with database.transaction() as tx:
        return overview.overview(tx, NAME)


def opened(url: str, state: str, kind: str = "sync", conflicts: int = 0, options: str = "{}") -> int:
    return int(do(url, RUN, NAME, kind, state, conflicts, options)[0][0])


def test_a_new_connection_is_not_set_up_and_has_no_runs(database):
    found = view(database)
    assert (found.condition.name, found.runs, found.last_run) == ("not_provisioned", (), None)
    assert (found.calls_used, found.conflicts, found.parked) == (0, 0, 0)


def test_the_figures_of_the_last_24_hours(database, database_url):
    do(database_url, "update crm_sync.connection set provisioned_at = now()")
    opened(database_url, "succeeded", conflicts=2)
    old = opened(database_url, "succeeded", conflicts=40)
    do(
        database_url,
        "update crm_sync.run set started_at = now() - interval '25 hours' where run_id = %s",
        old,
    )
    opened(database_url, "succeeded", kind="provision")
    newest = opened(database_url, "succeeded_with_parked", conflicts=1)
    opened(database_url, "failed", options='{"dry_run": true}')
    for hours in (1, 23, 25):
        do(database_url, "insert into crm_sync.spending (connection, run_id, lane, purpose, booked_at) "
           "values (%s, %s, 'sync', 'sync', now() - make_interval(hours => %s))", NAME, newest, hours)  # fmt: skip
    for lifted in (None, "2026-01-01"):
        do(database_url, "insert into crm_sync.parked (connection, object, side, cause, code, remedy, lifted_at) "
           "values (%s, 'contact', 'theirs', 'c', 'C', 'r', %s)", NAME, lifted)  # fmt: skip
    found = view(database)
    assert (found.calls_used, found.conflicts, found.parked) == (2, 3, 1)
    assert found.last_run is not None
    assert (found.last_run.run_id, found.last_run.api_calls) == (newest, 3)
    assert [run.state for run in found.runs] == ["failed", "succeeded_with_parked", "succeeded", "succeeded"]
    assert found.condition.name == "healthy", "a dry run that failed says nothing of the connection"
    opened(database_url, "failed", kind="backfill")
    assert view(database).condition.name == "healthy", "nor does another lane"
    opened(database_url, "waiting_approval", kind="reconcile")
    assert view(database).condition.name == "waiting_approval", "but a plan that waits for a person does"


def test_a_given_up_log_in_is_said_with_its_reason(database, database_url):
    do(
        database_url,
        "insert into crm_sync.credential (connection, state, reason) values (%s, 'reconnect needed', 'revoked')",
        NAME,
    )
    assert (view(database).condition.name, view(database).condition.sentence) == (
        "reconnect_needed",
        "revoked",
    )


def test_runs_come_by_pages_of_one_connection(database, database_url):
    with database.transaction() as tx:
        settings.connect(tx, "another", "salesforce", {})
    numbers = [opened(database_url, "succeeded") for _ in range(5)]
    do(database_url, RUN, "another", "sync", "succeeded", 0, "{}")
    with database.transaction() as tx:
        first = overview.runs(tx, NAME, 2)
        second = overview.runs(tx, NAME, 2, before=first[-1].run_id)
        assert [run.run_id for run in first + second] == numbers[:0:-1]
        with pytest.raises(Missing):
            overview.run(tx, "another", numbers[0])
        with pytest.raises(Missing):
            overview.overview(tx, "nobody")


def test_progress_counts_outcomes_and_never_more_of_them_than_changes(database, database_url):
    run_id = opened(database_url, "running")
    made = [row[0] for row in do(database_url, CHANGE, run_id, NAME, 4)]
    for change_id, times in ((made[0], 1), (made[1], 1)):
        for _ in range(times):
            do(database_url, "insert into crm_sync.outcome (change_id, run_id, outcome, fields) values (%s, %s, 'acknowledged', '{title}')",
               change_id, run_id)  # fmt: skip
    with database.transaction() as tx:
        found = overview.progress(tx, NAME, run_id)
        do(database_url, "insert into crm_sync.outcome (change_id, run_id, outcome, fields) "
           "select %s, %s, 'parked', '{title}' from generate_series(1, 9)", made[0], run_id)  # fmt: skip
        most = overview.progress(tx, NAME, run_id)
    assert (found.changes, found.done, found.run.state) == (4, 2, "running")
    assert most.done == 4


def test_what_waits_is_counted_once_with_the_age_of_the_oldest(database, database_url):
    with database.transaction() as tx:
        assert freshness(tx, NAME).age is None
    do(database_url, CONTACTS, 3)
    do(database_url, "alter table gptweb.contacts disable trigger user")
    do(
        database_url,
        "update gptweb.contacts set updated_at = now() - interval '1 hour' where last_name = 'No 2'",
    )
    do(database_url, "alter table gptweb.contacts enable trigger user")
    do(database_url, """insert into crm_sync.link (connection, object, their_object, our_id, their_id, state, dirty, seen_stamp)
      select %s, 'contact', 'Contact', id, last_name, 'live', true, now() from gptweb.contacts where last_name = 'No 1'
      union all select %s, 'contact', 'Contact', gen_random_uuid(), 'another', 'live', true, now() - interval '3 hours'
      union all select %s, 'contact', 'Contact', gen_random_uuid(), 'clean', 'live', false, now() - interval '9 hours'""",
       NAME, NAME, NAME)  # fmt: skip
    with database.transaction() as tx:
        found = freshness(tx, NAME)
    assert (found.waiting, found.more) == (4, False)
    assert found.age is not None
    assert 3 <= found.age.total_seconds() / 3600 < 4


def test_what_no_edit_made_work_waits_since_then(database, database_url):
    """A retry takes up what was last changed long ago, on either side."""
    do(database_url, CONTACTS, 1)
    do(database_url, "alter table gptweb.contacts disable trigger user")
    do(database_url, "update gptweb.contacts set updated_at = now() - interval '9 hours'")
    do(database_url, "alter table gptweb.contacts enable trigger user")
    do(database_url, """with l as (insert into crm_sync.link (connection, object, their_object, our_id, their_id, state, dirty, seen_stamp)
      values (%s, 'contact', 'Contact', gen_random_uuid(), 'another', 'live', false, now() - interval '9 hours')
      returning link_id, our_id)
      insert into crm_sync.parked (connection, object, link_id, our_id, side, field, cause, code, remedy, next_try_at)
      select %s, 'contact', link_id, our_id, 'theirs', 'title', 'c', 'C', 'r', now() from l
      union all select %s, 'contact', null, id, 'theirs', null, 'c', 'C', 'r', now() from gptweb.contacts""",
       NAME, NAME, NAME)  # fmt: skip
    with database.transaction() as tx:
        assert parking.wake(tx, NAME) == 2
        found = freshness(tx, NAME)
    assert found.waiting == 2
    assert found.age is not None
    assert found.age.total_seconds() < 3600


def test_a_record_that_is_parked_whole_does_not_wait(database, database_url):
    do(database_url, CONTACTS, 1)
    do(database_url, """insert into crm_sync.parked (connection, object, our_id, side, cause, code, remedy)
      select %s, 'contact', id, 'theirs', 'c', 'C', 'r' from gptweb.contacts""", NAME)  # fmt: skip
    with database.transaction() as tx:
        assert freshness(tx, NAME).waiting == 0


def test_a_long_backlog_is_not_counted_to_its_end(database, database_url):
    do(database_url, CONTACTS, AT_MOST + 1)
    with database.transaction() as tx:
        found = freshness(tx, NAME)
    assert (found.waiting, found.more) == (AT_MOST, True)


def test_pausing_twice_leaves_one_line(database, database_url):
    with database.transaction() as tx:
        done = [
            lifecycle.pause(tx, NAME, "ann"),
            lifecycle.pause(tx, NAME, "ann"),
            lifecycle.resume(tx, NAME, "bob"),
        ]
        with pytest.raises(Missing):
            lifecycle.pause(tx, "nobody", "ann")
    assert done == [True, False, True]
    assert do(database_url, "select rule, detail from crm_sync.decision order by decision_id") == [
        ("connection_paused", "by ann"), ("connection_resumed", "by bob"),
    ]  # fmt: skip
