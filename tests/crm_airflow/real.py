"""The real stack for one test module: Postgres, a Salesforce org on the wire, and a connection between them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from crm_sync.ledger import settings, snapshot
from crm_sync.ledger.database import Database
from crm_sync.ledger.migrate import migrate
from stack import postgres
from stack.ports import free_port
from tests.crm_airflow.airflow_env import DAGS, ROOT

NAME = "salesforce_main"


@dataclass
class Org:
    """A stand-in as its sales administrator sees it, who is not the integration user."""

    url: str
    client_id: str = field(default_factory=lambda: "3MVG9" + secrets.token_hex(20))
    client_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    token: str = field(default_factory=lambda: "00D5g000000AbCd!" + secrets.token_hex(20))

    def ask(self, method: str, path: str, **content: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        reply = requests.request(
            method, f"{self.url}/services/data/v66.0{path}", headers=headers, timeout=10, **content
        )
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    def control(self, path: str, command: dict[str, Any]) -> None:
        """Make the org misbehave; see salesforce_standin/admin.py."""
        headers = {"Authorization": f"Bearer {self.token}"}
        requests.post(
            f"{self.url}/standin{path}", headers=headers, json=command, timeout=10
        ).raise_for_status()

    def change_app(self, **changes: Any) -> None:
        """Change the app by which we come in, as an administrator does in Setup."""
        headers = {"Authorization": f"Bearer {self.token}"}
        address = f"{self.url}/standin/apps/{self.client_id}"
        requests.patch(address, headers=headers, json=changes, timeout=10).raise_for_status()

    def query(self, soql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("GET", "/query", params={"q": soql})["records"]
        return rows

    def extra(self) -> dict[str, str]:
        """What the Airflow connection holds."""
        return {
            "instance_url": self.url,
            "consumer_key": self.client_id,
            "consumer_secret": self.client_secret,
        }


@contextmanager
def running_org(log: Path) -> Iterator[Org]:
    """A new, empty org."""
    org = Org(f"http://127.0.0.1:{free_port()}")
    given = {"TOKEN": org.token, "CLIENT_ID": org.client_id, "CLIENT_SECRET": org.client_secret}
    env = {**os.environ, "PYTHONPATH": str(ROOT / "include")} | {
        f"SALESFORCE_STANDIN_{k}": v for k, v in given.items()
    }
    command = [
        sys.executable,
        "-m",
        "salesforce_standin",
        "--port",
        org.url.rpartition(":")[2],
        "--seed",
        "none",
    ]
    with log.open("w") as out, subprocess.Popen(command, env=env, stdout=out, stderr=out) as process:
        try:
            _wait(org, log)
            yield org
        finally:
            process.terminate()


def _wait(org: Org, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            requests.get(f"{org.url}/services/data/", timeout=1).raise_for_status()
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())


@contextmanager
def running_hub(folder: Path) -> Iterator[str]:
    """A migrated database with the connection, and Airflow's snapshot of it; gives its address."""
    with postgres.temporary(folder) as server:
        migrate(server.url)
        make_connection(server.url, NAME)
        yield server.url


def make_connection(url: str, name: str, chosen: dict[str, object] | None = None) -> None:
    """A connection in GPTWeb's settings and in Airflow's snapshot."""
    database = Database(url)
    with database.transaction() as tx:
        settings.connect(tx, name, "salesforce", chosen or {})
        snapshot.write(tx)
    database.close()


def airflow_connection(
    monkeypatch: pytest.MonkeyPatch, name: str, extra: dict[str, str], conn_type: str = "salesforce"
) -> None:
    """A connection in Airflow, for one test."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": conn_type, "extra": extra}))


def run(kind: str, name: str = NAME, retries: int = 3, **conf: Any) -> tuple[str, dict[str, str]]:
    """Parse the DAG files anew, run one DAG once, and return its state and those of its tasks.

    Airflow's runner would wait for a person for ever: tasks that do are passed over, which is no answer.
    """
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS), load_op_links=False)
    assert bag.import_errors == {}
    dag = bag.dags[f"crm_{kind}__{name}" if name else f"crm_{kind}"]
    for task in dag.tasks:
        task.retries = retries
    done = dag.test(run_conf=conf or None, mark_success_pattern="approve_.*")
    return str(done.state), {ti.task_id: str(ti.state) for ti in done.get_task_instances()}


def rows(url: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []
