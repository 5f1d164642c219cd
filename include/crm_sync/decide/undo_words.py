"""The words of undo: what a run did, and what becomes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from crm_sync.model import Row, Side, Value

__all__ = ["EFFECTIVE", "REMOVALS", "VERDICTS", "Line", "Recorded", "Verdict"]

Verdict = Literal[
    "put back", "bring back", "archive", "withdraw", "make again", "already", "kept", "impossible"
]
"""put back: our value.  bring back: our record, out of the archive.  archive: our record, made or brought back then.
withdraw: theirs, made then, goes to the CRM's recycle bin.  make again: theirs, withdrawn then, is made anew.
already: stands as before.  kept: changed since.  impossible: nothing that undo may do would take it back."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
EFFECTIVE: frozenset[Verdict] = frozenset({"put back", "bring back", "archive", "withdraw", "make again"})
REMOVALS: frozenset[Verdict] = frozenset({"archive", "withdraw"})
"""What takes a record away, and so needs a person's word."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One change of one run: ``fields`` are those that were written, ``doubtful`` those of which nobody knows yet.

    ``before`` lacks a field of which the value is not recorded.  ``slipped``: the value that really stood there, where
    a person got between our read and our write.  ``erased``: the person's values are gone from it.
    """

    run_id: int
    side: Side
    op: str
    before: Row
    after: Row
    rules: Mapping[str, str]
    fields: Collection[str]
    doubtful: Collection[str] = ()
    slipped: Row = field(default_factory=dict)
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One verdict about a field, or about the record (``EXISTS``); ``runs``: whose changes it is about, newest first."""

    verdict: Verdict
    field: str
    present: Value
    target: Value
    runs: tuple[int, ...]
    why: str = ""
