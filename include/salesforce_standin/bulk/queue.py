"""The worker of bulk jobs: it takes batches from Queued over InProgress to their end, a little at a time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from salesforce_standin.bulk import outcomes, pk_chunks
from salesforce_standin.bulk.content import BadContent, rows
from salesforce_standin.bulk.extract import Extract
from salesforce_standin.bulk.jobs import CLASSIC, FINISHED, Batch, Job
from salesforce_standin.bulk.shelf import CONTENT, INDEX, OUTCOMES, RESULT
from salesforce_standin.bulk.writes import CHUNK, address, write_chunk
from salesforce_standin.errors import ApiError
from salesforce_standin.faults import JOB_KINDS, Fault, Faults

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_LOG = logging.getLogger(__name__)
_FAILED = "InternalServerError : An unexpected error occurred"
# What a batch's state means for a job of Bulk API 2.0.
_JOB_STATES = {
    "Queued": "UploadComplete",
    "InProgress": "InProgress",
    "Completed": "JobComplete",
    "Failed": "Failed",
    "NotProcessed": "Aborted",
}


class _Task(Protocol):
    """What a batch in progress needs to have done."""

    def step(self, most: int) -> bool:
        """Do some of it, so many rows at most where that can be told; say whether that was the last."""


class _Writing:
    """Rows that are written, one chunk a step; rows that an earlier process wrote are passed over."""

    def __init__(self, org: Org, job: Job, batch: Batch, faults: Faults) -> None:
        self._org, self._job, self._batch, self._faults = org, job, batch, faults
        access = org.access(job.user_id, job.object)
        found: Iterator[dict[str, Any]] = rows(job, access, org.bulk.path(batch, CONTENT))
        self._rows = islice(found, batch.processed, None)

    def step(self, most: int) -> bool:
        """Write a chunk."""
        size = min(CHUNK, most)
        chunk = list(islice(self._rows, size))
        if not chunk:
            return True
        batch, shelf = self._batch, self._org.bulk
        done = write_chunk(self._org, self._job, chunk, self._faults)
        batch.outcome_bytes = outcomes.append(shelf.path(batch, OUTCOMES), done)
        batch.processed += len(done)
        batch.failed += sum(not outcome.success for outcome in done)
        return len(chunk) < size


class _Reading:
    """A query, some thousand records a step."""

    def __init__(self, org: Org, job: Job, batch: Batch) -> None:
        parts = (org.bulk.path(batch, part) for part in (CONTENT, RESULT, INDEX))
        self._batch, self._extract = batch, Extract(org, job, batch, *parts)
        self._org = org

    def step(self, _most: int) -> bool:
        """Find some more."""
        last = self._extract.step()
        self._batch.processed = self._extract.done
        if last:
            self._batch.result_id = self._org.sequence.next("752")
        return last


class Worker:
    """Works off what waits on the shelf; every step is a transaction of its own."""

    def __init__(self, org: Org, faults: Faults) -> None:
        self._org = org
        self._shelf = org.bulk
        self._faults = faults
        self._due: dict[str, float] = {}
        self._tasks: dict[str, _Task] = {}
        self._began: dict[str, float] = {}
        self._struck: dict[str, Fault] = {}
        # The moment at which all rows written so far are paid for at the org's pace.
        self._free = 0.0

    @property
    def _delay(self) -> float:
        return self._org.policy.bulk_milliseconds / 1000

    def wait(self) -> float | None:
        """Return the seconds until there is something to do, 0 for at once, None if nothing waits."""
        now = time.monotonic()
        due = min((self._due_at(batch, now) for batch in self._ready()), default=math.inf)
        return None if due == math.inf else max(due - now, 0.0)

    def _ready(self) -> list[Batch]:
        """Return the batches that may go on: of a serial job only the first."""
        taken: set[str] = set()
        found = []
        for batch in self._shelf.waiting:
            serial = self._shelf.jobs[batch.job_id].concurrency == "Serial"
            if not serial or batch.job_id not in taken:
                found.append(batch)
            taken.add(batch.job_id)
        return found

    def _due_at(self, batch: Batch, now: float) -> float:
        job = self._shelf.jobs[batch.job_id]
        if _is_called_off(job, batch):
            return now
        due = self._due.setdefault(batch.id, now + self._delay)
        is_paced = self._org.policy.bulk_rows_per_second and batch.state == "InProgress" and not job.queries
        return max(due, self._free) if is_paced else due

    def step(self) -> None:
        """Do the next thing for the batch that has waited longest."""
        now = time.monotonic()
        batch = next((one for one in self._ready() if self._due_at(one, now) <= now), None)
        if batch is None:
            return
        self._shelf.waiting.remove(batch)
        job = self._shelf.jobs[batch.job_id]
        try:
            self._advance(job, batch, now)
        except (ApiError, BadContent) as error:
            self._org.abandon()
            self._end(job, batch, "Failed", _reason(error))
        except Exception:  # noqa: BLE001 - one bad batch must not stop the others
            _LOG.exception("batch %s failed", batch.id)
            self._org.abandon()
            self._end(job, batch, "Failed", _FAILED)
        if batch.state in FINISHED:
            for memory in (self._tasks, self._due, self._began, self._struck):
                memory.pop(batch.id, None)
        else:
            self._shelf.waiting.append(batch)

    def _advance(self, job: Job, batch: Batch, now: float) -> None:
        if _is_called_off(job, batch):
            self._end(job, batch, "NotProcessed", None)
        elif batch.state == "Queued":
            if job.chunk and not batch.high:
                pk_chunks.split(self._org, job, batch)
                self._end(job, batch, "NotProcessed", None)
                return
            self._began[batch.id] = now
            self._due[batch.id] = now + self._delay
            self._move(job, batch, "InProgress")
            self._org.commit()
        else:
            self._work(job, batch, now)

    def _work(self, job: Job, batch: Batch, now: float) -> None:
        task = self._tasks.get(batch.id) or self._take_up(job, batch)
        struck = self._struck.get(batch.id)
        if struck is not None and batch.processed >= struck.rows:
            self._go_wrong(job, batch, struck, now)
            return
        before = batch.processed
        last = task.step(CHUNK if struck is None else struck.rows - before)
        rests = not job.queries and self._pay(batch, batch.processed - before, now)
        done = time.monotonic()
        batch.active_ms += (done - now) * 1000
        batch.total_ms = (done - self._began.setdefault(batch.id, now)) * 1000
        if last and not rests:
            self._end(job, batch, "Completed", None)
        else:
            self._shelf.keep(batch)
            self._org.commit()

    def _pay(self, batch: Batch, rows: int, now: float) -> bool:
        """Take the time of rows that were written; say whether their batch has to rest for it.

        It counts from when they were due, not from now: what is late is caught up, so that the pace is kept.
        """
        pace = self._org.policy.bulk_rows_per_second
        self._free = max(self._free, self._due[batch.id]) + rows / pace if pace else now
        return pace > 0 and rows > 0

    def _take_up(self, job: Job, batch: Batch) -> _Task:
        struck = self._faults.strike("JOB", address(job), b"", JOB_KINDS)
        if struck is not None:
            self._struck[batch.id] = struck
        task: _Task = (
            _Reading(self._org, job, batch) if job.queries else _Writing(self._org, job, batch, self._faults)
        )
        self._tasks[batch.id] = task
        return task

    def _go_wrong(self, job: Job, batch: Batch, struck: Fault, now: float) -> None:
        """Let a job end as a rule says; what it has written stays."""
        if struck.action == "stall_job":
            del self._struck[batch.id]
            self._due[batch.id] = now + (struck.seconds or math.inf)
        elif struck.action == "fail_job":
            self._end(job, batch, "Failed", str(struck.reply or _FAILED))
        elif struck.action == "abort_job":
            job.state = "Aborted"
            self._shelf.keep(job)
            self._end(job, batch, "NotProcessed", None)
        else:
            self._end(job, batch, "Completed", None)

    def _end(self, job: Job, batch: Batch, state: str, message: str | None) -> None:
        batch.message = message
        self._move(job, batch, state)
        self._org.commit()

    def _move(self, job: Job, batch: Batch, state: str) -> None:
        batch.state, batch.changed = state, self._org.clock.stamp()
        self._shelf.keep(batch)
        if job.kind != CLASSIC:
            job.state, job.changed, job.message = _JOB_STATES[state], batch.changed, batch.message
            self._shelf.keep(job)


def _is_called_off(job: Job, batch: Batch) -> bool:
    """Whether a batch ends by its job's abort; one of Bulk API 1.0 that is in progress goes on."""
    return job.state == "Aborted" and (job.kind != CLASSIC or batch.state == "Queued")


def _reason(error: ApiError | BadContent) -> str:
    if isinstance(error, BadContent):
        return str(error)
    fault = error.body[0]
    return f"InvalidBatch : Failed to process query: {fault['errorCode']}: {fault['message']}"
