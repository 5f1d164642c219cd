"""The budget: every call is booked in Postgres before it leaves, so that no 24 hours ever see more than was promised.

What is guaranteed: no 24 hours see more than ``daily_calls`` calls of a connection, whatever books at the same time,
whatever is killed, and however clocks are stepped, as long as at each booking the database's clock or the second one is
right (``decide.budget.Clocks``).  The second one is the CRM's own, from the replies of this session; before its first
reply it is the worker's.  Clocks that differ by a day stop all calls, so that no booking lies further than that ahead.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from crm_sync.decide.budget import (
    WINDOW,
    Allocation,
    Clocks,
    in_words,
    lane_limit,
    looked_past,
    observed,
    org_wait,
    reserve_of,
    runs_short,
)
from crm_sync.decide.settings import Settings, parse
from crm_sync.errors import BudgetExhausted, CallCapReached, Misconfigured, SyncError
from crm_sync.ledger import allocation
from crm_sync.ledger.database import Database, Transaction
from crm_sync.model import ApiUsage, RunKind
from crm_sync.ports import LIMITS

__all__ = ["LaneRoom", "LedgerMeter", "database_clock", "lane_room"]

LOG = logging.getLogger(__name__)
TOO_FAR_APART = timedelta(hours=24)
WORTH_STORING = timedelta(minutes=1)
"""The org's figures are for people to see as long as there is room; a row a minute is enough for that."""


def database_clock(tx: Transaction) -> datetime:
    """The database's time of this moment, not that of the transaction's begin."""
    now: datetime = tx.one("select clock_timestamp()")
    return now


@dataclass(frozen=True, slots=True)
class LaneRoom:
    """How far a lane has come with the day's calls; ``wait``: how long until it has one again."""

    limit: int
    spent: int
    wait: timedelta

    @property
    def left(self) -> int:
        """Calls that the lane may still make in these 24 hours."""
        return max(0, self.limit - self.spent)


def lane_room(tx: Transaction, connection: str, daily_calls: int, lane: RunKind, clocks: Clocks) -> LaneRoom:
    """What a lane has left of the day's calls, which all lanes spend together."""
    window = (connection, clocks.counts_from)
    spent: int = tx.one(
        "select count(*) from crm_sync.spending where connection = %s and booked_at > %s", window
    )
    limit = lane_limit(daily_calls, lane)
    if spent < limit:
        return LaneRoom(limit, spent, timedelta(0))
    # The next call is free when so many of the oldest have left the window that the lane has room again.
    frees: datetime | None = tx.one(
        "select booked_at from crm_sync.spending where connection = %s and booked_at > %s "
        "order by booked_at limit 1 offset %s",
        (*window, spent - limit),
    )
    return LaneRoom(limit, spent, frees - clocks.counts_from if frees else WINDOW)


