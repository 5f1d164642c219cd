"""What the engine needs from the outside, as Protocols: a Store for records, a Meter for calls.

Import direction: model, errors -> decide -> ports -> engine; stores, access and ledger import ports, never the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from crm_sync.model import ApiUsage, Object, Page, Read, Write, Written

__all__ = ["LIMITS", "Meter", "Store"]

LIMITS = "limits"
"""The purpose of a call that asks the org for its limits; it is sent also when the org seems to have no calls left."""


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
