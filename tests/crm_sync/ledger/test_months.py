"""The trail in months: an older ledger keeps its rows, a month begins without moving any, and rows always have a place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from crm_sync.ledger import runs
from crm_sync.ledger.database import Database
from crm_sync.ledger.leaves import MONTH
from crm_sync.ledger.migrate import migrate
from crm_sync.ledger.verify import verify

Connection = psycopg.Connection[tuple[object, ...]]
TRAIL = ("change", "outcome", "decision", "spending")
CHANGE = """insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules)
  values (1, 'one', 'contact', gen_random_uuid(), 'ours', 'create', '{}', '{"last_name": "Kern"}', '{}', '{"*": "new_in_crm"}')
  returning change_id"""
OUTCOME: LiteralString = "insert into crm_sync.outcome (change_id, run_id, outcome, fields) values (%s, 1, 'acknowledged', '{last_name}')"
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
    client.execute("insert into crm_sync.run (connection, kind) values ('one', 'sync')")


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


def age(client: Connection, months: int) -> None:
    """Everything that stands there is so much older, and a month begins."""
    client.execute("update crm_sync.month set began_at = began_at - make_interval(months => %s)", (months,))
    client.execute("select crm_sync.begin_month()")


def end_run(client: Connection) -> None:
    with (
        closing(Database(client.info.dsn + f" password={client.info.password}")) as database,
        database.transaction() as tx,
    ):
        runs.close(tx, 1, "succeeded", None, None)


def dropped(client: Connection) -> list[object]:
    return [row[0] for row in client.execute("select crm_sync.drop_months()").fetchall()]


def findings(client: Connection) -> list[str]:
    with closing(Database(client.info.dsn + f" password={client.info.password}")) as database:
        return verify(database).findings


def test_a_month_past_retention_goes_and_its_seals_still_fit(fresh: Connection) -> None:
    add_rows(fresh)
    end_run(fresh)
    age(fresh, 1)
    age(fresh, 24)
    assert dropped(fresh) == [], "it ended 24 months ago"
    age(fresh, 2)
    assert [str(line).split(",")[0] for line in dropped(fresh)] == ["month 0"]
    assert fresh.execute(
        "select to_regclass('crm_sync.change_0'), to_regclass('crm_sync.outcome_0')"
    ).fetchone() == (None, None)
    assert [count(fresh, "change"), count(fresh, "sealed"), count(fresh, "seal")] == [0, 0, 1]
    assert fresh.execute("select rule, actor is not null from crm_sync.decision").fetchall() == [
        ("retention", True)
    ]
    assert findings(fresh) == []
    assert dropped(fresh) == []


def test_a_month_that_is_not_sealed_or_has_an_open_doubt_is_kept(fresh: Connection) -> None:
    change_id = add_rows(fresh)
    for _ in range(3):
        age(fresh, 26)
    assert (
        dropped(fresh)[0]
        == f"month 0, which ended {ended(fresh)}, is kept: 1 of its rows of change are under no seal"
    )
    end_run(fresh)
    fresh.execute(
        "insert into crm_sync.intent (intent_id, change_id, run_id, link_id, creates, values, times, expected, sent_at, claim_until, expires_at) "
        "values (gen_random_uuid(), %s, 1, 1, true, '{}', '{}', '{}', now(), now(), now())",
        (change_id,),
    )
    assert str(dropped(fresh)[0]).endswith("is kept: a write of it has no answer yet")
    fresh.execute("delete from crm_sync.intent")
    assert str(dropped(fresh)[0]).endswith("was dropped")


def ended(client: Connection) -> object:
    rows = client.execute("select began_at::date from crm_sync.month where number = 1").fetchall()
    return rows[0][0]


def test_a_month_whose_lots_are_gone_but_that_was_not_dropped_is_found(fresh: Connection) -> None:
    add_rows(fresh)
    end_run(fresh)
    fresh.execute("set session_replication_role = replica")
    fresh.execute("delete from crm_sync.sealed")
    for table in TRAIL:
        fresh.execute(sql.SQL("delete from crm_sync.{}").format(sql.Identifier(table)))
    assert len(findings(fresh)) == 4
