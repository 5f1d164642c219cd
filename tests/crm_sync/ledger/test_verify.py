"""Seals and their verification: whatever one changes, removes or adds afterwards is found, and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_sync.errors import Missing
from crm_sync.ledger import runs, trail
from crm_sync.ledger.database import Database
from crm_sync.ledger.seal import seal_connection
from crm_sync.ledger.verify import Report, verify

OURS = "00000000-0000-0000-0000-00000000000{}"
RUNS, ROWS = 3, 4


def add_run(database: Database, connection: str, rows: int = ROWS) -> int:
    """A run that plans, decides, spends, and ends: some rows of each kind."""
    with database.transaction() as tx:
        run_id = runs.insert(tx, connection, "sync", f"at {rows}", {})
        trail.plan(tx, run_id, connection, [
            trail.Change("contact", "theirs", "update", None, OURS.format(i), f"003{i}", {"title": "Dr."}, {"title": f"Prof. {i}"},
                         {"title": None}, {"title": "ours_moved"}) for i in range(rows)
        ])  # fmt: skip
        ids = [
            row[0]
            for row in tx.rows(
                "select change_id from crm_sync.change where run_id = %s order by 1", (run_id,)
            )
        ]
        trail.outcomes(
            tx,
            run_id,
            [(id, "acknowledged", ("title",), f"003{id}", "ok") for id in ids],
            trail.Carrier("call 7", 1 / rows),
        )
        trail.note(tx, run_id, connection, "contact", [
            trail.Line("crm_wins", "overruled", OURS.format(i), f"003{i}", "ours", "title", before="a", after=None, detail="why") for i in range(rows)
        ])  # fmt: skip
        for _ in range(rows):
            tx.run(
                "insert into crm_sync.spending (connection, run_id, lane, purpose, booked_at) values (%s, %s, 'sync', 'pull', now())",
                (connection, run_id),
            )
        assert runs.close(tx, run_id, "succeeded", None, None) is not None
    return run_id


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        with database.transaction() as tx:
            tx.run(
                "insert into crm_sync.connection (name, vendor) values ('one', 'salesforce'), ('two', 'salesforce')"
            )
        for _ in range(RUNS):
            add_run(database, "one")
        add_run(database, "two")
        yield database


@pytest.fixture
def forger(database_url: str, database: Database) -> Iterator[psycopg.Connection]:
    """Somebody with all rights, for whom no trigger fires; nothing of what they do is kept."""
    with psycopg.connect(database_url) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection


def found(database_url: str, forger: psycopg.Connection) -> list[str]:
    """What a verification finds after the forger's work."""
    forger.commit()
    with closing(Database(database_url)) as database:
        return verify(database).findings


def test_an_untouched_trail_is_as_it_was_sealed(database: Database) -> None:
    report = verify(database)
    assert (report.findings, report.notes) == ([], [])
    assert (report.seals, report.rows) == (RUNS + 1, (RUNS + 1) * ROWS * 4)
    assert set(report.heads) == {"one", "two"}
    assert verify(database, connection="two").rows == ROWS * 4
    assert verify(database, heads=list(report.heads.values())).findings == []


COLUMNS = {
    "change": {"before": "'{\"title\": \"x\"}'", "after": "'{}'", "rules": "'{}'", "their_id": "null", "side": "'ours'", "run_id": "run_id + 1"},
    "outcome": {"outcome": "'parked'", "fields": "'{phone}'", "detail": "null", "at": "at + interval '1 microsecond'", "batch": "'call 8'"},
    "decision": {"before": "null", "after": "'\"b\"'", "rule": "'x'", "detail": "''", "actor": "'me'", "our_id": "null"},
    "spending": {"purpose": "'x'", "booked_at": "now()", "lane": "'agent'"},
}  # fmt: skip
EDITS = [(table, column, value) for table, columns in COLUMNS.items() for column, value in columns.items()]


