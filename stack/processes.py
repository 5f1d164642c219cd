"""Background processes that can be found and stopped again, whatever happened to whoever started them.

Each service runs in a session of its own, with a pid file; and each carries a mark in its environment that its
children inherit, so that what a ``kill -9`` left behind is found too, and nothing else is ever touched.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from stack.background import launch
from stack.errors import StackError

MARK = "GPTWEB_STACK"
STOP_SECONDS = 12.0


@dataclass(frozen=True)
class Service:
    """One background process of a stack."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class Processes:
    """The background processes of the stack in ``folder``."""

    def __init__(self, folder: Path, working_directory: Path) -> None:
        self.folder = folder
        self.working_directory = working_directory
        self.mark = str(folder.resolve())
        (folder / "run").mkdir(parents=True, exist_ok=True)
        (folder / "log").mkdir(parents=True, exist_ok=True)

    def start(self, service: Service) -> int:
        """Start a service in the background; its output goes to its log."""
        self.log(service.name).unlink(missing_ok=True)
        environment = {**service.environment, **self.marks()}
        pid = launch(service.command, self.log(service.name), environment, self.working_directory)
        started = psutil.Process(pid).create_time()
        self._pid_file(service.name).write_text(json.dumps({"pid": pid, "started": started}))
        return pid

    def marks(self) -> dict[str, str]:
        """What marks a process as one of this stack; the second keeps process titles from overwriting it."""
        return {MARK: self.mark, "SPT_NOENV": "1"}

    def alive(self, name: str) -> bool:
        """Whether the service that was started under this name still runs; a reused process id does not count."""
        try:
            noted = json.loads(self._pid_file(name).read_text())
            process = psutil.Process(int(noted["pid"]))
            same = abs(process.create_time() - float(noted["started"])) < 2.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, KeyError, psutil.Error):
            return False

    def stop_all(self, first: Sequence[str] = ()) -> int:
        """Stop everything that carries the mark, the services named in ``first`` before the rest."""
        for name in first:
            if self.alive(name):
                pid = int(json.loads(self._pid_file(name).read_text())["pid"])
                _end([psutil.Process(pid)])
        rest = self.marked()
        _end(rest)
        for file in (self.folder / "run").glob("*.pid"):
            file.unlink(missing_ok=True)
        return len(rest)

    def marked(self) -> list[psutil.Process]:
        """Every process of this stack, but for ourselves and those who called us."""
        us = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        return [p for p in psutil.process_iter() if p.pid not in us and _mark_of(p) == self.mark]

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self.folder / "log" / f"{name}.log"

    def tail(self, name: str, lines: int = 12) -> str:
        """The last lines of a service's log."""
        try:
            return "\n".join(self.log(name).read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def require(self, names: Iterable[str]) -> None:
        """Raise for the first service that has died, with the end of its log."""
        for name in names:
            if not self.alive(name):
                raise StackError(f"{name} has ended. The end of {self.log(name)}:\n{self.tail(name)}")

    def _pid_file(self, name: str) -> Path:
        return self.folder / "run" / f"{name}.pid"


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def _end(processes: Sequence[psutil.Process]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            try:
                process.send_signal(how)
            except psutil.Error:
                continue
        deadline = time.monotonic() + STOP_SECONDS
        while any(_is_alive(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
