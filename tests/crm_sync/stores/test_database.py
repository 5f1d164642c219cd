"""GPTWeb's own database: the Store over it passes the contract, and its triggers capture what any SQL client does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from crm_sync.ledger import settings
from crm_sync.ledger.database import Database, Transaction
from crm_sync.mapping_files import load_mappings
from crm_sync.model import ChangedSince, Object, Value, Write
from crm_sync.ports import Store
from crm_sync.stores.database import DatabaseStore
from tests.crm_sync.stores.contract import People, StoreContract, ids, new, soon, write_one

MAPPINGS = load_mappings("salesforce")


class DatabasePeople:
    """People who work in GPTWeb with any SQL client; here in the store's transaction, so that one clock tick is enough."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def creates(self, object: Object, **values: Value) -> str:
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        marks = sql.SQL(", ").join(sql.Placeholder() * len(values))
        query = sql.SQL("insert into gptweb.{} ({}) values ({}) returning id::text")
        return str(self._tx.one(query.format(_table(object), names, marks), list(values.values())))

    def edits(self, id: str, column: str, value: Value) -> None:
        query = sql.SQL("update gptweb.contacts set {} = %s where id = %s").format(sql.Identifier(column))
        self._tx.run(query, (value, id))

    def deletes(self, id: str) -> None:
        self._tx.run("update gptweb.contacts set deleted_at = now() where id = %s", (id,))

    def creates_many(self, object: Object, count: int) -> list[str]:
        query = sql.SQL(
            "insert into gptweb.{} (last_name) select 'Many ' || n from generate_series(1, %s) n returning id::text"
        )
        return [row[0] for row in self._tx.rows(query.format(_table(object)), (count,))]


def _table(object: Object) -> sql.Identifier:
    return sql.Identifier(MAPPINGS[object].table)


@pytest.fixture
def tx(database_url: str) -> Iterator[Transaction]:
    database = Database(database_url)
    with database.transaction() as tx:
        yield tx
    database.close()


@pytest.fixture
def store(tx: Transaction) -> DatabaseStore:
    return DatabaseStore(tx, MAPPINGS, page_size=200)


@pytest.fixture
def people(tx: Transaction) -> DatabasePeople:
    return DatabasePeople(tx)


class TestDatabaseStore(StoreContract):
    refused = ("total_score", 1e30)
    keeps_markers = False

    unknown_id = "00000000-0000-0000-0000-00000000abcd"

    def test_an_unknown_id_is_gone(self, store: Store, people: People) -> None:
        """A deleted row of ours is still there, so only an id that never was is gone."""
        alive = people.creates("contact", last_name="Alive")
        writes = [Write(id, id, "", {"title": "T"}) for id in (self.unknown_id, alive)]
        gone, fine = store.write("contact", writes, soon())
        assert ([f.kind for f in gone.failures], gone.before, gone.after) == (["gone"], None, None)
        assert fine.failures == ()

    def test_before_and_after_are_the_record_around_the_write(self, store: Store, people: People) -> None:
        """Who writes here has locked the row and decided on it in this transaction: there is nothing before to show."""
        id = people.creates("contact", last_name="Around", title="typed by a person", phone="1")
        answer = write_one(store, {"title": "written by us"}, id=id, our_id=id)
        assert answer.before is None
        assert answer.after is not None
        assert (answer.after.values["title"], answer.after.values["phone"]) == ("written by us", "1")

    def test_a_create_shows_no_images(self, store: Store) -> None:
        """Here it shows how the database keeps what was written."""
        answer = write_one(store, {"last_name": "Created", "title": ""})
        assert answer.after is not None
        assert (answer.after.values["last_name"], answer.after.values["title"]) == ("Created", None)


def test_column_times_are_those_of_the_edits_in_the_crm(tx: Transaction, store: DatabaseStore) -> None:
    typed = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    created = write_one(store, {"last_name": "A", "title": "T"})
    store.write(
        "contact", [Write(created.our_id, created.id, "", {"title": "U"}, times={"title": typed})], soon()
    )
    assert tx.one("select changed_at from gptweb.contacts") == {"title": "2026-01-02T03:04:05+00:00"}


