"""What query and ingest jobs of Bulk API 2.0 have in common: their state, the wait for their end, their CSV as it arrives."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from crm_sync.access.transport import Reply
from crm_sync.decide.volume import first_wait, next_wait
from crm_sync.errors import IncompleteRead, RetryLater
from crm_sync.stores.salesforce_composite import Composite

__all__ = ["Job", "job_of", "rows_of", "wait_for"]

AT_ONCE = 500
"""Rows of a result that are looked at together."""
ENDS = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the org last said: how many rows it has worked off, of them refused; ``at``: the org's time of saying it."""

    id: str
    state: str
    processed: int
    failed: int
    message: str
    at: datetime

    @property
    def open(self) -> bool:
        """Whether it still waits for its data or for the word to begin."""
        return self.state == "Open"

    @property
    def complete(self) -> bool:
        """Whether it came to its own end, instead of failing or being aborted."""
        return self.state == "JobComplete"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDS


def job_of(reply: Reply, what: str) -> Job:
    """The job that a reply describes."""
    body: Any = reply.body
    try:
        return Job(
            str(body["id"]), str(body["state"]), int(body.get("numberRecordsProcessed") or 0),
            int(body.get("numberRecordsFailed") or 0), str(body.get("errorMessage") or ""), reply.server_date,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RetryLater(f"{what}: the reply does not say how the job is; it is asked again later") from None


def wait_for(
    look: Callable[[], Job], rows: int, sleep: Callable[[float], None], patience: float, since: float = 0
) -> Job:
    """Look until the job has ended, or until ``patience`` (seconds, as slept) is used up; then it is as it was last seen.

    ``since``: the seconds that it works already.
    """
    slept = 0.0
    seconds = max(first_wait(rows) - since, 0)
    before = 0
    while True:
        sleep(seconds)
        slept += seconds
        job = look()
        if job.ended or slept >= patience:
            return job
        seconds = next_wait(seconds, rows, job.processed, before, since + slept)
        before = job.processed


@contextmanager
def rows_of(
    composite: Composite, path: str, about: str, params: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, str], list[str], Iterator[list[str]]]]:
    """A CSV reply: its headers, its column names, and its rows one by one; IncompleteRead for a row of another width."""
    transport = composite.transport
    with transport.download(path, params=params, purpose=f"{composite.purpose} {about}") as reply:
        reader = csv.reader(reply.lines, strict=True)
        try:
            names = next(reader, [])
            yield reply.headers, names, _even(reader, len(names), path)
        except csv.Error as error:
            raise IncompleteRead(
                f"{path}: the rows can't be read ({error}); they are asked for again"
            ) from None


def _even(reader: Iterator[list[str]], width: int, path: str) -> Iterator[list[str]]:
    # Some at a time: a loop of Python for each row costs as much as reading it.
    while rows := list(islice(reader, AT_ONCE)):
        if others := set(map(len, rows)) - {width}:
            raise IncompleteRead(
                f"{path}: a row of {others.pop()} values arrived where {width} were due; they are asked for again"
            )
        yield from rows
