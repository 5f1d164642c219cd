"""The little of Airflow's REST API that the demo uses: trigger a run, follow its tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from stack.errors import StackError

DONE = frozenset({"success", "failed"})


@dataclass(frozen=True)
class Task:
    """A task of a run as the UI shows it."""

    name: str
    state: str
    seconds: float


class AirflowApi:
    """A signed-in user of Airflow."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        reply = self._session.post(
            f"{url}/auth/token", json={"username": user, "password": password}, timeout=30
        )
        if not reply.ok:
            raise StackError(
                f"Airflow refused the user {user} ({reply.status_code}): run `make down`, then `make up`."
            )
        self._session.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"

    def wait_for_dag(self, dag: str, seconds: float = 60) -> None:
        """Wait until the DAG processor has found a DAG; import errors are shown."""
        deadline = time.monotonic() + seconds
        while (
            self._session.get(f"{self._url}/api/v2/dags/{dag}", timeout=30).status_code != requests.codes.ok
        ):
            if time.monotonic() > deadline:
                errors = self._get("importErrors")["import_errors"]
                told = "\n".join(f"{e['filename']}: {e['stack_trace']}" for e in errors) or "no import errors"
                raise StackError(f"The DAG {dag} has not appeared in Airflow within {seconds:.0f} s:\n{told}")
            time.sleep(0.3)

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run; return its id."""
        body = {"logical_date": None, "conf": conf or {}}
        reply = self._session.post(f"{self._url}/api/v2/dags/{dag}/dagRuns", json=body, timeout=30)
        if not reply.ok:
            raise StackError(f"Airflow did not start {dag} ({reply.status_code}): {reply.text[:400]}")
        return str(reply.json()["dag_run_id"])

    def first_run(self, dag: str, seconds: float = 45) -> str | None:
        """The id of the run that the schedule started by itself; None if there is none yet after a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self._get(f"dags/{dag}/dagRuns?limit=1&order_by=run_after")["dag_runs"]
            if runs:
                return str(runs[0]["dag_run_id"])
            time.sleep(0.3)
        return None

    def follow(self, dag: str, run: str, seconds: float = 600) -> Iterator[tuple[str, list[Task]]]:
        """Yield the run's state and tasks until it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            state = str(self._get(f"dags/{dag}/dagRuns/{quote(run, safe='')}")["state"])
            yield state, self._tasks(dag, run)
            if state in DONE:
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"{dag} has not ended within {seconds:.0f} s; look at {self.address_of(dag, run)}"
                )
            time.sleep(0.4)

    def others_at_work(self, dag: str) -> bool:
        """Whether a run of this DAG is queued or running (a scheduled one, say)."""
        return bool(self._get(f"dags/{dag}/dagRuns?state=running&state=queued")["total_entries"])

    def log_of(self, dag: str, run: str, task: str, lines: int = 15) -> str:
        """The end of a task's newest log."""
        where = f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/{task}"
        try:
            content = self._get(f"{where}/logs/{self._get(where)['try_number']}")["content"]
        except requests.RequestException:
            return "(no log)"
        told = [_words(line) for line in content if isinstance(line, dict)]
        return "\n".join([words for words in told if words][-lines:])

    def address_of(self, dag: str, run: str) -> str:
        """Where a person sees the run."""
        return f"{self._url}/dags/{dag}/runs/{quote(run, safe='')}"

    def _tasks(self, dag: str, run: str) -> list[Task]:
        found = self._get(f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances?limit=200")[
            "task_instances"
        ]
        found.sort(key=lambda task: (task["start_date"] or "~", task["task_id"]))
        return [Task(t["task_id"], t["state"] or "waiting", float(t["duration"] or 0)) for t in found]

    def _get(self, path: str) -> dict[str, Any]:
        reply = self._session.get(f"{self._url}/api/v2/{path}", timeout=30)
        reply.raise_for_status()
        found: dict[str, Any] = reply.json()
        return found


def _words(line: dict[str, Any]) -> str:
    """A log line as a person reads it: the event, and the exception if there was one."""
    causes = [f"{cause['exc_type']}: {cause['exc_value']}" for cause in line.get("error_detail") or ()]
    event = str(line.get("event", ""))
    return "" if event.startswith("::") else "\n  ".join([event, *causes])