@pytest.mark.parametrize(("table", "column", "value"), EDITS, ids=[f"{t}-{c}" for t, c, _ in EDITS])
def test_a_changed_row_is_named(
    database_url: str, database: Database, forger: psycopg.Connection, table: str, column: str, value: str
) -> None:
    row = forger.execute(
        f"select {table}_id, run_id from crm_sync.{table} order by 1 offset 5 limit 1".encode()
    ).fetchone()
    assert row is not None
    forger.execute(f"update crm_sync.{table} set {column} = {value} where {table}_id = {row[0]}".encode())
    findings = found(database_url, forger)
    assert any(
        f"{table} {row[0]} was" in words or f"{table} {row[0]} is under no seal" in words
        for words in findings
    ), findings


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_one_row_removed_or_added_is_named(
    database_url: str, database: Database, data: st.DataObject
) -> None:
    table = data.draw(st.sampled_from(list(COLUMNS)))
    place = data.draw(st.integers(0, (RUNS + 1) * ROWS - 1))
    with psycopg.connect(database_url) as forger:
        forger.execute("set session_replication_role = replica")
        row = forger.execute(
            f"select {table}_id, run_id from crm_sync.{table} order by 1 offset {place} limit 1".encode()
        ).fetchone()
        assert row is not None
        id, run_id = row
        forger.execute(
            f"create temp table kept as select * from crm_sync.{table} where {table}_id = {id}".encode()
        )
        put = f"insert into crm_sync.{table} overriding system value select * from kept".encode()
        forger.execute(f"delete from crm_sync.{table} where {table}_id = {id}".encode())
        assert [w for w in found(database_url, forger) if f"run {run_id}: {table} {id} was removed" in w]
        forger.execute(put)
        assert found(database_url, forger) == [], "as it was"
        forger.execute(f"update kept set {table}_id = 900000".encode())
        forger.execute(put)
        assert [
            w for w in found(database_url, forger) if f"run {run_id}: {table} 900000 is under no seal" in w
        ]
        forger.execute(f"delete from crm_sync.{table} where {table}_id = 900000".encode())
        assert found(database_url, forger) == []


UNSEAL = "delete from crm_sync.sealed using crm_sync.seal s where sealed.seal_id = s.seal_id"
FORGERIES = {
    "a seal in the middle": (f"{UNSEAL} and s.number = 2; delete from crm_sync.seal where number = 2", "one: seal 2 was removed"),
    "the newest seal": (f"{UNSEAL} and s.number = 3; delete from crm_sync.seal where number = 3", "ended, and has no seal"),
    "a seal's time": ("update crm_sync.seal set at = at + interval '1 second' where number = 2", "one: seal 2 (of run"),
    "a head": ("update crm_sync.seal set head = sha256('x') where number = 2", "seal 3 does not continue seal 2"),
    "a lot": (f"{UNSEAL} and number = 2 and place = 1", "lot 1 of its list of sealed rows was removed"),
    "a leaf": ("update crm_sync.sealed set leaves = overlay(leaves placing '\\x00' from 1) where place = 2", "lot 2 of its list of sealed rows was changed"),
    "a lot more": ("insert into crm_sync.sealed select seal_id, 9, kind, month, '{77}', leaves, salts from crm_sync.sealed where place = 1", "lot 9 of its list of sealed rows was added"),
    "sums": ("update crm_sync.run set planned = 7 where connection = 'two'", "has sums other than those that were sealed"),
    "values": ("update crm_sync.change set erased = sha256('x'), after = '{}' where change_id = (select min(change_id) from crm_sync.change)", "no line says that somebody erased them"),
    "a run": ("update crm_sync.outcome set run_id = 987654 where outcome_id = (select min(outcome_id) from crm_sync.outcome)", "name a run that does not exist"),
}  # fmt: skip