def test_pages_are_cut_by_time_and_id(store: DatabaseStore, people: DatabasePeople) -> None:
    made = people.creates_many("contact", 450)
    pages = list(store.read([ChangedSince("contact")]))
    assert [len(page.images) for page in pages] == [200, 200, 50]
    assert ids(pages) == set(made)


def test_a_refused_row_names_every_refused_column(store: DatabaseStore) -> None:
    write = new(last_name="A", visit_count=1e19, total_score=1e30)
    [answer] = store.write("contact", [write], soon())
    assert {field for failure in answer.failures for field in failure.fields} == {
        "visit_count",
        "total_score",
    }


def test_a_reference_to_nobody_is_refused_by_its_column(store: DatabaseStore) -> None:
    [answer] = store.write("contact", [new(last_name="A", account_id=str(uuid.uuid4()))], soon())
    assert [failure.fields for failure in answer.failures] == [("account_id",)]


# ------------------------------------------------------------------------------------- capture by any SQL client


@pytest.fixture
def client(database_url: str) -> Iterator[psycopg.Connection[tuple]]:
    """Any SQL client, with two connections to capture for."""
    database = Database(database_url)
    with database.transaction() as tx:
        settings.connect(tx, "one", "salesforce", {})
        settings.connect(tx, "two", "salesforce", {})
    database.close()
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def contact(client: psycopg.Connection[tuple], **values: object) -> str:
    columns = sql.SQL(", ").join(map(sql.Identifier, values))
    marks = sql.SQL(", ").join(sql.Placeholder() * len(values))
    query = sql.SQL("insert into gptweb.contacts ({}) values ({}) returning id::text").format(columns, marks)
    row = client.execute(query, list(values.values())).fetchone()
    assert row is not None
    return str(row[0])


def one(client: psycopg.Connection[tuple], query: str) -> Any:
    row = client.execute(query.encode()).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def outbox(client: psycopg.Connection[tuple]) -> list[tuple]:
    return client.execute(
        "select connection, object, our_id::text, version from crm_sync.outbox order by 1, 3"
    ).fetchall()


def test_a_new_record_is_in_every_connections_outbox(client: psycopg.Connection[tuple]) -> None:
    id = contact(client, last_name="A")
    assert outbox(client) == [("one", "contact", id, 1), ("two", "contact", id, 1)]
    assert one(client, "select version, changed_at from gptweb.contacts") == (1, {})


def test_each_edit_raises_the_version_and_the_time_of_its_columns(client: psycopg.Connection[tuple]) -> None:
    id = contact(client, last_name="A", title="T")
    before = datetime.now(UTC) - timedelta(minutes=1)
    client.execute("update gptweb.contacts set title = 'U', phone = '1'")
    client.execute("update gptweb.contacts set phone = '2'")
    version, times = one(client, "select version, changed_at from gptweb.contacts")
    assert (version, set(times)) == (3, {"title", "phone"})
    assert before < datetime.fromisoformat(times["title"]) < datetime.fromisoformat(times["phone"])
    assert outbox(client) == [("one", "contact", id, 3), ("two", "contact", id, 3)]


