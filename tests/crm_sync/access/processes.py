"""Logins in processes of their own, all at the same starting line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from crm_sync.access.app import App

__all__ = ["all_renew", "workers"]

ROOT = Path(__file__).parents[3]


@contextmanager
def workers(
    url: str, app: App, keys: str, count: int, vault: str = "plain"
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that hold the stored session and wait for the word to renew it."""
    command = [
        sys.executable,
        "-m",
        "tests.crm_sync.access.worker",
        url,
        json.dumps(asdict(app)),
        keys,
        vault,
    ]
    started = [
        subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'include'}:{ROOT}"}, text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(count)
    ]  # fmt: skip
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def all_renew(started: list[subprocess.Popen[str]]) -> list[str]:
    """Give the word to all, and tell what each came to."""
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0] for process in started]
