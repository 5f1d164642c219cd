"""The budget: every call is booked in Postgres before it leaves, so that no 24 hours ever see more than was promised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from crm_sync.errors import BudgetExhausted
from crm_sync.ledger.database import Database
from crm_sync.model import RunKind

__all__ = ["SHARES", "LedgerMeter"]

WINDOW = timedelta(hours=24) + timedelta(minutes=10)
"""A booked call may leave up to a time-out later, so the window is longer than the promise by that much."""

SHARES: Mapping[str, float] = MappingProxyType(
    {"agent": 1.0, "sync": 0.95, "provision": 0.95, "undo": 0.95, "reconcile": 0.8, "backfill": 0.6}
)
"""Which part of the day's calls a lane may use up; what is left is for the lanes above it."""


class LedgerMeter:
    """Books calls of one run on its own database connection, so that a roll-back elsewhere unbooks nothing."""

    def __init__(
        self, database: Database, connection: str, daily_calls: int, run_id: int | None, lane: RunKind
    ) -> None:
        self._database = database
        self._connection = connection
        self._run_id = run_id
        self._lane = lane
        self._daily_calls = daily_calls
        self._limit = int(daily_calls * SHARES[lane])

    def book(self, purpose: str) -> None:
        """Book one call under the connection's row lock, or raise BudgetExhausted saying when one is free again."""
        with self._database.transaction() as tx:
            tx.run("select 1 from crm_sync.connection where name = %s for no key update", (self._connection,))
            now = tx.one("select clock_timestamp()")
            spent = tx.one(
                "select count(*) from crm_sync.spending where connection = %s and booked_at > %s",
                (self._connection, now - WINDOW),
            )
            if spent < self._limit:
                tx.run(
                    "insert into crm_sync.spending (connection, run_id, lane, purpose, booked_at) values (%s, %s, %s, %s, %s)",
                    (self._connection, self._run_id, self._lane, purpose, now),
                )
                return
            # The next call is free when so many of the oldest have left the window that the lane has room again.
            frees = tx.one(
                "select booked_at from crm_sync.spending where connection = %s and booked_at > %s "
                "order by booked_at limit 1 offset %s",
                (self._connection, now - WINDOW, spent - self._limit),
            )
        resume = frees + WINDOW - now if frees else WINDOW
        raise BudgetExhausted(
            f"connection {self._connection}: {spent} of {self._daily_calls} calls of 24 hours are used, lane "
            f"{self._lane} may use {self._limit}; the next one is free in {_words(resume)}. Raise daily_calls only if "
            "the org's own limit allows it",
            resume,
        )


def _words(duration: timedelta) -> str:
    minutes = max(1, int(duration.total_seconds() // 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