def test_an_update_that_changes_nothing_is_no_edit(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A", title="T")
    client.execute("delete from crm_sync.outbox")
    client.execute(
        "update gptweb.contacts set title = 'T', version = 99, updated_at = now() + interval '1 day'"
    )
    assert one(client, "select version, changed_at from gptweb.contacts") == (1, {})


def test_a_client_cannot_set_times_or_versions(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A", version=7, changed_at='{"title": "2030-01-01T00:00:00Z"}')
    client.execute(
        """update gptweb.contacts set phone = '1', version = 9, changed_at = '{"phone": "2030-01-01T00:00:00Z"}'"""
    )
    version, times = one(client, "select version, changed_at from gptweb.contacts")
    assert (version, set(times)) == (2, {"phone"})
    assert datetime.fromisoformat(times["phone"]) < datetime(2030, 1, 1, tzinfo=UTC)


def test_an_empty_text_is_a_blank(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A", title="", phone="1")
    client.execute("update gptweb.contacts set phone = ''")
    assert one(client, "select title, phone, version from gptweb.contacts") == (None, None, 2)
    client.execute("update gptweb.contacts set phone = ''")
    assert one(client, "select version from gptweb.contacts") == 2


def test_a_flag_is_never_blank(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A", is_dql=None)
    assert one(client, "select is_dql from gptweb.contacts") is False


def test_an_id_never_changes(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A")
    with pytest.raises(psycopg.errors.RaiseException, match="never changes"):
        client.execute("update gptweb.contacts set id = gen_random_uuid()")


def test_a_bulk_update_is_captured_row_by_row(client: psycopg.Connection[tuple]) -> None:
    for n in range(3):
        contact(client, last_name=f"A{n}")
    client.execute("delete from crm_sync.outbox")
    client.execute("update gptweb.contacts set title = 'T' where last_name <> 'A1'")
    assert [row[3] for row in outbox(client)] == [2, 2, 2, 2]
    client.execute("update gptweb.contacts set title = 'U'")
    assert [row[3] for row in outbox(client) if row[0] == "one"].count(3) == 2


def test_a_delete_is_captured_with_a_newer_version(client: psycopg.Connection[tuple]) -> None:
    id = contact(client, last_name="A")
    client.execute("delete from gptweb.contacts")
    assert outbox(client) == [("one", "contact", id, 2), ("two", "contact", id, 2)]


def test_a_soft_delete_is_an_edit(client: psycopg.Connection[tuple]) -> None:
    contact(client, last_name="A")
    client.execute("update gptweb.contacts set deleted_at = now()")
    assert one(client, "select version, changed_at ? 'deleted_at' from gptweb.contacts") == (2, True)


def test_records_that_were_there_before_a_connection_go_to_its_outbox(
    client: psycopg.Connection[tuple], database_url: str
) -> None:
    id = contact(client, last_name="A")
    database = Database(database_url)
    with database.transaction() as tx:
        settings.connect(tx, "three", "salesforce", {})
    database.close()
    assert ("three", "contact", id, 1) in outbox(client)


def test_an_account_that_is_deleted_blanks_its_contacts_reference(client: psycopg.Connection[tuple]) -> None:
    client.execute("insert into gptweb.accounts (name) values ('A')")
    contact(client, last_name="A", account_id=one(client, "select id from gptweb.accounts"))
    client.execute("delete from gptweb.accounts")
    assert one(client, "select account_id, version, changed_at ? 'account_id' from gptweb.contacts") == (
        None,
        2,
        True,
    )


@pytest.mark.parametrize("table", ["change", "outcome", "decision", "spending"])
def test_the_audit_trail_is_append_only(client: psycopg.Connection[tuple], table: str) -> None:
    client.execute("insert into crm_sync.run (connection, kind) values ('one', 'sync')")
    run = one(client, "select run_id from crm_sync.run")
    client.execute(
        "insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules) "
        "values (%s, 'one', 'contact', gen_random_uuid(), 'ours', 'update', '{}', '{}', '{}', '{}')",
        (run,),
    )
    change = one(client, "select change_id from crm_sync.change")
    client.execute(
        "insert into crm_sync.outcome (change_id, run_id, outcome, fields) values (%s, %s, 'parked', '{}')",
        (change, run),
    )
    client.execute(
        "insert into crm_sync.decision (connection, object, rule, outcome) values ('one', 'contact', 'r', 'noted')"
    )
    client.execute(
        "insert into crm_sync.spending (connection, lane, purpose, booked_at) values ('one', 'sync', 'sync', now())"
    )
    for statement in ("delete from crm_sync.{}", "update crm_sync.{} set run_id = null"):
        with pytest.raises(psycopg.errors.RaiseException, match="only ever added"):
            client.execute(sql.SQL(statement).format(sql.Identifier(table)))
