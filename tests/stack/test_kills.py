"""Task processes of a running Airflow, killed with SIGKILL while people on both sides type on; then the promises.

The finer points, at every step of a transaction or call, are in tests/crm_sync/engine/cases/test_kills.py.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import psycopg
import pytest
import requests

from stack import env
from stack.airflow_api import AirflowApi
from stack.lifecycle import Stack
from stack.settings import CONNECTION, Settings

PROVISION, SYNC = f"crm_provision__{CONNECTION}", f"crm_sync__{CONNECTION}"
STAGES = ("pull", "plan", "push_ours", "push_theirs", "settle")
KILLS = 20
SEED = 20_261_122
PEOPLE = 60
"""So many that a few days' edits are no mass overwrite, which would ask for approval."""
TITLE = "airflow worker -- "
"""How the process of a task calls itself, before the id of its task instance."""
SUMS = "planned is distinct from acknowledged + parked + superseded + in_doubt and ended_at is not null"


@dataclass
class Site:
    """The running stack, and everybody who works on it."""

    stack: Stack
    values: dict[str, str]
    client: psycopg.Connection[Any]
    airflow: AirflowApi
    user: requests.Session
    admin: requests.Session
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    titles: dict[str, str] = field(default_factory=dict)
    phones: dict[str, str] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    # ----------------------------------------------------------------------------------------- Airflow

    def run(self, dag: str) -> None:
        """A run from its beginning to its end, whatever that is."""
        self.finish(dag, self.airflow.trigger(dag))

    def finish(self, dag: str, run: str) -> None:
        """Wait for the end of a run."""
        for _state, _tasks in self.airflow.follow(dag, run):
            pass

    def instance(self, run: str, task: str) -> dict[str, Any]:
        """A task of a run as Airflow has it."""
        reply = self.user.get(f"{self._runs}/{run}/taskInstances/{task}", timeout=30)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found

    def kill(self, run: str, task: str) -> None:
        """End the process of a task at some moment, and clear the task, as somebody does who saw it fail."""
        process = self.wait_for(lambda: self._process(self.instance(run, task)))
        if process == "ended":
            return
        # Wherever it is by then: a task takes a tenth of a second on one machine and a second on another.
        time.sleep(self.dice.uniform(0, self.dice.choice((0.1, 0.3, 1))))
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return
        self.killed.append(task)
        self.wait_for(lambda: self.instance(run, task)["state"] != "running")
        wanted = {
            "dry_run": False, "dag_run_id": run, "task_ids": [task], "only_failed": False, "reset_dag_runs": True,
            "include_downstream": True,
        }  # fmt: skip
        address = f"{self.values['AIRFLOW_URL']}/api/v2/dags/{SYNC}/clearTaskInstances"
        self.user.post(address, json=wanted, timeout=30).raise_for_status()

    def _process(self, instance: dict[str, Any]) -> psutil.Process | Literal["ended"] | None:
        """The process of a task that runs."""
        if instance["state"] == "success":
            return "ended"
        if instance["state"] != "running":
            return None
        title = f"{TITLE}{instance['id']}"
        processes = psutil.process_iter(["cmdline"])
        return next((p for p in processes if title in " ".join(p.info["cmdline"] or ())), None)

    @property
    def _runs(self) -> str:
        return f"{self.values['AIRFLOW_URL']}/api/v2/dags/{SYNC}/dagRuns"

    def wait_for(self, happened: Callable[[], Any]) -> Any:
        """What happened, once it has."""
        deadline = time.monotonic() + 120
        while not (found := happened()):
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.1)
        return found

    # ------------------------------------------------------------------------------------------ people

    def rest(self, method: str, path: str, **content: Any) -> Any:
        """What the org's administrator does."""
        address = f"{self.values['SALESFORCE_STANDIN_URL']}/services/data/v66.0{path}"
        reply = self.admin.request(method, address, timeout=30, **content)
        assert reply.ok, reply.text
        return reply.json() if reply.content else None

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of our database."""
        cursor = self.client.execute(query.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def edit(self, number: int) -> None:
        """A day's work: titles are typed here, phones there, and each side gets somebody new."""
        known = self.rows(
            "select our_id::text, their_id from crm_sync.link where object = 'contact' order by 1"
        )
        for our_id, _ in self.dice.sample(known, 5):
            self.titles[our_id] = f"O{number}"
            self.rows("update gptweb.contacts set title = %s where id = %s", f"O{number}", our_id)
        for our_id, their_id in self.dice.sample(known, 5):
            self.phones[our_id] = f"T{number}"
            self.rest("PATCH", f"/sobjects/Contact/{their_id}", json={"Phone": f"T{number}"})
        self.rows(
            "insert into gptweb.contacts (last_name, email) values ('New', %s)", f"ours{number}@example.com"
        )
        self.rest(
            "POST", "/sobjects/Contact", json={"LastName": "New", "Email": f"theirs{number}@example.com"}
        )

    def wait(self) -> None:
        """Leases and doubts run out: whoever sent something is dead, and the org has answered all it got."""
        self.rows(
            "update crm_sync.intent set claim_until = now(), expires_at = now() where closed_by is null"
        )
        self.rows("update crm_sync.link set claim_until = now() where claim_until is not null")

    def contacts(self) -> list[tuple[Any, ...]]:
        """What the org shows."""
        query = {"q": "SELECT Id, Title, Phone, Email FROM Contact"}
        records = self.rest("GET", "/query", params=query)["records"]
        return sorted((r["Id"], r["Title"], r["Phone"], r["Email"]) for r in records)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    stack = Stack(Settings.load(tmp_path / "local"), say=lambda _line: None)
    try:
        stack.up({})
        values = env.read(stack.env_file)
        airflow = AirflowApi(values["AIRFLOW_URL"], values["AIRFLOW_USER"], values["AIRFLOW_PASSWORD"])
        token = {"username": values["AIRFLOW_USER"], "password": values["AIRFLOW_PASSWORD"]}
        signed_in = requests.post(f"{values['AIRFLOW_URL']}/auth/token", json=token, timeout=30)
        with (
            requests.Session() as user,
            requests.Session() as admin,
            psycopg.connect(values["CRM_SYNC_DATABASE_URL"], autocommit=True) as client,
        ):
            user.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
            admin.headers["Authorization"] = f"Bearer {values['SALESFORCE_STANDIN_TOKEN']}"
            yield Site(stack, values, client, airflow, user, admin)
    finally:
        stack.down()