class LedgerMeter:
    """Books calls of one run on its own database connection, so that a roll-back elsewhere unbooks nothing.

    ``clock`` reads the database's clock, ``worker_clock`` and ``monotonic`` are those of this process.
    """

    def __init__(
        self,
        database: Database,
        connection: str,
        run_id: int | None,
        lane: RunKind,
        *,
        clock: Callable[[Transaction], datetime] = database_clock,
        worker_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._connection = connection
        self._run_id = run_id
        self._lane: RunKind = lane
        self._clock = clock
        self._worker_clock = worker_clock
        self._monotonic = monotonic
        self._their_time: tuple[datetime, float] | None = None
        self._calls: Counter[str] | None = None
        self._chosen: Settings | None = None
        self._usage: ApiUsage | None = None
        self._store_after = self._monotonic()
        self._short = False
        self._asks_limits = False

    def __repr__(self) -> str:
        return f"<LedgerMeter of {self._connection}, lane {self._lane}>"

    # --------------------------------------------------------------------------------------------- booking

    def book(self, purpose: str) -> None:
        """Book one call under the connection's row lock, or raise BudgetExhausted saying when one is free again."""
        with self._database.transaction() as tx:
            chosen = self._lock(tx)
            clocks = self._clocks(tx)
            calls = self._calls_of_the_run(tx)
            self._stop_a_loop(chosen, purpose, calls)
            self._keep_to_the_lane(tx, chosen, clocks)
            if purpose != LIMITS:
                self._keep_to_the_org(tx, chosen, clocks.database)
            tx.run(
                "insert into crm_sync.spending (connection, run_id, lane, purpose, booked_at) values (%s, %s, %s, %s, %s)",
                (self._connection, self._run_id, self._lane, purpose, clocks.books_at),
            )
        calls[purpose] += 1

    def _lock(self, tx: Transaction) -> Settings:
        """One booking of a connection at a time, by the settings of this moment."""
        data = tx.one(
            "select settings from crm_sync.connection where name = %s for no key update", (self._connection,)
        )
        self._chosen = parse(self._connection, data)
        return self._chosen

    def _clocks(self, tx: Transaction) -> Clocks:
        other = self._worker_clock()
        if self._their_time:
            said, at = self._their_time
            other = said + timedelta(seconds=self._monotonic() - at)
        clocks = Clocks(self._clock(tx), other)
        if clocks.apart >= TOO_FAR_APART:
            whose = "the CRM's" if self._their_time else "this worker's"
            raise Misconfigured(
                f"connection {self._connection}: the clock of GPTWeb's database says {clocks.database:%F %R} UTC, "
                f"{whose} {other:%F %R} UTC, so calls of 24 hours can't be counted and none leaves; set the wrong one "
                "right (NTP)"
            )
        return clocks

    def _calls_of_the_run(self, tx: Transaction) -> Counter[str]:
        if self._calls is None:
            rows = tx.rows(
                "select purpose, count(*) from crm_sync.spending where run_id = %s group by purpose",
                (self._run_id,),
            )
            self._calls = Counter(dict(rows))
        return self._calls

    def _stop_a_loop(self, chosen: Settings, purpose: str, calls: Counter[str]) -> None:
        which = f"run {self._run_id}" if self._run_id else "this session"
        for made, cap, setting, what in (
            (calls.total(), chosen.run_calls, "run_calls", "calls"),
            (calls[purpose], chosen.object_calls, "object_calls", f"calls for {purpose!r}"),
        ):
            if made >= cap:
                raise CallCapReached(
                    f"connection {self._connection}: {which} has made {made:,} {what}, more than a run should ever "
                    f"need, and was stopped before it uses up the day's calls; what it finished is kept. If there is "
                    f"so much to do, the next run goes on with it, or raise {setting}; if not, look at "
                    "crm_sync.spending for what repeats, and report it"
                )

    def _keep_to_the_lane(self, tx: Transaction, chosen: Settings, clocks: Clocks) -> None:
        room = lane_room(tx, self._connection, chosen.daily_calls, self._lane, clocks)
        if room.wait:
            raise BudgetExhausted(
                f"connection {self._connection}: {room.spent:,} of {chosen.daily_calls:,} calls of 24 hours are used, "
                f"lane {self._lane} may use {room.limit:,}; the next one is free in {in_words(room.wait)}. Raise "
                "daily_calls only if the org's own limit allows it",
                room.wait,
            )

    def _keep_to_the_org(self, tx: Transaction, chosen: Settings, now: datetime) -> None:
        known = allocation.load(tx, self._connection)
        self._short = bool(known and known.look_at)
        if known and known.look_at:
            if wait := org_wait(known, now):
                raise _org_is_short(self._connection, known.usage, chosen, wait)
            # This one call is to see whether there is room again; the others wait for what it finds.
            allocation.store(tx, self._connection, looked_past(known, now))
        elif self._usage and self._monotonic() >= self._store_after:
            seen = replace(known, usage=self._usage, seen_at=now) if known else Allocation(self._usage, now)
            allocation.store(tx, self._connection, seen)
            self._store_after = self._monotonic() + WORTH_STORING.total_seconds()

    # -------------------------------------------------------------------------------------- what replies say

    def saw(self, at: datetime | None, usage: ApiUsage | None, *, exact: bool = False) -> None:
        """Note the CRM's time and what it says of its calls; the ledger hears of it at once where they run short."""
        if at is not None:
            self._their_time = (at, self._monotonic())
        self._usage = usage or self._usage
        if self._usage is None or self._chosen is None:
            return
        if exact or self._short or runs_short(self._usage, self._chosen.org_reserve):
            try:
                self._note(self._usage, exact=exact)
            except (SyncError, psycopg.Error):
                # The reply counts all the same: an answered write must not look like one that never left.
                LOG.warning(
                    "connection %s: what its org says of its calls could not be kept", self._connection
                )
                self._short = True

    def _note(self, usage: ApiUsage, *, exact: bool) -> None:
        with self._database.transaction() as tx:
            chosen = self._lock(tx)
            known = allocation.load(tx, self._connection)
            seen, asks = observed(known, usage, chosen.org_reserve, self._clock(tx), exact=exact)
            allocation.store(tx, self._connection, seen)
        self._short = seen.look_at is not None
        self._asks_limits = asks

    def asks_limits(self) -> bool:
        """Whether ``/limits`` should be asked before the next call; true only once."""
        asks, self._asks_limits = self._asks_limits, False
        return asks


def _org_is_short(connection: str, usage: ApiUsage, chosen: Settings, wait: timedelta) -> BudgetExhausted:
    reserve = reserve_of(usage.limit, chosen.org_reserve)
    return BudgetExhausted(
        f"connection {connection}: the org has {max(0, usage.limit - usage.used):,} of its {usage.limit:,} calls of 24 "
        f"hours left, and {reserve:,} are kept for its other users (org_reserve {chosen.org_reserve:.0%}); it is asked "
        f"again in {in_words(wait)}. See in the org's set-up, under Company Information and API Usage, who spends them; "
        "lower org_reserve only if they can be ours",
        wait,
    )
