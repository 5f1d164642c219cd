"""What was done with the audit trail itself: where its chain stands, and who exported it, verified it or erased somebody from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crm_sync.ledger.database import Transaction

__all__ = ["EXPORTED", "VERIFIED", "Chain", "Done", "chain", "done"]

EXPORTED, VERIFIED = "trail_exported", "trail_verified"
RULES = (EXPORTED, VERIFIED, "erasure", "retention")


@dataclass(frozen=True, slots=True)
class Chain:
    """The seals of one connection: how many, since when, and the newest with its head."""

    seals: int
    first_at: datetime
    last_at: datetime
    head: str


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that was done with the trail, by whom."""

    at: datetime
    rule: str
    detail: str
    who: str


def chain(tx: Transaction, connection: str) -> Chain | None:
    """Where the chain of a connection stands; None: nothing of it is sealed yet."""
    rows = tx.rows(
        """select l.number, f.at, l.at, encode(l.head, 'hex') from
          (select * from crm_sync.seal where connection = %(c)s order by number desc limit 1) l,
          (select * from crm_sync.seal where connection = %(c)s order by number limit 1) f""",
        {"c": connection},
    )
    return Chain(*rows[0]) if rows else None


def done(tx: Transaction, connection: str, limit: int) -> list[Done]:
    """The newest first."""
    rows = tx.rows(
        """select at, rule, coalesce(detail, ''), coalesce(actor, 'the sync') from crm_sync.decision
          where connection = %s and run_id is null and rule = any(%s) order by decision_id desc limit %s""",
        (connection, list(RULES), limit),
    )
    return [Done(*row) for row in rows]
