"""Logins in processes of their own, all at the same starting line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from crm_sync.access.app import App

__all__ = ["workers"]

ROOT = Path(__file__).parents[3]


@contextmanager
def workers(
    url: str, app: App, keys: str, count: int, vault: str = "plain"
) -> Iterator[Callable[[], list[str]]]:
    """Processes that hold the stored session; what is yielded makes all renew it, and tells what each came to."""
    command = [sys.executable, "-m", "tests.crm_sync.access.worker", url, json.dumps(asdict(app)), keys, vault, str(count)]  # fmt: skip
    path = os.pathsep.join((str(ROOT / "include"), str(ROOT)))
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]

        def all_renew() -> list[str]:
            return process.communicate("go\n")[0].splitlines()

        yield all_renew
