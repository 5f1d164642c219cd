"""Deletes, undeletes, merges, conversions and purges in the Salesforce stand-in, over a socket, by its own levers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from crm_sync.engine import RunOptions
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.model import Object
from tests.crm_sync.engine.worker import STAGES, engine_on
from tests.crm_sync.stores.standin import StandinOrg


@dataclass
class Hub:
    """GPTWeb's side, and the org's people."""

    org: StandinOrg
    database: Database
    client: psycopg.Connection[Any]
    later: timedelta = timedelta(0)
    runs: int = 0

    def run(self) -> None:
        """A whole run, long enough after the last that no doubt is left open."""
        self.later += timedelta(hours=1)
        self.runs += 1
        engine = engine_on(self.database, self.org.session, self.later)
        run_id = engine.open_run(RunOptions("main", dag_run_id=str(self.runs)))
        for stage in STAGES:
            getattr(engine, stage)(run_id)
        report = engine.settle(run_id)
        assert report.state in ("succeeded", "succeeded_with_parked"), report

    def settle(self) -> None:
        """Two runs, and one that has nothing to do and costs one call."""
        self.run()
        self.run()
        planned = self.one("select count(*) from crm_sync.change")
        self.org.meter.booked.clear()
        self.run()
        assert (self.one("select count(*) from crm_sync.change"), len(self.org.meter.booked)) == (planned, 1)

    def one(self, query: str, *parameters: object) -> Any:
        row = self.client.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def their_id(self, object: Object, last_name: str) -> str:
        query = f"select their_id from crm_sync.link join gptweb.{object}s o on o.id = our_id where last_name = %s"
        return str(self.one(query, last_name))

    def record(self, type: str, id: str) -> dict[str, Any]:
        query = f"SELECT Id, IsDeleted, Title FROM {type} WHERE Id = '{id}'"
        (found,) = self.org.people.rest("GET", "/queryAll", params={"q": query})["records"]
        return dict(found)

    def lever(self, name: str, **what: Any) -> Any:
        return self.org.people.ask("POST", f"/standin/records/{name}", json=what)


@pytest.fixture
def hub(org: StandinOrg, database_url: str) -> Iterator[Hub]:
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        with database.transaction() as tx:
            settings.connect(tx, "main", "salesforce", {"conflict_policy": "crm_wins"})
        hub = Hub(org, database, client)
        hub.run()
        yield hub


def new(hub: Hub, object: Object, last_name: str, **more: str) -> str:
    """A record of ours that both sides know; answers its id there."""
    row = {"last_name": last_name, "title": "n0", **more}
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    hub.client.execute(
        f"insert into gptweb.{object}s ({names}) values ({marks})".encode(), tuple(row.values())
    )
    hub.run()
    return hub.their_id(object, last_name)


def test_deleted_and_undeleted_there(hub: Hub) -> None:
    id = new(hub, "contact", "Bin")
    hub.org.people.edits(id, "title", "T1")
    hub.org.people.deletes(id)
    hub.settle()
    query = "select title || ' ' || archived_by from gptweb.contacts where last_name = 'Bin'"
    assert hub.one(query) == "T1 engine"
    hub.lever("undelete", ids=[id])
    hub.settle()
    assert hub.one("select deleted_at is null from gptweb.contacts where last_name = 'Bin'")


def test_deleted_there_and_edited_here(hub: Hub) -> None:
    id = new(hub, "contact", "Again")
    hub.client.execute("update gptweb.contacts set title = 'O1' where last_name = 'Again'")
    hub.org.people.deletes(id)
    hub.settle()
    made = hub.their_id("contact", "Again")
    assert made != id
    assert hub.record("Contact", made)["Title"] == "O1"


def test_deleted_here(hub: Hub) -> None:
    with hub.database.transaction() as tx:
        settings.change_settings(tx, "main", {"our_archive": "delete"})
    ids = [new(hub, "contact", f"Out {n}") for n in range(3)]
    hub.client.execute("delete from gptweb.contacts where last_name like 'Out%'")
    hub.settle()
    assert [hub.record("Contact", id)["IsDeleted"] for id in ids] == [True] * 3


def test_merged_there(hub: Hub) -> None:
    loser = new(hub, "contact", "Loser")
    winner = hub.org.people.creates("contact", last_name="Loser", title="W1")
    hub.org.people.merges(winner, loser)
    hub.settle()
    assert hub.their_id("contact", "Loser") == winner
    assert hub.one("select title from gptweb.contacts where last_name = 'Loser'") == "W1"
    assert hub.one("select keyed from crm_sync.link where their_id = %s", winner)


def test_two_of_ours_merged_there(hub: Hub) -> None:
    loser, winner = new(hub, "contact", "First"), new(hub, "contact", "Second")
    hub.org.people.merges(winner, loser)
    hub.settle()
    assert hub.their_id("contact", "Second") == winner
    assert hub.one("select count(*) from crm_sync.parked where code = 'merged' and lifted_at is null") == 1
    assert (
        hub.one(
            "select count(*) from gptweb.contacts where deleted_at is null and last_name in ('First', 'Second')"
        )
        == 2
    )


def test_converted_there(hub: Hub) -> None:
    lead = new(hub, "lead", "Become", company="Acme", city="Ghent")
    hub.client.execute("update gptweb.leads set title = 'O1', total_score = 5 where last_name = 'Become'")
    became = hub.lever("convert", leadId=lead)["contactId"]
    hub.settle()
    assert hub.their_id("contact", "Become") == became
    assert hub.record("Contact", became)["Title"] == "O1"
    assert hub.one("select archived_by from gptweb.leads where last_name = 'Become'") == "engine"
    row = hub.client.execute(
        "select mailing_city, c.total_score, a.name from gptweb.contacts c join gptweb.accounts a on a.id = c.account_id "
        "where last_name = 'Become'"
    ).fetchone()
    assert row == ("Ghent", 5, "Acme")


def test_purged_there(hub: Hub) -> None:
    id = new(hub, "contact", "Purged")
    hub.client.execute("update gptweb.contacts set title = 'O1' where last_name = 'Purged'")
    hub.org.people.deletes(id)
    hub.lever("purge", ids=[id])
    hub.run()
    hub.settle()
    assert hub.one("select deleted_at is null from gptweb.contacts where last_name = 'Purged'")
    assert hub.one("select count(*) from crm_sync.parked where code = 'lost' and lifted_at is null") == 1
