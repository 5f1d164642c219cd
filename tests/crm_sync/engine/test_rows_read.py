"""No statement reads far more rows than there is to do: not on tables without statistics, not beside many records at rest.

A statement that joins a chunk with a whole table, or each row of a chunk with each other row, gives the right answer and
shows in no other test (adr/0004).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from crm_sync.engine import RunOptions
from crm_sync.ledger.database import Database, Transaction
from crm_sync.model import Object
from stack.org_api import OrgApi
from tests.crm_sync.engine.bulk_world import BulkWorld
from tests.crm_sync.provision.standin import ADMIN
from tests.crm_sync.stores.standin import StandinOrg, standin_org

FEW, MANY = 150, 2_000
OBJECTS: tuple[Object, ...] = ("account", "contact", "lead")
READ = """select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
  from pg_stat_xact_user_tables where schemaname in ('crm_sync', 'gptweb')"""


class CountedTransaction(Transaction):
    """Knows what each of its statements reads."""

    limit = 2**62
    beyond: list[str]

    def run(self, query: LiteralString | sql.Composed, parameters: Any = None) -> int:
        with self._counted(query):
            return super().run(query, parameters)

    def rows(self, query: LiteralString | sql.Composed, parameters: Any = None) -> list[Any]:
        with self._counted(query):
            return super().rows(query, parameters)

    def one(self, query: LiteralString | sql.Composed, parameters: Any = None) -> Any:
        with self._counted(query):
            return super().one(query, parameters)

    @contextmanager
    def _counted(self, query: LiteralString | sql.Composed) -> Iterator[None]:
        before: dict[str, int] = dict(self.connection.execute(READ).fetchall())
        yield
        for table, count in self.connection.execute(READ):
            if (read := count - before.get(table, 0)) > self.limit:
                words = query if isinstance(query, str) else query.as_string()
                self.beyond.append(f"{read:,} rows of {table}: {' '.join(words.split())[:300]}")


class CountingDatabase(Database):
    """A database whose statements are watched; ``beyond``: those that read more rows of a table than ``limit``."""

    def __init__(self, url: str, beyond: list[str]) -> None:
        super().__init__(url)
        self.url, self.beyond, self.limit = url, beyond, 2**62

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as tx:
            counted = CountedTransaction(tx.connection)
            counted.limit, counted.beyond = self.limit, self.beyond
            yield counted

    def twins(self, count: int) -> list[Database]:
        twins = [CountingDatabase(self.url, self.beyond) for _ in range(count)]
        for twin in twins:
            twin.limit = self.limit
        self._twins.extend(twins)
        return list(twins)


class Crowd(BulkWorld):
    """Accounts with contacts, and leads, on both sides."""

    database: CountingDatabase

    def __post_init__(self) -> None:
        super().__post_init__()
        for object in OBJECTS:  # who was made by another test is no concern here
            self.client.execute(
                "insert into crm_sync.cursor (connection, object, position) select connection, %s, position from crm_sync.cursor "
                "where object = 'contact' on conflict do nothing",
                (object,),
            )

    def open(self) -> int:
        self.runs += 1
        return self.engine.open_run(RunOptions("main", dag_run_id=str(self.runs), objects=OBJECTS))

    @property
    def people(self) -> OrgApi:
        return OrgApi(self.org.people.url, ADMIN)

    def ours(self, count: int) -> None:
        """So many new records of each kind in GPTWeb."""
        for statement in (
            """insert into gptweb.accounts (name, website) select gen_random_uuid(), gen_random_uuid() || '.example'
              from generate_series(1, %(count)s)""",
            """insert into gptweb.contacts (last_name, email, account_id) select %(tag)s, gen_random_uuid() || '@a.example', a.id
              from (select id from gptweb.accounts order by created_at desc limit %(count)s) a""",
            """insert into gptweb.leads (last_name, company, email) select %(tag)s, %(tag)s, gen_random_uuid() || '@l.example'
              from generate_series(1, %(count)s)""",
        ):
            self.client.execute(statement, {"tag": self.tag, "count": count})

    def theirs_new(self, count: int) -> None:
        """So many new records of each kind in the CRM."""
        accounts = self.people.create(
            "Account", [{"Name": str(uuid4()), "Website": f"{uuid4()}.example"} for _ in range(count)]
        )
        self.people.create(
            "Contact",
            [{"LastName": self.tag, "Email": f"{uuid4()}@t.example", "AccountId": id} for id in accounts],
        )
        self.people.create(
            "Lead",
            [
                {"LastName": self.tag, "Company": self.tag, "Email": f"{uuid4()}@u.example"}
                for _ in range(count)
            ],
        )

    def edits(self, count: int) -> None:
        """So many edits of each kind on each side, of records of their own."""
        for table, object, type_ in (("contacts", "contact", "Contact"), ("leads", "lead", "Lead")):
            known = self.client.execute(
                "select our_id, their_id from crm_sync.link where object = %s and their_id is not null order by random() limit %s",
                (object, 2 * count),
            ).fetchall()
            self.client.execute(
                f"update gptweb.{table} set title = 'ours' where id = any(%s)".encode(),
                ([o for o, _ in known[:count]],),
            )
            self.people.update(type_, [{"Id": their_id, "Title": "theirs"} for _, their_id in known[count:]])

    def syncs(self, limit: int, ends: str = "succeeded") -> None:
        """A run, none of whose statements may read more rows of a table."""
        self.database.limit = limit
        self.database.close()
        self.run_once(ends)
        self.database.limit = 2**62

    def run_once(self, ends: str = "succeeded") -> None:
        """A run, and an hour without one: nothing that it wrote is read again."""
        assert self.run().state == ends
        self.later += timedelta(hours=1)
        self.org.people.ask("POST", "/standin/clock", json={"advance": 3600})


@pytest.fixture(scope="module")
def stood_in() -> Iterator[StandinOrg]:
    with standin_org() as org:
        org.people.ask("POST", "/standin/settings", json={"bulk_milliseconds": 1})
        yield org


@pytest.fixture
def org(stood_in: StandinOrg) -> Iterator[StandinOrg]:
    yield stood_in
    stood_in.people.mends()


@pytest.mark.parametrize("large_pushes", ["composite", "bulk"])
def test_statements_read_what_there_is_to_do(org: StandinOrg, database_url: str, large_pushes: str) -> None:
    beyond: list[str] = []
    with (
        closing(CountingDatabase(database_url, beyond)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        world = Crowd(org, database, client, {"large_pushes": large_pushes})
        client.execute("vacuum analyze")  # every table looks empty
        world.ours(FEW)
        world.theirs_new(FEW)
        world.syncs(FEW * FEW // 2)
        assert not beyond, "\n".join(["a first sync, without statistics", *beyond])
        world.ours(MANY)
        world.run_once()
        world.run_once()
        client.execute("vacuum analyze")
        world.ours(2 * FEW)
        world.theirs_new(FEW // 5)
        world.edits(FEW // 5)
        world.syncs(2 * MANY)
        assert not beyond, "\n".join(["beside many records at rest", *beyond])


def test_merges_deletes_conversions_and_parked_values_read_what_there_is_to_do(
    org: StandinOrg, database_url: str
) -> None:
    beyond: list[str] = []
    with (
        closing(CountingDatabase(database_url, beyond)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        world = Crowd(org, database, client)
        client.execute("vacuum analyze")
        world.ours(FEW)
        world.run_once()
        contacts, leads = (
            [
                row[0]
                for row in client.execute("select their_id from crm_sync.link where object = %s", (object,))
            ]
            for object in ("contact", "lead")
        )
        for winner, loser in zip(contacts[:30], contacts[30:60], strict=True):
            org.people.merges(winner, loser)
        for gone in contacts[60:90]:
            org.people.deletes(gone)
        for lead in leads[:50]:
            org.people.ask("POST", "/standin/records/convert", json={"leadId": lead})
        org.people.breaks(
            action="refuse_rows",
            body="Refused",
            code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
            message="No.",
            count=None,
        )
        client.execute(
            "update gptweb.contacts set title = 'Refused' where id in (select our_id from crm_sync.link where their_id = any(%s))",
            (contacts[90:],),
        )
        world.syncs(FEW * 10, "succeeded_with_parked")
        client.execute("update gptweb.contacts set phone = '1' where title = 'Refused'")
        world.syncs(FEW * 10, "succeeded_with_parked")
    assert not beyond, "\n".join(beyond)
