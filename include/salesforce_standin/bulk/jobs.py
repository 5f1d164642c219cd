"""Bulk jobs and their batches as they are remembered; their data lies in files (shelf.py)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

# The jobType of a job: Bulk API 1.0, or one of the two families of 2.0.
CLASSIC, INGEST, QUERY = "Classic", "V2Ingest", "V2Query"
WRITES = frozenset({"insert", "update", "upsert", "delete", "hardDelete"})
QUERIES = frozenset({"query", "queryAll"})
# States of a batch that nothing follows.
FINISHED = frozenset({"Completed", "Failed", "NotProcessed"})
DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


@dataclass(slots=True)
class Batch:
    """One batch: rows to write, or a query to run. A job of Bulk API 2.0 has a single one, which no client sees.

    ``low`` and ``high`` are the bounds of ids that PK chunking gave a query. ``outcome_bytes`` is how much of the file
    of outcomes is committed; ``active_ms`` and ``total_ms`` are milliseconds of work, and since the batch began.
    """

    id: str
    job_id: str
    born: str
    changed: str
    state: str = "Queued"
    message: str | None = None
    processed: int = 0
    failed: int = 0
    outcome_bytes: int = 0
    result_id: str = ""
    low: str = ""
    high: str = ""
    active_ms: float = 0.0
    total_ms: float = 0.0

    def dump(self) -> dict[str, Any]:
        """Return what to store."""
        return asdict(self)


@dataclass(slots=True)
class Job:
    """One job. ``chunk`` is the number of records of a PK chunk, 0 without chunking."""

    id: str
    kind: str
    operation: str
    object: str
    user_id: str
    version: int
    born: str
    changed: str
    content_type: str = "CSV"
    concurrency: str = "Parallel"
    key: str | None = None
    state: str = "Open"
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    assignment_rule: str | None = None
    message: str | None = None
    chunk: int = 0
    start_row: str = ""
    batches: dict[str, Batch] = field(default_factory=dict)

    @property
    def queries(self) -> bool:
        """Whether the job reads."""
        return self.operation in QUERIES

    @property
    def batch(self) -> Batch | None:
        """Return the batch of a job of Bulk API 2.0, once there is one."""
        return next(iter(self.batches.values()), None)

    @property
    def separator(self) -> str:
        """Return the character between columns."""
        return DELIMITERS[self.delimiter]

    @property
    def ending(self) -> str:
        """Return the characters that end a line."""
        return LINE_ENDINGS[self.line_ending]

    def dump(self) -> dict[str, Any]:
        """Return what to store; batches are stored by themselves."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "batches"}
