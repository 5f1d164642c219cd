"""Backfill by Airflow's own command line and scheduler: two runs at once, and both reprocessed.

What the runs find no sync can: theirs changed with stamps of an hour ago, far behind the cursor.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from stack import airflow, env, postgres
from stack.airflow_api import AirflowApi
from stack.lifecycle import Stack
from stack.settings import CONNECTION, Settings

PROVISION, SYNC = f"crm_provision__{CONNECTION}", f"crm_sync__{CONNECTION}"
INTERVAL = timedelta(minutes=5)


@dataclass
class Site:
    """The running stack, and who works on it."""

    environment: dict[str, str]
    url: str
    client: psycopg.Connection[Any]
    airflow: AirflowApi
    user: requests.Session
    org: str
    admin: requests.Session

    def run(self, dag: str) -> None:
        """One run started by hand."""
        self.airflow.wait_for_dag(dag)
        run = self.airflow.trigger(dag)
        for state, _tasks in self.airflow.follow(dag, run):
            assert state != "failed", self.airflow.address_of(dag, run)

    def backfill(self, first: datetime, last: datetime, *words: str) -> list[dict[str, Any]]:
        """The command; gives its DAG runs as they are after their end."""
        dates = ("--from-date", first.isoformat(), "--to-date", last.isoformat())
        command = [sys.executable, "-m", "airflow", "backfill", "create", "--dag-id", SYNC, *dates, *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        deadline = time.monotonic() + 180
        while True:
            reply = self.user.get(f"{self.url}/api/v2/dags/{SYNC}/dagRuns?run_type=backfill", timeout=30)
            runs: list[dict[str, Any]] = [
                run for run in reply.json()["dag_runs"] if run["run_type"] == "backfill"
            ]
            backfills = self.user.get(f"{self.url}/api/v2/backfills?dag_id={SYNC}", timeout=30).json()
            if runs and all(b["completed_at"] for b in backfills["backfills"]):
                return sorted(runs, key=lambda run: str(run["logical_date"]))
            assert time.monotonic() < deadline, runs
            time.sleep(0.5)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of our database."""
        cursor = self.client.execute(query.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    def their_edit(self, email: str, phone: str, at: datetime) -> None:
        """A value that a long transaction of then wrote, seen only now."""
        ((id,),) = self.rows(
            "select l.their_id from crm_sync.link l join gptweb.contacts c on c.id = l.our_id where c.email = %s",
            email,
        )
        for path, body in (
            ("write", {"id": id, "values": {"Phone": phone}}),
            ("touch", {"ids": [id], "seconds": (at - datetime.now(UTC)).total_seconds()}),
        ):
            self.admin.post(f"{self.org}/standin/records/{path}", json=body, timeout=30).raise_for_status()

    def phones(self) -> dict[str, str | None]:
        """What our people have."""
        return dict(self.rows("select email, phone from gptweb.contacts"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    stack = Stack(Settings.load(tmp_path / "local"), say=lambda _line: None)
    try:
        stack.up({})
        settings, values = stack.settings, env.read(stack.env_file)
        server = postgres.start(settings.postgres_data, settings.ports.postgres)
        given = {"username": values["AIRFLOW_USER"], "password": values["AIRFLOW_PASSWORD"]}
        signed_in = requests.post(f"{values['AIRFLOW_URL']}/auth/token", json=given, timeout=30)
        with (
            requests.Session() as user,
            requests.Session() as admin,
            psycopg.connect(server.url, autocommit=True) as client,
        ):
            user.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
            admin.headers["Authorization"] = f"Bearer {values['SALESFORCE_STANDIN_TOKEN']}"
            yield Site(
                airflow.environment(settings, server, os.environ), values["AIRFLOW_URL"], client,
                AirflowApi(values["AIRFLOW_URL"], given["username"], given["password"]), user,
                values["SALESFORCE_STANDIN_URL"], admin,
            )  # fmt: skip
    finally:
        stack.down()


def test_two_intervals_at_once_and_once_more(site: Site) -> None:
    for name in ("one", "two", "today"):
        person = {"LastName": "Doe", "Email": f"{name}@x.example", "Phone": "p0"}
        address = f"{site.org}/services/data/v66.0/sobjects/Contact"
        site.admin.post(address, json=person, timeout=30).raise_for_status()
    site.run(PROVISION)
    site.run(SYNC)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    first = now - timedelta(minutes=now.minute % 5, hours=1)
    second = first + INTERVAL
    site.their_edit("one@x.example", "T1", first + timedelta(minutes=1))
    site.their_edit("two@x.example", "T2", second + timedelta(minutes=1))
    site.their_edit("today@x.example", "T3", first - timedelta(minutes=1))

    runs = site.backfill(first, second, "--max-active-runs", "2")
    assert [(run["state"], run["run_type"]) for run in runs] == [("success", "backfill")] * 2
    begun, ended = [run["start_date"] for run in runs], [run["end_date"] for run in runs]
    assert max(begun) < min(ended), "both were under way at once"
    assert site.phones() == {"one@x.example": "T1", "two@x.example": "T2", "today@x.example": "p0"}
    windows = site.rows(
        "select (options ->> 'since')::timestamptz, (options ->> 'until')::timestamptz from crm_sync.run "
        "where kind = 'backfill' order by 1"
    )
    assert windows == [(first, second), (second, second + INTERVAL)]
    assert site.rows("select distinct lane from crm_sync.spending join crm_sync.run using (run_id) "
                     "where kind = 'backfill'") == [("backfill",)]  # fmt: skip

    site.their_edit("one@x.example", "T4", first + timedelta(minutes=2))
    again = site.backfill(first, second, "--max-active-runs", "2", "--reprocess-behavior", "completed")
    assert [(run["dag_run_id"], run["state"]) for run in again] == [
        (run["dag_run_id"], "success") for run in runs
    ]
    assert site.phones()["one@x.example"] == "T4"
    sums = "select state, planned, acknowledged from crm_sync.run where kind = 'backfill' order by run_id"
    assert sorted(site.rows(sums)) == [("succeeded", 1, 1), ("succeeded", 2, 2)]
