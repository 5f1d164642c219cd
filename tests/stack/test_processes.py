"""Background processes are found again and stopped, with all they started, and nothing else is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stack.errors import StackError
from stack.processes import Processes, Service

PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    monkeypatch.setattr("stack.processes.STOP_SECONDS", 1.0)
    made = Processes(tmp_path, tmp_path)
    yield made
    made.stop_all()


def start(processes: Processes, name: str, program: str) -> int:
    pid = processes.start(Service(name, (sys.executable, "-c", program), dict(os.environ)))
    deadline = time.monotonic() + 10
    while "ready" not in processes.tail(name) and time.monotonic() < deadline:
        time.sleep(0.02)
    return pid


def test_a_service_runs_in_a_session_of_its_own(processes: Processes) -> None:
    pid = start(processes, "one", PARENT)
    assert processes.alive("one")
    assert os.getsid(pid) == pid


def test_children_of_a_killed_service_are_stopped_too(processes: Processes) -> None:
    pid = start(processes, "one", PARENT)
    os.kill(pid, signal.SIGKILL)
    psutil.Process(pid).wait(5)
    assert not processes.alive("one")
    assert len(processes.marked()) == 1
    assert processes.stop_all() == 1
    assert processes.marked() == []


def test_what_does_not_listen_is_killed(processes: Processes) -> None:
    start(processes, "one", STUBBORN)
    processes.stop_all()
    assert processes.marked() == []


def test_a_reused_process_id_is_not_ours_and_is_left_alone(processes: Processes, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (tmp_path / "run" / "one.pid").write_text(f'{{"pid": {stranger.pid}, "started": 1.0}}')
        assert not processes.alive("one")
        assert processes.stop_all() == 0
        assert stranger.poll() is None
        stranger.kill()


def test_another_stacks_processes_are_left_alone(processes: Processes, tmp_path: Path) -> None:
    other = Processes(tmp_path / "other", tmp_path)
    start(other, "one", PARENT)
    processes.stop_all()
    assert other.alive("one")
    other.stop_all()


def test_a_service_that_ended_is_named_with_its_last_words(processes: Processes) -> None:
    start(processes, "one", "print('ready: no such key'); raise SystemExit(3)")
    deadline = time.monotonic() + 5
    while processes.alive("one") and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(StackError, match=r"(?s)one has ended.*no such key"):
        processes.require(["one"])
