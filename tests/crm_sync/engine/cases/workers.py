"""Processes that run stages of a run and are killed, stopped or woken there; see ``worker``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.crm_sync.engine.cases.office import Office

__all__ = ["Workers", "working"]

ROOT = Path(__file__).parents[4]
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass
class Workers:
    """The process that forks the others."""

    process: subprocess.Popen[str]
    folder: Path
    clock: Path
    told: list[Path] = field(default_factory=list)

    def job(
        self,
        run_id: int,
        *stages: str,
        at: str = "0",
        signal: str = "SIGKILL",
        store: Mapping[str, int] = NOTHING,
    ) -> dict[str, Any]:
        """Stages that a process is to run until step ``at``; ``store``: further settings of its store."""
        self.told.append(self.folder / f"{len(self.told)}.txt")
        said = str(self.told[-1])
        return {
            "run_id": run_id,
            "stages": stages,
            "at": at,
            "signal": signal,
            "said": said,
            "store": dict(store),
        }

    def start(self, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
        """Start the jobs at once, and wait until each has ended or stands still."""
        return self._ask({"jobs": jobs})

    def wake(self, pid: int) -> None:
        """Let one that stands still go on to its end."""
        self._ask({"wake": pid})

    def said(self) -> str:
        """What the last one said: its steps, or its error."""
        return self.told[-1].read_text()

    def _ask(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def working(office: Office, folder: Path) -> Iterator[Workers]:
    """Workers of an office; ``folder`` is for what they say."""
    clock = folder / "clock"
    clock.write_text("0")
    command = [
        sys.executable,
        "-m",
        "tests.crm_sync.engine.cases.worker",
        office.url,
        office.people.url,
        str(clock),
    ]
    path = os.pathsep.join((str(ROOT / "include"), str(ROOT / "plugins"), str(ROOT)))
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:  # fmt: skip
        yield Workers(process, folder, clock)
        assert process.stdin is not None
        process.stdin.close()
