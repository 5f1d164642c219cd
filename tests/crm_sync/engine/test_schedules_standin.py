"""Schedules 6, 31 and 32 against the Salesforce stand-in over a socket, with workers in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from crm_sync.engine import RunOptions, RunReport
from crm_sync.errors import SyncError
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.model import Value
from tests.crm_sync.engine.worker import STAGES, engine_on
from tests.crm_sync.stores.standin import StandinOrg


@dataclass
class Pair:
    """Both sides, and one person whom both know."""

    org: StandinOrg
    url: str
    database: Database
    client: psycopg.Connection[Any]
    later: timedelta = timedelta(0)
    ours: str = ""
    theirs: str = ""
    runs: int = 0

    def open(self) -> int:
        self.runs += 1
        return engine_on(self.database, self.org.session, self.later).open_run(
            RunOptions("main", dag_run_id=str(self.runs), objects=("contact",))
        )

    def stage(self, run_id: int, *stages: str) -> None:
        for stage in stages:
            getattr(engine_on(self.database, self.org.session, self.later), stage)(run_id)

    def run(self) -> RunReport:
        """What Airflow does: settle comes whatever happened."""
        run_id = self.open()
        try:
            self.stage(run_id, *STAGES)
        except SyncError as error:
            self.error = error
        return engine_on(self.database, self.org.session, self.later).settle(run_id)

    def our_edit(self, **values: Value) -> None:
        for column, value in values.items():
            self.client.execute(
                f"update gptweb.contacts set {column} = %s where id = %s".encode(), (value, self.ours)
            )

    def worker(self, run_id: int, *stages: str) -> subprocess.Popen[bytes]:
        """A process of its own."""
        command = [
            sys.executable,
            "-m",
            "tests.crm_sync.engine.worker",
            self.url,
            self.org.people.url,
            str(run_id),
        ]
        return subprocess.Popen([*command, *stages])

    def wait_for(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)

    def one(self, query: str) -> Any:
        row = self.client.execute(query.encode()).fetchone()
        return row[0] if row else None

    def contacts(self) -> list[dict[str, Any]]:
        """The org's contacts that this test knows."""
        query = f"SELECT Id, Title, Phone FROM Contact WHERE LastName = '{self.name}' ORDER BY Id"
        found: list[dict[str, Any]] = self.org.people.rest("GET", "/query", params={"q": query})["records"]
        return found

    @property
    def name(self) -> str:
        """Nobody of another test is called so."""
        return f"Name{self.ours[:8]}"

    def assert_sound(self) -> None:
        """Leases and doubts run out, two runs, and both sides agree; then a run is silent, and all sums add up."""
        self.later += timedelta(hours=1)
        self.run()
        self.run()
        ours = self.client.execute(
            "select their_id, title, phone from gptweb.contacts left join crm_sync.link on our_id = id where last_name = %s",
            (self.name,),
        ).fetchall()
        theirs = [(c["Id"], c["Title"], c["Phone"]) for c in self.contacts()]
        assert sorted(ours) == sorted(theirs)
        assert self.one("select count(*) from crm_sync.intent where closed_by is null") == 0
        self.org.meter.booked.clear()
        report = self.run()
        assert (report.state, report.counts["planned"], len(self.org.meter.booked)) == ("succeeded", 0, 1)
        sums = (
            "planned is distinct from acknowledged + parked + superseded + in_doubt and ended_at is not null"
        )
        assert self.one(f"select count(*) from crm_sync.run_summary where {sums}") == 0


@pytest.fixture
def pair(org: StandinOrg, database_url: str) -> Iterator[Pair]:
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        yield from _pair(org, database_url, database, client)
    org.people.mends()


def _pair(org: StandinOrg, url: str, database: Database, client: psycopg.Connection[Any]) -> Iterator[Pair]:
    with database.transaction() as tx:
        settings.connect(tx, "main", "salesforce", {"conflict_policy": "crm_wins"})
    pair = Pair(org, url, database, client)
    pair.ours = pair.one("select gen_random_uuid()::text")
    client.execute(
        "insert into gptweb.contacts (id, last_name, title, email) values (%s, %s, 'n0', %s)",
        (pair.ours, pair.name, f"{pair.ours[:8]}@example.com"),
    )
    run_id = pair.open()  # without a pull: the people whom other tests made in the org are no concern here
    pair.stage(run_id, "plan", "push_theirs", "settle")
    pair.theirs = pair.contacts()[0]["Id"]
    yield pair


def test_old_run_pushes_after_newer(pair: Pair) -> None:
    pair.our_edit(title="O1")
    old = pair.open()
    pair.stage(old, "pull", "plan", "push_ours")
    pair.our_edit(title="O2")
    pair.run()
    pair.org.people.forgets()
    pair.stage(old, "push_theirs", "settle")
    assert pair.org.people.calls() == []
    pair.assert_sound()
    assert [c["Title"] for c in pair.contacts()] == ["O2"]


@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
def test_connection_breaks_around_the_commit(pair: Pair, action: str) -> None:
    pair.our_edit(title="O1")
    pair.client.execute("insert into gptweb.contacts (last_name, title) values (%s, 'new')", (pair.name,))
    run_id = pair.open()
    pair.stage(run_id, "pull", "plan", "push_ours")
    pair.org.people.breaks(action=action, path="composite")
    with pytest.raises(SyncError):
        pair.stage(run_id, "push_theirs")
    pair.stage(run_id, "settle")
    mine = f"our_id = '{pair.ours}' and field = 'title' and run_id = {run_id}"
    assert pair.one(f"select array_agg(outcome) from crm_sync.audit_trail where {mine}") == ["in_doubt"]
    pair.our_edit(phone="+49 1")
    pair.assert_sound()
    assert [c["Title"] for c in pair.contacts()] == ["O1", "new"]


@pytest.mark.parametrize("action", ["delay", "delay_after"])
def test_worker_killed_while_its_call_is_under_way(pair: Pair, action: str) -> None:
    pair.our_edit(title="O1")
    run_id = pair.open()
    pair.stage(run_id, "pull", "plan", "push_ours")
    pair.org.people.breaks(action=action, path="composite", seconds=3)
    worker = pair.worker(run_id, "push_theirs")
    try:
        pair.wait_for(lambda: pair.one("select count(*) from crm_sync.intent where closed_by is null"))
        if action == "delay_after":
            pair.wait_for(lambda: pair.contacts()[0]["Title"] == "O1")
        else:
            time.sleep(0.5)  # the request is on its way by then; if not, this is another crash and as good
    finally:
        worker.kill()
        worker.wait()
    if action == "delay":
        time.sleep(3)  # it may commit all the same, long after its sender is dead
    pair.our_edit(phone="+49 1")
    pair.assert_sound()
    assert [(c["Title"], c["Phone"]) for c in pair.contacts()] == [("O1", "+49 1")]


def test_two_processes_run_the_same_cleared_push_task(pair: Pair) -> None:
    pair.our_edit(title="O1")
    for n in range(20):
        pair.client.execute(
            "insert into gptweb.contacts (last_name, title) values (%s, %s)", (pair.name, f"new {n}")
        )
    with pair.database.transaction() as tx:
        settings.change_settings(tx, "main", {"batch_size": 3})
    run_id = pair.open()
    pair.stage(run_id, "pull", "plan", "push_ours")
    workers = [pair.worker(run_id, "push_theirs") for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    pair.stage(run_id, "settle")
    assert len(pair.contacts()) == 21
    pair.assert_sound()
