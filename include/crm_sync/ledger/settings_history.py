"""Who changed which setting of a connection, and when: read from the trail; and changing none that somebody else changed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from crm_sync.decide.settings import Settings
from crm_sync.errors import Misconfigured
from crm_sync.ledger import settings as ledger
from crm_sync.ledger.database import Transaction
from crm_sync.model import Value

__all__ = ["SettingChange", "history", "locked", "mark"]


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting that somebody changed; a list or an object is shown as JSON text."""

    change_id: int
    at: datetime
    setting: str
    before: Value
    after: Value
    who: str


def history(tx: Transaction, connection: str, limit: int, before: int | None = None) -> list[SettingChange]:
    """The newest first; ``before``: a change's number, for the page after it."""
    rows = tx.rows(
        """select decision_id, at, field, before, after, coalesce(actor, regexp_replace(coalesce(detail, ''), '^by ', ''))
        from crm_sync.decision where connection = %(c)s and run_id is null and rule = 'setting_changed'
          and (%(before)s::bigint is null or decision_id < %(before)s)
        order by decision_id desc limit %(limit)s""",
        {"c": connection, "before": before, "limit": limit},
    )
    return [SettingChange(*row) for row in rows]


def mark(settings: Settings) -> str:
    """Tells whether the settings are still those that somebody was shown."""
    return sha256(settings.model_dump_json().encode()).hexdigest()[:16]


def locked(tx: Transaction, connection: str, seen: str | None = None) -> ledger.Connection:
    """The connection, kept from others' changes to the end of the transaction; ``seen``: refused where its mark is another by now."""
    tx.run("select 1 from crm_sync.connection where name = %s for update", (connection,))
    found = ledger.load(tx, connection)
    if seen is not None and seen != mark(found.settings):
        raise Misconfigured(
            "Somebody changed the settings since you opened this page: open it again and look at them."
        )
    return found
