"""Starts a program that is to outlive us: a session of its own, no input, all output to a log file."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_started: list[subprocess.Popen[bytes]] = []  # kept, or Python would warn that nobody waits for them


def launch(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path, **options: Any
) -> int:
    """Start it; return its process id."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **options,
        )
    _started.append(process)
    return process.pid
