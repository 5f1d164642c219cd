"""The trail in months: an older ledger keeps its rows, a month begins without moving any, and rows always have a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from crm_sync.ledger.leaves import MONTH
from crm_sync.ledger.migrate import migrate

Connection = psycopg.Connection[tuple[object, ...]]
TRAIL = ("change", "outcome", "decision", "spending")
CHANGE = """insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules)
  values (1, 'one', 'contact', gen_random_uuid(), 'ours', 'create', '{}', '{"last_name": "Kern"}', '{}', '{"*": "new_in_crm"}')
  returning change_id"""
OUTCOME = "insert into crm_sync.outcome (change_id, run_id, outcome, fields) values (%s, 1, 'acknowledged', '{last_name}')"
DECISION = "insert into crm_sync.decision (run_id, connection, object, rule, outcome) values (1, 'one', 'contact', 'r', 'noted')"
SPENDING = "insert into crm_sync.spending (connection, run_id, lane, purpose, booked_at) values ('one', 1, 'sync', 'pull', now())"


def add_rows(client: Connection) -> int:
    """A row in each table; returns the change's id."""
    change_id = client.execute(CHANGE).fetchone()[0]  # type: ignore[index]
    client.execute(OUTCOME, (change_id,))
    client.execute(DECISION)
    client.execute(SPENDING)
    assert isinstance(change_id, int)
    return change_id


def add_run(client: Connection) -> None:
    """Connection one and its run 1."""
    client.execute("insert into crm_sync.connection (name, vendor) values ('one', 'salesforce')")
    client.execute(
        "insert into crm_sync.run (run_id, connection, kind) overriding system value values (1, 'one', 'sync')"
    )


@contextmanager
def database_at(server: str, revision: str) -> Iterator[str]:
    """A database of its own with the schema of a revision."""
    name = f"months_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    address = server.rsplit("/", 1)[0] + f"/{name}"
    try:
        migrate(address, revision)
        yield address
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def fresh(postgres_server: str) -> Iterator[Connection]:
    """A migrated database of its own: months are made in it, and stay made."""
    with (
        database_at(postgres_server, "head") as address,
        psycopg.connect(address, autocommit=True) as client,
    ):
        add_run(client)
        yield client


def count(client: Connection, table: str) -> int:
    query = sql.SQL("select count(*) from crm_sync.{}").format(sql.Identifier(table))
    rows = client.execute(query).fetchall()
    return int(str(rows[0][0]))


def test_a_ledger_of_the_release_before_keeps_its_trail_and_goes_on_counting(postgres_server: str) -> None:
    with database_at(postgres_server, "0012") as address:
        with psycopg.connect(address) as client:
            add_run(client)
            ids = [add_rows(client) for _ in range(3)]
            before = client.execute(
                "select field, before, after, rule, outcome from crm_sync.audit_trail order by at"
            ).fetchall()
        migrate(address)
        with psycopg.connect(address) as client:
            after = client.execute(
                "select field, before, after, rule, outcome from crm_sync.audit_trail order by at"
            ).fetchall()
            assert after == before
            assert add_rows(client) == ids[-1] + 1
            assert [count(client, f"{table}_0") for table in TRAIL] == [4, 4, 4, 4]
            assert client.execute("select api_calls from crm_sync.run_summary").fetchone() == (4,)


@pytest.mark.parametrize("table", TRAIL)
@pytest.mark.parametrize("which", ["{0}", "{0}_0"])
def test_nothing_is_rewritten_in_the_table_or_in_its_month(fresh: Connection, table: str, which: str) -> None:
    add_rows(fresh)
    name = sql.Identifier("crm_sync", which.format(table))
    for query in ("update {} set connection = connection", "delete from {}", "truncate {}"):
        column = query if table != "outcome" else query.replace("connection", "detail")
        with pytest.raises(
            psycopg.errors.RaiseException, match=f"crm_sync.{table} is part of the audit trail"
        ):
            fresh.execute(sql.SQL(column).format(name))


def test_a_month_begins_once(fresh: Connection) -> None:
    assert add_rows(fresh) < MONTH
    assert fresh.execute("select crm_sync.begin_month()").fetchone() == (0,), "this month has begun"
    fresh.execute("update crm_sync.month set began_at = began_at - interval '1 month'")
    assert fresh.execute("select crm_sync.begin_month()").fetchone() == (1,)
    assert fresh.execute("select crm_sync.begin_month()").fetchone() == (1,)
    assert add_rows(fresh) == MONTH
    assert [count(fresh, f"{table}_1") for table in TRAIL] == [1, 1, 1, 1]
    made = fresh.execute(
        "select to_regclass('crm_sync.change_3') is not null, to_regclass('crm_sync.change_4') is not null"
    )
    assert made.fetchone() == (True, False), "two months ahead"


def test_what_became_of_last_months_change_lies_with_it(fresh: Connection) -> None:
    change_id = add_rows(fresh)
    fresh.execute("update crm_sync.month set began_at = began_at - interval '1 month'")
    fresh.execute("select crm_sync.begin_month()")
    fresh.execute(OUTCOME, (change_id,))
    assert (count(fresh, "outcome_0"), count(fresh, "outcome_1")) == (2, 0)


def test_rows_have_a_place_when_nobody_begins_a_month(fresh: Connection) -> None:
    fresh.execute("select setval('crm_sync.change_change_id_seq', %s)", (MONTH - 1,))
    assert add_rows(fresh) == MONTH
    assert fresh.execute("select crm_sync.begin_month()").fetchone() == (1,), "the rows are there already"
    assert add_rows(fresh) == MONTH + 1, "and nothing is skipped"


def test_the_rows_of_one_month_are_looked_for_there_alone(fresh: Connection) -> None:
    ids = [add_rows(fresh)]
    plan = fresh.execute(
        "explain (analyze, costs off) select o.outcome from unnest(%s::bigint[]) w (id) cross join lateral "
        "(select outcome from crm_sync.outcome o where o.change_id = w.id offset 0) o",
        (ids,),
    ).fetchall()
    words = "\n".join(str(row[0]) for row in plan)
    assert "outcome_1" not in words or "never executed" in words, words
