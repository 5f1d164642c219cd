"""Bulk jobs and their batches: what they hold, and how a batch is worked off, 200 rows at a time.

Nothing here knows how a batch came over the wire: bulk_v1.py reads and writes the JSON of Bulk API 1.0, and another
spelling of the same jobs can stand beside it.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.errors import ApiError, Fault, RowError
from salesforce_standin.records import Ambiguous, Outcome, Writer, key_field
from salesforce_standin.soql.evaluate import Reader
from salesforce_standin.soql.parser import parse

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LOG = logging.getLogger(__name__)
CHUNK = 200
MOST_ROWS = 10_000
FINISHED = frozenset({"Completed", "Failed", "Not Processed"})
QUERIES = frozenset({"query", "queryAll"})


@dataclass(slots=True)
class Batch:
    """One batch: rows to write, or a query to run."""

    id: str
    job_id: str
    born: str
    content: bytes
    rows: list[dict[str, Any]] = field(default_factory=list)
    query: str = ""
    state: str = "Queued"
    message: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    result_id: str = ""
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Return how many rows were refused."""
        return sum(not outcome.success for outcome in self.outcomes)


@dataclass(slots=True)
class Job:
    """One job."""

    id: str
    operation: str
    object: str
    user_id: str
    version: int
    born: str
    content_type: str = "JSON"
    concurrency: str = "Parallel"
    key: str | None = None
    state: str = "Open"
    batches: dict[str, Batch] = field(default_factory=dict)


class Queue:
    """The batches that wait for their turn."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self.jobs: dict[str, Job] = {}
        self._waiting: deque[Batch] = deque()

    def add(self, job: Job, batch: Batch) -> None:
        """Put a batch in line."""
        job.batches[batch.id] = batch
        if batch.state == "Queued":
            self._waiting.append(batch)

    @property
    def busy(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def step(self) -> None:
        """Work off one chunk of the batch in front, as a transaction of its own."""
        batch = self._waiting[0]
        job = self.jobs[batch.job_id]
        if job.state == "Aborted":
            batch.state = "Not Processed"
        else:
            try:
                (self._query if job.operation in QUERIES else self._write)(job, batch)
            except Exception:  # noqa: BLE001 - one bad batch must not stop the others
                _LOG.exception("batch %s failed", batch.id)
                self.org.abandon()
                batch.state, batch.message = "Failed", "InternalServerError : An unexpected error occurred"
        if batch.state in FINISHED:
            self._waiting.popleft()

    def _query(self, job: Job, batch: Batch) -> None:
        reader = Reader(
            self.org, job.user_id, f"/services/data/v{job.version}.0", job.operation == "queryAll"
        )
        try:
            result = reader.run(parse(batch.query))
        except ApiError as error:
            batch.state = "Failed"
            batch.message = f"InvalidBatch : Failed to process query: {error.body[0]['errorCode']}: {error.body[0]['message']}"
            return
        batch.records = [result.show(row) for row in result.rows]
        batch.result_id = self.org.sequence.next("752")
        batch.state = "Completed"

    def _write(self, job: Job, batch: Batch) -> None:
        batch.state = "InProgress"
        writer = Writer(self.org, job.user_id)
        start = len(batch.outcomes)
        rows = batch.rows[start : start + CHUNK]
        batch.outcomes += [self._one(job, writer, row) for row in rows]
        self.org.commit()
        if len(batch.outcomes) >= len(batch.rows):
            batch.state = "Completed"

    def _one(self, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
        mark = self.org.work.mark()
        try:
            return _OPERATIONS[job.operation](self.org, job, writer, row)
        except RowError as refused:
            self.org.roll_back(mark)
            return Outcome(None, None, refused.faults)
        except Ambiguous as several:
            fault = Fault("DUPLICATE_EXTERNAL_ID", f"{job.key}: more than one record found: {several}", ())
            return Outcome(None, None, (fault,))


def _insert(_org: Org, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
    return writer.insert(job.object, row)


def _id_of(job: Job, writer: Writer, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = next((key for key in row if key.lower() == "id"), None)
    if name is None or not row[name]:
        raise RowError(Fault("MISSING_ARGUMENT", f"Id not specified in an {job.operation} call", ()))
    id18 = ids.normalise(row[name])
    if id18 is None:
        label = writer.access(job.object).sobject.label
        raise RowError(Fault("MALFORMED_ID", f"{label} ID: id value of incorrect type: {row[name]}", ("Id",)))
    return id18, {key: value for key, value in row.items() if key != name}


def _update(_org: Org, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
    id18, values = _id_of(job, writer, row)
    return writer.update(job.object, id18, values)


def _upsert(_org: Org, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
    access = writer.access(job.object)
    field_ = key_field(access, job.key or "Id")
    given = {key.lower(): value for key, value in row.items()}
    values = {key: value for key, value in row.items() if key.lower() != field_.name.lower()}
    return writer.upsert(job.object, field_, given.get(field_.name.lower()), values)


def _delete(_org: Org, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
    return writer.delete(job.object, _id_of(job, writer, row)[0])


def _hard_delete(org: Org, job: Job, writer: Writer, row: dict[str, Any]) -> Outcome:
    id18 = _id_of(job, writer, row)[0]
    outcome = writer.delete(job.object, id18)
    org.put(org.tables[job.object], id18, None)
    return outcome


_OPERATIONS = {
    "insert": _insert,
    "update": _update,
    "upsert": _upsert,
    "delete": _delete,
    "hardDelete": _hard_delete,
}
OPERATIONS = frozenset(_OPERATIONS) | QUERIES