@pytest.mark.parametrize(("forgery", "words"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_chain_is_named(
    database_url: str, database: Database, forger: psycopg.Connection, forgery: str, words: str
) -> None:
    for statement in forgery.split("; "):
        forger.execute(statement.encode())
    findings = found(database_url, forger)
    assert any(words in finding for finding in findings), findings


def test_a_head_that_was_printed_proves_a_chain_made_anew(
    database_url: str, database: Database, forger: psycopg.Connection
) -> None:
    head = verify(database).heads["two"]
    for table in ("sealed", "seal", "change", "outcome", "decision", "spending", "run"):
        forger.execute(f"delete from crm_sync.{table}".encode())
    forger.commit()
    add_run(database, "two")
    assert verify(database).findings == []
    assert verify(database, heads=[head]).findings == [
        f"head {head} was printed once and is in no chain: seals were removed or made anew"
    ]


def test_a_run_that_goes_on_gets_a_second_seal_for_what_is_new(database: Database) -> None:
    run_id = add_run(database, "one")
    with database.transaction() as tx:
        tx.run("update crm_sync.run set ended_at = null, state = 'running' where run_id = %s", (run_id,))
        trail.note(tx, run_id, "one", "contact", [trail.Line("late", "noted")])
    report = verify(database)
    assert (report.findings, report.notes) == (
        [],
        ["one: 1 rows of decision are not sealed yet: their run is under way"],
    )
    with database.transaction() as tx:
        seal = runs.close(tx, run_id, "succeeded", None, None)
    assert seal is not None
    assert seal.rows == 1
    report = verify(database, run_id=run_id)
    assert (report.findings, report.notes, report.rows) == ([], [], ROWS * 4 + 1)
    with database.transaction() as tx:
        assert runs.close(tx, run_id, "succeeded", None, None) is None, "nothing is new"


def test_what_belongs_to_no_run_is_sealed_by_itself(database: Database) -> None:
    with database.transaction() as tx:
        trail.note(tx, None, "two", "", [trail.Line("setting", "noted", actor="ann")])
    assert verify(database).findings == []
    with database.transaction() as tx:
        seal = seal_connection(tx, "two")
        assert seal is not None
        assert seal.rows == 1
        assert seal_connection(tx, "two") is None
        assert seal_connection(tx, "one") is None
    report: Report = verify(database)
    assert (report.findings, report.notes) == ([], [])
    assert report.lines()[0].startswith("The audit trail is as it was sealed: 65 rows under 5 seals")


def test_a_line_of_no_run_that_is_committed_after_the_seal_is_no_forgery(
    database_url: str, database: Database
) -> None:
    late = trail.Line("setting", "noted", actor="ann")
    with closing(Database(database_url)) as page:
        with page.transaction() as slow:
            trail.note(slow, None, "two", "", [late])
            with database.transaction() as tx:
                trail.note(tx, None, "two", "", [late])
            with database.transaction() as tx:
                first = seal_connection(tx, "two")
        report = verify(database)
        assert report.findings == []
        assert report.notes == [
            "two: 1 rows of decision are not sealed yet: what belongs to no run is sealed once a day"
        ]
        with database.transaction() as tx:
            second = seal_connection(tx, "two")
    assert [seal.rows for seal in (first, second) if seal] == [1, 1]
    assert (verify(database).findings, verify(database).notes) == ([], [])


def test_a_line_of_no_run_that_claims_to_be_from_before_the_seal_is_named(
    database_url: str, database: Database, forger: psycopg.Connection
) -> None:
    with database.transaction() as tx:
        trail.note(tx, None, "two", "", [trail.Line("setting", "noted", actor="ann")])
    with database.transaction() as tx:
        seal_connection(tx, "two")
    forger.execute(
        "insert into crm_sync.decision (connection, object, rule, outcome, at) "
        "values ('two', '', 'setting', 'noted', now() - interval '1 day')"
    )
    findings = found(database_url, forger)
    assert len(findings) == 1
    assert "is under no seal" in findings[0]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"connection": "tow"}, "no connection 'tow'; there are: one, two"),
        ({"run_id": 987654}, "no run 987654 to verify"),
        ({"run_id": 1, "connection": "two"}, "no run 1 of two to verify"),
    ],
)
def test_what_is_not_there_is_not_called_sealed(
    database: Database, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(Missing, match=words):
        verify(database, **asked)
