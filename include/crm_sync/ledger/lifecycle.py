"""What a person does to a connection as a whole: pause it, resume it; each with a line in the trail that says who."""

from __future__ import annotations

from crm_sync.errors import Missing
from crm_sync.ledger import trail
from crm_sync.ledger.database import Transaction

__all__ = ["note", "pause", "resume"]


def pause(tx: Transaction, connection: str, who: str) -> bool:
    """No sync begins by itself; False where none did anyway."""
    return _switch(tx, connection, active=False, rule="connection_paused", who=who)


def resume(tx: Transaction, connection: str, who: str) -> bool:
    """Syncs begin by themselves; False where they did anyway."""
    return _switch(tx, connection, active=True, rule="connection_resumed", who=who)


def note(tx: Transaction, connection: str, rule: str, detail: str, who: str | None = None) -> None:
    """One line about the connection as a whole."""
    trail.note(tx, None, connection, "connection", [trail.Line(rule, "noted", detail=detail, actor=who)])


def _switch(tx: Transaction, connection: str, *, active: bool, rule: str, who: str) -> bool:
    if tx.one("select 1 from crm_sync.connection where name = %s for update", (connection,)) is None:
        raise Missing(f"there is no connection {connection!r}; CRM Sync lists those that there are")
    query = "update crm_sync.connection set active = %s where name = %s and active <> %s"
    switched = bool(tx.run(query, (active, connection, active)))
    if switched:
        note(tx, connection, rule, f"by {who}", who)
    return switched
