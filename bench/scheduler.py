"""Figure 4: a run with 100 changes each way through a real Airflow, beside a run of as many empty tasks in the same one."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import requests

from bench.figures import Figure, Report
from bench.ours import STAGES
from bench.people import copy_ours, records, their_row
from crm_sync.mapping_files import load_mappings
from stack import airflow, env
from stack.airflow_api import AirflowApi
from stack.lifecycle import Stack
from stack.org_api import OrgApi
from stack.settings import CONNECTION, ROOT, Settings

__all__ = ["measure"]

CHANGES, PEOPLE, ROUNDS = 100, 200, 3
SYNC, FLOOR = f"crm_sync__{CONNECTION}", "bench_floor"
LONGEST = 15.0


@dataclass(frozen=True)
class Timed:
    """One run: seconds from the trigger to its success, and of each task."""

    whole: float
    tasks: dict[str, float]


def measure(_: int) -> Report:
    """Bring the stack up, provision, sync once; then rounds of edits, each beside a run of empty tasks."""
    with _stack() as stack:
        bench = _Bench(stack)
        bench.prepare()
        syncs, floors = [], []
        for number in range(ROUNDS):
            floors.append(bench.run(FLOOR))
            bench.edit(number)
            syncs.append(bench.run(SYNC))
            bench.check()
    whole, floor = (statistics.median(t.whole for t in runs) for runs in (syncs, floors))
    figures = [
        Figure(f"{CHANGES} changes each way, trigger to success", f"< {LONGEST:.0f} s", f"{whole:.1f} s", whole < LONGEST, whole),
        Figure(f"{len(STAGES)} empty tasks in the same Airflow", "", f"{floor:.1f} s", None, floor),
        Figure("ours above Airflow's own", "", f"{whole - floor:.1f} s", None, whole - floor),
    ]  # fmt: skip
    for name in STAGES:
        ours, empty = (statistics.median(t.tasks[name] for t in runs) for runs in (syncs, floors))
        figures.append(Figure(f"  task {name}", "", f"{ours:.2f} s (an empty one {empty:.2f} s)", None, ours))
    waits = statistics.median(t.whole - sum(t.tasks.values()) for t in syncs)
    figures.append(Figure("  scheduling between the tasks", "", f"{waits:.1f} s", None, waits))
    return Report(
        "A run through the scheduler",
        figures,
        [f"Medians of {ROUNDS} rounds; wall time, so other work on the machine shows."],
    )


class _Bench:
    """The stack, and what is done with it."""

    def __init__(self, stack: Stack) -> None:
        values = env.read(stack.env_file)
        self._database = values["CRM_SYNC_DATABASE_URL"]
        self._api = AirflowApi(values["AIRFLOW_URL"], values["AIRFLOW_USER"], values["AIRFLOW_PASSWORD"])
        self._rest = _reader(values)
        self._org = OrgApi(values["SALESFORCE_STANDIN_URL"], values["SALESFORCE_STANDIN_TOKEN"])
        self._theirs: list[str] = []

    def prepare(self) -> None:
        """Records on both sides, synced; both DAGs warm."""
        self.run(f"crm_provision__{CONNECTION}")
        copy_ours(self._database, "contact", list(records("contact", PEOPLE, "ours")))
        mapping = load_mappings("salesforce")["contact"]
        rows = [their_row(mapping, values) for values in records("contact", PEOPLE, "theirs")]
        self._theirs = self._org.create("Contact", rows)
        self.run(SYNC)
        self.run(FLOOR)

    def edit(self, number: int) -> None:
        """A hundred people typed something on each side."""
        with psycopg.connect(self._database) as connection:
            connection.execute(
                "update gptweb.contacts set title = %s where id in (select id from gptweb.contacts "
                "where email like '%%@ours.example' order by id limit %s)", (f"Title {number}", CHANGES),
            )  # fmt: skip
        self._org.update(
            "Contact", [{"Id": i, "Department": f"Dep {number}"} for i in self._theirs[:CHANGES]]
        )

    def run(self, dag: str) -> Timed:
        """One run of a DAG, when no other of it is at work."""
        self._api.wait_for_dag(dag)
        while self._api.others_at_work(dag):
            time.sleep(0.5)
        began = time.time()
        run = self._api.trigger(dag)
        for state, _ in self._api.follow(dag, run):
            if state == "failed":
                raise RuntimeError(f"{dag} failed: see {self._api.address_of(dag, run)}")
        where = f"dags/{dag}/dagRuns/{quote(run, safe='')}"
        ended = datetime.fromisoformat(self._rest(where)["end_date"]).timestamp()
        tasks = self._rest(f"{where}/taskInstances")["task_instances"]
        return Timed(ended - began, {task["task_id"]: float(task["duration"] or 0) for task in tasks})

    def check(self) -> None:
        """The edits arrived in the last run, or what was measured means nothing."""
        with psycopg.connect(self._database) as connection:
            row = connection.execute(
                "select planned, acknowledged from crm_sync.run_summary where kind = 'sync' order by run_id desc limit 1"
            ).fetchone()
        if row is None or row[0] < 2 * CHANGES or row[0] != row[1]:
            raise RuntimeError(f"the run planned and wrote {row}, not {2 * CHANGES} changes: measure again")


def _reader(values: dict[str, str]) -> Callable[[str], Any]:
    """Reads Airflow's REST API; the demo's client does not show when a run ended."""
    session = requests.Session()
    given = {"username": values["AIRFLOW_USER"], "password": values["AIRFLOW_PASSWORD"]}
    token = session.post(f"{values['AIRFLOW_URL']}/auth/token", json=given, timeout=30).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"

    def read(path: str) -> Any:
        reply = session.get(f"{values['AIRFLOW_URL']}/api/v2/{path}", timeout=30)
        reply.raise_for_status()
        return reply.json()

    return read


@contextmanager
def _stack() -> Iterator[Stack]:
    """A whole stack in a folder of its own, with our empty DAG beside the product's; gone at the end."""
    root = ROOT / ".local" / "bench"
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="stack-", dir=root))
    folder.chmod(0o755)
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("floor_dag.py"), dags / "bench_floor.py")
    usual = airflow.environment
    airflow.environment = lambda *given: usual(*given) | {"AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    stack = Stack(Settings.load(folder), say=lambda _: None)
    ports = ("POSTGRES_PORT", "AIRFLOW_PORT", "SALESFORCE_PORT")
    try:
        stack.up(
            {
                name: value
                for name, value in os.environ.items()
                if name not in ports and not name.startswith("SALESFORCE_")
            }
        )
        yield stack
    finally:
        airflow.environment = usual
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)
