"""How far theirs has been read: one cursor an object, which moves when all before it is stored."""

from __future__ import annotations

from datetime import datetime, timedelta

from crm_sync.ledger.database import Transaction

__all__ = ["move_cursor", "position"]


def position(tx: Transaction, connection: str, object: str) -> datetime | None:
    """How far theirs has been read; None before the first read."""
    at: datetime | None = tx.one(
        "select position from crm_sync.cursor where connection = %s and object = %s", (connection, object)
    )
    return at


def move_cursor(
    tx: Transaction, connection: str, object: str, position: datetime, ahead: timedelta, lag: timedelta
) -> timedelta:
    """Everything up to ``position`` has been read; a cursor never moves back, unless their clock did.

    ``ahead``: how far their clock is ahead of ours.  Where it was set back by more than ``lag`` since the cursor moved, the
    cursor moves back as far: edits since then have stamps that lie before it.  Returns how far it moved for that.
    """
    rows = tx.rows(
        "select ahead - %s from crm_sync.cursor where connection = %s and object = %s and ahead - %s > %s for update",
        (ahead, connection, object, ahead, lag),
    )
    back: timedelta = rows[0][0] if rows else timedelta(0)
    tx.run(
        """insert into crm_sync.cursor as c (connection, object, position, ahead)
          values (%(connection)s, %(object)s, %(position)s, %(ahead)s)
        on conflict (connection, object) do update set ahead = excluded.ahead, moved_at = clock_timestamp(),
          position = case when %(back)s > interval '0' then least(c.position - %(back)s, excluded.position)
            else greatest(c.position, excluded.position) end""",
        {"connection": connection, "object": object, "position": position, "ahead": ahead, "back": back},
    )
    return back
