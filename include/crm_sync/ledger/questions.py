"""The question about a run's plan as a page shows it: why it is asked, how much of what would be done, and who answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_sync.errors import Missing
from crm_sync.ledger.database import Transaction

__all__ = ["Asked", "asked", "newest"]

ORDER: Sequence[str] = (
    "linked", "create in the CRM", "create in GPTWeb", "update in the CRM", "update in GPTWeb", "archive in GPTWeb",
    "delete in the CRM",
)  # fmt: skip
"""What a person looks at first; the rest follows by name."""
ALWAYS = frozenset({"linked", "create in the CRM", "create in GPTWeb", "conflicts"})
"""What a sync's question says even where there is none of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.  ``counts``: how many of what, by object; ``calls``: about how many API calls, None for none at all.

    ``answer`` None: nobody gave one yet.
    """

    run_id: int
    digest: str
    reasons: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]
    calls: int | None
    asked_at: datetime
    expires_at: datetime
    answer: str | None
    answered_at: datetime | None
    answered_by: str | None

    @property
    def columns(self) -> list[str]:
        """What is counted, in the order in which it is shown."""
        names = {name for row in self.counts.values() for name in row}
        if not names.isdisjoint(ORDER):
            names |= ALWAYS
        return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def newest(tx: Transaction, connection: str, run_id: int) -> Asked | None:
    """The newest question about the run; None where nothing was asked."""
    rows = tx.rows(
        """select run_id, digest, reasons, counts, calls, asked_at, expires_at, answer, answered_at, answered_by
        from crm_sync.approval where connection = %s and run_id = %s order by approval_id desc limit 1""",
        (connection, run_id),
    )
    return Asked(*rows[0]) if rows else None


def asked(tx: Transaction, connection: str, run_id: int) -> Asked:
    """The newest question about the run; Missing where nothing was asked."""
    found = newest(tx, connection, run_id)
    if found is None:
        raise Missing(f"nobody is asked about run {run_id} of {connection}; its page says how it stands")
    return found