def test_task_processes_killed_while_airflow_runs(site: Site) -> None:
    for n in range(PEOPLE):
        site.rows("insert into gptweb.contacts (last_name, email) values ('Doe', %s)", f"e{n}@example.com")
    for dag in (PROVISION, SYNC):
        site.airflow.wait_for_dag(dag)
        site.run(dag)
    days = 0
    while len(site.killed) < KILLS:
        days += 1
        assert days <= 60, f"too few were caught alive: {site.killed}"
        site.edit(days)
        run = site.airflow.trigger(SYNC)
        for task in STAGES:
            site.kill(run, task)
        site.finish(SYNC, run)
        site.wait()
    for _ in range(2):
        site.run(SYNC)

    ours = site.rows(
        "select l.their_id, c.title, c.phone, c.email from gptweb.contacts c left join crm_sync.link l on l.our_id = c.id"
    )
    theirs = site.contacts()
    assert sorted(ours) == theirs
    assert len(theirs) == len({email for *_, email in theirs}) == PEOPLE + 2 * days
    held = {row[0]: row[1:] for row in site.rows("select id::text, title, phone from gptweb.contacts")}
    assert {one: held[one][0] for one in site.titles} == site.titles
    assert {one: held[one][1] for one in site.phones} == site.phones
    assert site.rows(f"select run_id from crm_sync.run_summary where {SUMS}") == []
    assert site.rows("select 1 from crm_sync.intent where closed_by is null") == []
    written = site.rows("select count(*) from crm_sync.change")
    site.run(SYNC)
    assert site.rows("select count(*) from crm_sync.change") == written, (
        "a run with nothing to do plans nothing"
    )
