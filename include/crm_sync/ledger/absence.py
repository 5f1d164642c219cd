"""Records that were asked for and did not come: purged or out of sight, or a create that never happened.

Absence proves no delete (algorithm.md 6.1.4): the link is lost, nothing is archived.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.observe import Closed
from crm_sync.ledger import doubts, intents, parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.trail import Line, note

__all__ = ["mark_absent"]

LOST = (
    "restore it or the integration user's access to it, or delete ours; it is taken up again when it shows up"
)


def mark_absent(
    tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, their_ids: Collection[str],
    our_ids: Collection[str], read_began: datetime,
) -> None:  # fmt: skip
    """Their ids and ours (by our key) that a read which began then did not bring."""
    _lose(tx, connection, run_id, mapping, their_ids)
    tx.run(
        "delete from crm_sync.stray where connection = %s and their_object = %s and their_id = any(%s) and reread",
        (connection, mapping.theirs, list(their_ids)),
    )
    _expire(tx, connection, run_id, mapping, their_ids, our_ids, read_began)


def _lose(
    tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, their_ids: Collection[str]
) -> None:
    """Their links are lost, and a person is told; so are those merged into what can't be read."""
    lost = tx.rows(
        "update crm_sync.link set state = 'lost', reread = false, dirty = false "
        "where connection = %(c)s and their_object = %(t)s and state not in ('lost', 'merged', 'converted') "
        "and link_id = any(array(select link_id from crm_sync.link where connection = %(c)s and their_object = %(t)s "
        "and their_id = any(%(ids)s) union all select link_id from crm_sync.link where connection = %(c)s "
        "and object = %(o)s and merged_into = any(%(ids)s) and merged_into is not null and state in ('live', 'gone'))) "
        "returning our_id::text, their_id",
        {"c": connection, "o": mapping.object, "t": mapping.theirs, "ids": list(their_ids)},
    )
    detail = "their record can't be read any more: purged, or the integration user lost access; restore it or its access"
    note(tx, run_id, connection, mapping.object, [
        Line("lost", "noted", our_id=our_id, their_id=their_id, side="theirs", detail=detail) for our_id, their_id in lost
    ])  # fmt: skip
    parking.park(tx, run_id, connection, [
        parking.Refusal(mapping.object, "theirs", "lost", "their record can't be read any more", LOST, our_id=our_id, their_id=their_id)
        for our_id, their_id in lost
    ])  # fmt: skip


def _expire(
    tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, their_ids: Collection[str],
    our_ids: Collection[str], read_began: datetime,
) -> None:  # fmt: skip
    """Writes without an answer that could no longer arrive when the read began never happened."""
    waiting = tx.rows(
        """select link_id from crm_sync.link where link_id = any(array(
          select link_id from crm_sync.link where connection = %(c)s and object = %(o)s and their_id is null
            and our_id = any(%(ours)s::uuid[])
          union all
          select link_id from crm_sync.link where connection = %(c)s and their_object = %(t)s and their_id = any(%(theirs)s)))
        order by link_id for update""",
        {
            "c": connection,
            "o": mapping.object,
            "t": mapping.theirs,
            "ours": list(our_ids),
            "theirs": list(their_ids),
        },
    )
    open_intents = intents.open_of(tx, [row[0] for row in waiting])
    expired = [
        Closed(i, (), expired=True)
        for found in open_intents.values()
        for i in found
        if i.expires_at < read_began
    ]
    doubts.close(tx, run_id, connection, mapping.object, expired, {})
