"""The file ``.local/env``: what a client of the running stack needs, as shell assignments.

. .local/env && psql "$CRM_SYNC_DATABASE_URL"
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from stack.settings import write_private


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write the assignments, readable by their owner alone."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    write_private(path, "\n".join(["# Written by `make up`; sourceable by any POSIX shell.", *lines, ""]))


def read(path: Path) -> dict[str, str]:
    """Read them back; empty where no stack has been started."""
    if not path.exists():
        return {}
    values = {}
    for line in path.read_text().splitlines():
        if line.startswith("export "):
            name, _, quoted = line.removeprefix("export ").partition("=")
            values[name] = "".join(shlex.split(quoted))
    return values
