"""CPU and memory of processes: of a child that has ended, of a server with everything it started, of ourselves."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "Child",
    "ChildFailed",
    "current_mb",
    "on_cpu",
    "peak_mb",
    "run_child",
    "server_seconds",
    "settled_seconds",
]

MB = 1024 * 1024
LONGEST = 1800.0
"""Seconds after which a job is taken for hung."""


class ChildFailed(Exception):
    """A measured process ended badly; the message is the end of its output."""


@dataclass(frozen=True)
class Child:
    """A process that has ended: its CPU (user and system, with that of its own children), time, and what it said."""

    cpu: float
    wall: float
    said: Any


def run_child(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
    """Run a Python module in a new process; the last line of its output is what it has to say, as JSON."""
    began = time.monotonic()
    with log.open("ab") as errors, log.with_suffix(".out").open("w+b") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=errors
        )  # fmt: skip
        alarm = threading.Timer(LONGEST, process.kill)
        alarm.start()
        _, status, usage = os.wait4(process.pid, 0)
        alarm.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        output.seek(0)
        lines = output.read().decode().splitlines()
    if process.returncode or not lines:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise ChildFailed(f"{' '.join(words)} ended with {process.returncode}:\n{tail}")
    return Child(usage.ru_utime + usage.ru_stime, wall, json.loads(lines[-1]))


def server_seconds(pid: int) -> float:
    """CPU of a server so far: its own, that of the children it has buried, and that of those that live."""
    server = psutil.Process(pid)
    times = server.cpu_times()
    seconds = (
        times.user
        + times.system
        + getattr(times, "children_user", 0.0)
        + getattr(times, "children_system", 0.0)
    )
    for child in server.children():
        try:
            own = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += own.user + own.system
    return float(seconds)


def settled_seconds(pid: int, wait: float = 0.3, most: float = 10.0) -> float:
    """The same, once the server has come to rest."""
    deadline = time.monotonic() + most
    before = server_seconds(pid)
    while True:
        time.sleep(wait)
        now = server_seconds(pid)
        if now - before < 0.02 or time.monotonic() > deadline:
            return now
        before = now


def on_cpu(pid: int) -> Callable[[], float]:
    """A clock of the seconds that another process was on a CPU; Linux keeps it in nanoseconds."""
    path = Path(f"/proc/{pid}/schedstat")
    if path.exists():
        return lambda: int(path.read_text().split(" ", 1)[0]) / 1e9
    process = psutil.Process(pid)

    def coarse() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return coarse


def current_mb() -> float:
    """Memory that this process holds now."""
    return float(psutil.Process().memory_info().rss) / MB


def peak_mb() -> float:
    """The most memory that this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what our parent held before it started us
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB
