"""What the engine needs from the outside, as Protocols: a Store for records, its bulk Jobs, a Meter for calls.

Import direction: model, errors -> decide -> ports -> engine; stores, access and ledger import ports, never the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from crm_sync.model import ApiUsage, Image, Object, Page, Read, Row, Write, Written

__all__ = ["LIMITS", "BulkStore", "JobState", "Jobs", "Meter", "RowResult", "Sheet", "Store"]

LIMITS = "limits"
"""The purpose of a call that asks the org for its limits; it is sent also when the org seems to have no calls left."""


@runtime_checkable
class Store(Protocol):
    """Where records live: the CRM, our database, or memory.  One contract suite holds for all of them."""

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        """Yield the pages of all reads, each read closed by a page with ``last``; an empty read yields one empty page.

        As few calls as possible: the first pages of all reads share one.  The generator is lazy, so that a caller
        may store a page before the next is asked for.  Raises IncompleteRead when fewer rows arrive than announced.
        """
        ...

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        """Write at most one batch of one object, all updates, all creates or all deletes; one answer per row, in order.

        Nothing is sent once ``deadline`` (time.monotonic) could pass before the answer is due: NotSent.
        Raises NotSent when nothing was processed, Unanswered when that is not known.
        """
        ...


class JobState(Protocol):
    """A job as the CRM last said; ``at``: the CRM's time of saying it."""

    @property
    def state(self) -> str:
        """Its state in the CRM's word."""
        ...

    @property
    def processed(self) -> int:
        """How many rows it has come to."""
        ...

    @property
    def message(self) -> str:
        """Why it failed, if it did."""
        ...

    @property
    def at(self) -> datetime:
        """When the CRM said so."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        ...

    @property
    def open(self) -> bool:
        """Whether it still waits for its data or for the word to begin."""
        ...

    @property
    def complete(self) -> bool:
        """Whether it came to its own end, instead of failing or being aborted."""
        ...


class RowResult(Protocol):
    """What a job made of one row; ``marker`` is that of the Write that the row was made from."""

    @property
    def made(self) -> str | None:
        """The id of the record that it made new, if it did."""
        ...

    @property
    def marker(self) -> str:
        """Tells which row it is; the order is not kept."""
        ...

    def answer(self, write: Write, done_by: datetime) -> Written:
        """The same as an answer to that Write, done before ``done_by`` if at all."""
        ...


class Sheet(Protocol):
    """The data of a job while it is collected, on disk."""

    @property
    def columns(self) -> Sequence[str]:
        """Our columns that it was made for, in its order."""
        ...

    @property
    def tail(self) -> Sequence[str]:
        """The cells with which every row ends, after the columns."""
        ...

    @property
    def full(self) -> bool:
        """Whether a job should not take more."""
        ...

    def add(self, writes: Sequence[Write]) -> None:
        """Append rows."""
        ...

    def paste(self, csv: Sequence[bytes]) -> None:
        """Append creates that are CSV already: our key, the marker, the columns, the tail; empty where not planned."""
        ...


class Jobs(Protocol):
    """Bulk jobs of one object: opened, filled once, begun, waited for; then every row has a result of one of three kinds."""

    @property
    def reserved(self) -> str:
        """A text that means something else in a sheet; values that contain it are asked about by ``takes``."""
        ...

    def takes(self, values: Row) -> bool:
        """Whether these values can go by a job at all."""
        ...

    def sheet(self, columns: Sequence[str], *, creates: bool) -> AbstractContextManager[Sheet]:
        """An empty sheet for rows with these columns of ours, gone on leaving."""
        ...

    def shown(self, ids: Sequence[str]) -> Iterator[tuple[datetime, Sequence[Image]]]:
        """What these records hold now, in parts, each with the CRM's time of asking; those that are not there are left out."""
        ...

    def open(self, *, creates: bool) -> str:
        """Open a job and return its id; nothing is written before ``begin``."""
        ...

    def fill(self, job: str, sheet: Sheet) -> None:
        """Hand it its data: once."""
        ...

    def begin(self, job: str) -> None:
        """Let it work."""
        ...

    def abort(self, job: str) -> None:
        """End it before it has begun."""
        ...

    def look(self, job: str) -> JobState:
        """How it is.  Missing if the CRM does not know it (any more)."""
        ...

    def wait(self, job: str, rows: int, patience: float, since: float = 0) -> JobState:
        """Look until it has ended, for ``patience`` seconds at most; ``since``: seconds that it works already."""
        ...

    def results(self, job: str, kind: Literal["successful", "failed", "unprocessed"]) -> Iterator[RowResult]:
        """Its rows of one kind as they arrive, each once, in any order."""
        ...


@runtime_checkable
class BulkStore(Protocol):
    """A Store that also takes large pushes as jobs."""

    def jobs(self, object: Object) -> Jobs:
        """The jobs of one object."""
        ...


class Meter(Protocol):
    """Books calls before they leave; the only way to spend one."""

    def book(self, purpose: str) -> None:
        """Book one call or raise BudgetExhausted; durable before it returns, whatever happens to the caller."""
        ...

    def saw(self, at: datetime | None, usage: ApiUsage | None, *, exact: bool = False) -> None:
        """Take note of a reply: the CRM's time, and the org's calls as it counts them, where it says so.

        ``exact``: the usage is that of ``/limits``; None where that could not be asked.
        """
        ...

    def asks_limits(self) -> bool:
        """Whether ``/limits`` should be asked before the next call, because the replies can't tell; true only once."""
        ...
