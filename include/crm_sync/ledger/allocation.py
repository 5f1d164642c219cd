"""What each org last said of its own calls: one row per connection, kept for all workers."""

from __future__ import annotations

from crm_sync.decide.budget import Allocation
from crm_sync.ledger.database import Transaction
from crm_sync.model import ApiUsage

__all__ = ["load", "store"]


def load(tx: Transaction, connection: str) -> Allocation | None:
    """The newest, None before the first reply."""
    rows = tx.rows(
        "select used, allowed, seen_at, limits_at, looks, look_at from crm_sync.allocation where connection = %s",
        (connection,),
    )
    return Allocation(ApiUsage(rows[0][0], rows[0][1]), *rows[0][2:]) if rows else None


def store(tx: Transaction, connection: str, allocation: Allocation) -> None:
    """Keep it; the caller holds the connection's row."""
    tx.run(
        """insert into crm_sync.allocation (connection, used, allowed, seen_at, limits_at, looks, look_at)
        values (%s, %s, %s, %s, %s, %s, %s) on conflict (connection) do update set used = excluded.used,
          allowed = excluded.allowed, seen_at = excluded.seen_at, limits_at = excluded.limits_at,
          looks = excluded.looks, look_at = excluded.look_at""",
        (
            connection, allocation.usage.used, allocation.usage.limit, allocation.seen_at, allocation.limits_at,
            allocation.looks, allocation.look_at,
        ),
    )  # fmt: skip
