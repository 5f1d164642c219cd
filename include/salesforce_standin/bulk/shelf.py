"""Where bulk jobs are kept: what they are in the org's storage, their data in files beside it."""

from __future__ import annotations

import os
from collections import deque
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from salesforce_standin import clock
from salesforce_standin.bulk.jobs import CLASSIC, FINISHED, QUERY, Batch, Job

if TYPE_CHECKING:
    from salesforce_standin.org import Org

# What was sent; an outcome a line; the records that a query found; where each of them begins.
CONTENT, OUTCOMES, RESULT, INDEX = "content", "outcomes", "result", "index"
_PREFIX = "bulk/"
_DAY = 86_400
_KEPT_SECONDS = 7 * _DAY
_ROWS_A_BATCH = 10_000


class Shelf:
    """The jobs of an org, oldest first, and those of their batches that wait for their turn."""

    def __init__(self, org: Org, directory: Path | None) -> None:
        self._org = org
        self._own = None if directory else TemporaryDirectory(prefix="salesforce-standin-")
        self.root = directory / "bulk" if directory else Path(self._own.name if self._own else "")
        self.root.mkdir(parents=True, exist_ok=True)
        self.jobs: dict[str, Job] = {}
        self.waiting: deque[Batch] = deque()
        self._load()

    def _load(self) -> None:
        """Take over what is stored; what was cut off in the middle goes on from the last commit."""
        batches: list[Batch] = []
        for name, document in self._org.storage.documents(_PREFIX):
            if name.count("/") == 1:
                job = self.jobs[document["id"]] = Job(**document)
                self._org.sequence.saw(job.id)
            else:
                batches.append(Batch(**document))
        for batch in batches:
            self._org.sequence.saw(batch.id)
            job = self.jobs[batch.job_id]
            job.batches[batch.id] = batch
            is_submitted = job.kind == CLASSIC or job.state in {"UploadComplete", "InProgress"}
            if is_submitted and batch.state not in FINISHED:
                self._cut(batch)
                self.waiting.append(batch)
        known = {batch.id for batch in batches}
        for file in self.root.iterdir():
            if file.stem not in known:
                file.unlink()

    def _cut(self, batch: Batch) -> None:
        """Drop outcomes of rows whose writing was never committed."""
        outcomes = self.path(batch, OUTCOMES)
        if outcomes.exists():
            os.truncate(outcomes, batch.outcome_bytes)

    def path(self, batch: Batch, part: str) -> Path:
        """Return the file of a part of a batch's data."""
        return self.root / f"{batch.id}.{part}"

    def find(self, id18: str | None, *kinds: str) -> Job | None:
        """Return a job, if it is of one of the kinds."""
        job = self.jobs.get(id18 or "")
        return job if job is not None and job.kind in kinds else None

    def add(self, job: Job) -> Job:
        """Take in a new job."""
        self.jobs[job.id] = job
        self.keep(job)
        return job

    def add_batch(self, job: Job, content: bytes) -> Batch:
        """Take in a batch; its content is on the disk before anybody hears of it."""
        stamp = self._org.clock.stamp()
        batch = Batch(self._org.sequence.next("751"), job.id, stamp, stamp)
        with self.path(batch, CONTENT).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        job.batches[batch.id] = batch
        self.keep(batch)
        return batch

    def submit(self, batch: Batch) -> None:
        """Put a batch in line."""
        self.waiting.append(batch)

    def keep(self, thing: Job | Batch) -> None:
        """Store a job or a batch with the commit at hand."""
        name = f"{thing.job_id}/{thing.id}" if isinstance(thing, Batch) else thing.id
        self._org.remember(_PREFIX + name, thing.dump())

    def remove(self, job: Job) -> None:
        """Forget a job with its data."""
        del self.jobs[job.id]
        self._org.remember(_PREFIX + job.id, None)
        for batch in job.batches.values():
            self._org.remember(f"{_PREFIX}{job.id}/{batch.id}", None)
            if batch in self.waiting:
                self.waiting.remove(batch)
            for part in (CONTENT, OUTCOMES, RESULT, INDEX):
                self.path(batch, part).unlink(missing_ok=True)

    def used(self) -> tuple[int, int]:
        """Return (batches, query jobs of Bulk API 2.0) of the last 24 hours."""
        since = clock.stamp_of(self._org.clock.now() - _DAY)
        batches = queries = 0
        for job in self.jobs.values():
            if job.kind == QUERY:
                queries += job.born >= since
            else:
                recent = [batch for batch in job.batches.values() if batch.born >= since]
                batches += sum(max(ceil(batch.processed / _ROWS_A_BATCH), 1) for batch in recent)
        return batches, queries

    def is_full(self) -> bool:
        """Whether the day's batches are used up."""
        return self.used()[0] >= self._org.policy.bulk_batches

    def forget_old(self) -> None:
        """Forget jobs a week after they ended (facts/salesforce.md 5.3)."""
        oldest = clock.stamp_of(self._org.clock.now() - _KEPT_SECONDS)
        stale = [job for job in self.jobs.values() if job.changed < oldest and job.born < oldest]
        for job in stale:
            self.remove(job)
        if stale:
            self._org.commit()

    def close(self) -> None:
        """Remove files that nobody asked to keep."""
        if self._own is not None:
            self._own.cleanup()
