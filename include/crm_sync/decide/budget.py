"""The arithmetic of calls: lanes, the window on two clocks, the org's own allocation, and what a backlog needs.

Pure: whoever books hands in what the ledger holds and what the clocks say (``ledger.spending``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from crm_sync.model import ApiUsage, RunKind

__all__ = [
    "FIRST_LOOK",
    "SHARES",
    "WINDOW",
    "Allocation",
    "Backlog",
    "Clocks",
    "calls_needed",
    "in_words",
    "lane_limit",
    "looked_past",
    "observed",
    "org_wait",
    "reserve_of",
    "runs_short",
]

WINDOW = timedelta(hours=24) + timedelta(minutes=10)
"""A booked call may leave up to a time-out later, so the window is longer than the promise by that much."""

SHARES: Mapping[RunKind, float] = MappingProxyType(
    {"agent": 1.0, "sync": 0.95, "provision": 0.95, "undo": 0.95, "reconcile": 0.8, "backfill": 0.6}
)
"""Which part of the day's calls a lane may use up; what is left is for the lanes above it."""

JITTER = 25
"""How far the header may be off: recorded from -10 to +17 between neighbouring replies (facts/salesforce.md 3.2)."""

FRESH = timedelta(minutes=5)
"""How exact ``/limits`` is, and so how long its answer is worth more than the header's."""

FIRST_LOOK, LAST_LOOK = timedelta(minutes=5), timedelta(hours=1)
"""After how long the org is asked whether it has calls again: at first, and at last."""


def lane_limit(daily_calls: int, lane: RunKind) -> int:
    """How many of the day's calls may be used up before this lane stops."""
    return int(daily_calls * SHARES[lane])


# ------------------------------------------------------------------------------------- the window on two clocks


@dataclass(frozen=True, slots=True)
class Clocks:
    """The database's time of this moment, and that of a second clock which does not hang on it (the CRM's).

    A call is dated by the later of the two and the window is looked back from the earlier one.  So while one of them is
    right, a call's date is never before the call, the moment of looking is never after it, and no call drops out of
    the window too early, whichever way the other clock is stepped and however often.  Clocks that differ make
    the window longer by as much, never shorter.
    """

    database: datetime
    other: datetime

    @property
    def books_at(self) -> datetime:
        """The date of a call booked now."""
        return max(self.database, self.other)

    @property
    def counts_from(self) -> datetime:
        """Calls dated after this are in the window."""
        return min(self.database, self.other) - WINDOW

    @property
    def apart(self) -> timedelta:
        """How much they differ."""
        return abs(self.database - self.other)


# ----------------------------------------------------------------------------------- the org's own allocation


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the org last said of its calls of 24 hours, all applications together.

    ``looks``: how often it was found short in a row.  ``look_at``: nothing is sent before this moment, and then one call
    to see whether there is room again; None: there is room.  ``limits_at``: when ``/limits`` was asked last.
    """

    usage: ApiUsage
    seen_at: datetime
    limits_at: datetime | None = None
    looks: int = 0
    look_at: datetime | None = None


def reserve_of(limit: int, share: float) -> int:
    """How many of the org's calls are left to its other users."""
    return math.ceil(limit * share)


def runs_short(usage: ApiUsage, share: float) -> bool:
    """Whether the org's calls are so near their reserve that the ledger has to know at once."""
    return usage.limit - usage.used - reserve_of(usage.limit, share) < JITTER


def observed(
    before: Allocation | None, usage: ApiUsage, share: float, now: datetime, *, exact: bool
) -> tuple[Allocation, bool]:
    """The allocation after a reply, and whether ``/limits`` should be asked, because the header alone can't tell.

    ``exact``: the figures are those of ``/limits``, or the header's where that can't be asked.
    """
    limits_at = now if exact else (before.limits_at if before else None)
    seen = Allocation(usage, now, limits_at)
    if before:
        seen = replace(seen, looks=before.looks, look_at=before.look_at)
    spare = usage.limit - usage.used - reserve_of(usage.limit, share)
    room = spare >= 0 and usage.used < usage.limit
    if not exact and abs(spare) < JITTER and usage.used < usage.limit:
        return seen, limits_at is None or now - limits_at > FRESH
    if room:
        return replace(seen, looks=0, look_at=None), False
    if org_wait(seen, now):
        return seen, False  # late replies of calls that left together count as one look
    return looked_past(seen, now), False


def org_wait(known: Allocation | None, now: datetime) -> timedelta:
    """How long nothing may be sent because the org runs short; a moment that a wrong clock set too far away is due."""
    wait = known.look_at - now if known and known.look_at else timedelta(0)
    return wait if timedelta(0) < wait <= LAST_LOOK else timedelta(0)


def looked_past(allocation: Allocation, now: datetime) -> Allocation:
    """One look more, and the next one twice as far away."""
    distance = min(FIRST_LOOK * 2 ** min(allocation.looks, 10), LAST_LOOK)
    return replace(allocation, looks=allocation.looks + 1, look_at=now + distance)


# ----------------------------------------------------------------------------------------------- the forecast


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits of one object: records to update or to create in the CRM, records to be read by id."""

    updates: int = 0
    creates: int = 0
    rereads: int = 0


def calls_needed(backlog: Iterable[Backlog], batch_size: int) -> int:
    """The calls of the next run: one that reads, and one per batch of one kind and object.

    At most: a record that turns out to agree needs none.
    """
    waits = list(backlog)
    queries = len(waits) + sum(_batches(b.rereads, ROWS_BY_ID) for b in waits)
    writes = sum(_batches(b.updates, batch_size) + _batches(b.creates, batch_size) for b in waits)
    return _batches(queries, QUERIES_A_CALL) + writes


ROWS_BY_ID = 500
QUERIES_A_CALL = 5


def _batches(rows: int, size: int) -> int:
    return -(-rows // size)


def in_words(duration: timedelta) -> str:
    """Hours and minutes, at least one minute."""
    minutes = max(1, math.ceil(duration.total_seconds() / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
