"""Stages of a run in processes that end at a chosen step: killed, or stopped for as long as a test likes.

One process imports what they need and forks them, as Airflow does.  A step is whatever divides what is durable from
what is not: the begin of a transaction, the moment before and after its commit, the moment before and after a call.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint, identity
from crm_sync.access.reply import Reply
from crm_sync.access.transport import Download, MeteredSession
from crm_sync.engine import Engine
from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.mapping_files import load_mappings
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.provision.standin import CLIENT

__all__ = ["main"]

MAPPINGS = load_mappings("salesforce")


class Steps:
    """Counts, all and by name, and sends the process its signal at the chosen one: "17", "call 1"; "0" is none."""

    def __init__(self, at: str, what: signal.Signals) -> None:
        self.counts: Counter[str] = Counter()
        self._at = at
        self._what = what

    def step(self, name: str) -> None:
        self.counts[name] += 1
        if self._at in (str(self.counts.total()), f"{name} {self.counts[name]}"):
            os.kill(os.getpid(), self._what)


class MortalDatabase(Database):
    """Three steps a transaction."""

    def __init__(self, url: str, steps: Steps) -> None:
        super().__init__(url)
        self._steps = steps

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._steps.step("begin")
        with super().transaction() as tx:
            yield tx
            self._steps.step("commit")
        self._steps.step("committed")


class MortalSession(MeteredSession):
    """Two steps a call: nothing was sent yet; all was answered, and nobody has noted it.  One for a part of a job's results."""

    steps: Steps

    def call(self, *args: Any, **content: Any) -> Reply:
        self.steps.step("call")
        reply = super().call(*args, **content)
        self.steps.step("answered")
        return reply

    @contextmanager
    def download(self, path: str, *, params: Mapping[str, str], purpose: str) -> Iterator[Download]:
        self.steps.step("part")
        with super().download(path, params=params, purpose=purpose) as reply:
            yield reply


def work(url: str, org: str, clock: Path, job: dict[str, Any]) -> int:
    """Run the stages of a job; returns how many steps that took."""
    steps = Steps(job["at"], signal.Signals[job["signal"]])
    database = MortalDatabase(url, steps)
    endpoint = OAuthEndpoint(App(org, CLIENT["client_id"], CLIENT["client_secret"]))
    meter = LedgerMeter(database, "main", job["run_id"], "sync")

    def later() -> float:
        return float(clock.read_text())

    login = MemoryLogin(lambda: endpoint.fetch().session)
    monotonic = lambda: time.monotonic() + later()  # noqa: E731
    with MortalSession(
        login, meter, connection="main", sleep=lambda _seconds: None, monotonic=monotonic
    ) as session:
        session.steps = steps
        engine = Engine(
            database, MAPPINGS, lambda _connection, _run: SalesforceStore(
                session, MAPPINGS, lambda: identity(session).user_id, sleep=lambda _: None, **job["store"]
            ),
            now=lambda: datetime.now(UTC) + timedelta(seconds=later()), sleep=lambda _seconds: None, monotonic=monotonic,
        )  # fmt: skip
        for stage in job["stages"]:
            getattr(engine, stage)(job["run_id"])
    database.close()
    return steps.counts.total()


def fork(url: str, org: str, clock: Path, job: dict[str, Any]) -> int:
    """Start a process for a job; it leaves its number of steps, or its error, in the job's file."""
    child = os.fork()
    if child == 0:
        said = Path(job["said"])
        try:
            said.write_text(str(work(url, org, clock, job)))
        except Exception as error:  # noqa: BLE001  the test has to hear of everything
            said.write_text(f"{type(error).__name__}: {error}")
        os._exit(0)
    return child


def main(url: str, org: str, clock: str) -> None:
    """Take commands, a line each, and answer each with a line: jobs to be started together, a process to be woken."""
    for line in sys.stdin:
        command = json.loads(line)
        if "wake" in command:
            os.kill(command["wake"], signal.SIGCONT)
            children = [command["wake"]]
        else:
            children = [fork(url, org, Path(clock), job) for job in command["jobs"]]
        ends = [(child, os.waitpid(child, os.WUNTRACED)[1]) for child in children]
        told = [
            {"pid": child, "stopped": os.WIFSTOPPED(status), "killed": os.WIFSIGNALED(status)}
            for child, status in ends
        ]
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
