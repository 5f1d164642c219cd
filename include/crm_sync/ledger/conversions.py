"""Converted leads, as the ledger sees them: which no plan has followed, and what a contact takes over from its lead."""

from __future__ import annotations

from collections.abc import Sequence

from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import Link, Row

__all__ = ["UNREAD", "deleted", "end", "lift_unread", "set_base", "unfollowed"]

UNREAD = "contact_unread"
"""Why a converted lead waits: its contact was asked for and did not come."""


def unfollowed(tx: Transaction, connection: str) -> list[tuple[int, str]]:
    """(link id, their contact's id) of every converted lead that has not been followed yet."""
    return tx.rows(
        "select link_id, converted_to from crm_sync.link where connection = %s and object = 'lead' "
        "and converted_to is not null and state in ('live', 'gone') and not reread order by link_id",
        (connection,),
    )


def deleted(tx: Transaction, connection: str, their_ids: Sequence[str]) -> frozenset[str]:
    """Those of these contacts that were deleted before they were anybody's here."""
    rows = tx.rows(
        "select their_id from crm_sync.stray where connection = %s and object = 'contact' and their_id = any(%s) "
        "and deleted and merged_into is null and not reread",
        (connection, list(their_ids)),
    )
    return frozenset(row[0] for row in rows)


def lift_unread(tx: Transaction, link_ids: Sequence[int]) -> None:
    """The contacts of these leads have been read by now."""
    tx.run(
        "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'its contact was read' "
        "where link_id = any(%s) and code = %s and lifted_at is null",
        (list(link_ids), UNREAD),
    )


def set_base(tx: Transaction, link_id: int, base_ours: Row, base_theirs: Row) -> None:
    """The base that a contact takes over from the lead that it was."""
    tx.run(
        "update crm_sync.image set base_ours = %s, base_theirs = %s where link_id = %s",
        (Jsonb(base_ours), Jsonb(base_theirs), link_id),
    )


def end(tx: Transaction, converted: Sequence[tuple[Link, str | None]]) -> None:
    """These leads' links end here; each names the contact of ours that goes on."""
    tx.run(
        """update crm_sync.link l set state = 'converted', successor = w.successor, dirty = false
        from unnest(%s::bigint[], %s::uuid[]) as w (link_id, successor) where l.link_id = w.link_id""",
        ([link.link_id for link, _ in converted], [successor for _, successor in converted]),
    )
