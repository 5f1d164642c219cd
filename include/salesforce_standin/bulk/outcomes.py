"""What became of the rows of a batch: one line of JSON each, in the order of the upload."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from salesforce_standin.errors import Fault
from salesforce_standin.records import Outcome


def append(path: Path, outcomes: Iterable[Outcome]) -> int:
    """Write outcomes at the end of a file; return the file's size."""
    with path.open("ab") as file:
        file.write(b"".join(_line(outcome) for outcome in outcomes))
        return file.tell()


def _line(outcome: Outcome) -> bytes:
    faults = [[fault.code, fault.message, fault.fields or ()] for fault in outcome.faults]
    return orjson.dumps([outcome.id, outcome.created, faults]) + b"\n"


def read(path: Path) -> Iterator[Outcome]:
    """Yield the outcomes in a file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            id18, created, faults = orjson.loads(line)
            yield Outcome(
                id18, created, tuple(Fault(code, text, tuple(names)) for code, text, names in faults)
            )


def error_text(outcome: Outcome) -> str:
    """Spell what is wrong with a row in one cell: ``CODE:message:Field --``."""
    return ";".join(f"{f.code}:{f.message}:{' '.join((*(f.fields or ()), '--'))}" for f in outcome.faults)
