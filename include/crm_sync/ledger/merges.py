"""Merges in the CRM, as the ledger sees them: links whose record was merged away, and where that chain ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger import former
from crm_sync.ledger.database import Transaction
from crm_sync.model import Link, Row

__all__ = [
    "End",
    "Winner",
    "awaited",
    "drop_winner",
    "end_of",
    "forget_former",
    "set_successor",
    "twins_of",
    "unfollowed",
    "winner",
]

MOST_LINKS = 50
"""Of one chain; a longer one is a circle."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a chain of merges ends: a link of ours, a stranger, or a record that was not read yet.

    ``passed``: the strangers that it leads through.
    """

    kind: Literal["link", "stray", "waiting"]
    their_id: str
    link_id: int = 0
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Winner:
    """A stranger into which a linked record was merged, as it was last read.  ``gone``: deleted, or a converted lead."""

    values: Row
    our_id: str | None
    stamp: Any
    recv: int
    gone: bool
    converted_to: str | None


def unfollowed(tx: Transaction, connection: str) -> list[tuple[str, int, str]]:
    """(object, link id, winner's id) of every link whose record was merged away and that no plan has followed."""
    return tx.rows(
        "select object, link_id, merged_into from crm_sync.link where connection = %s and merged_into is not null "
        "and state in ('live', 'gone') and not reread order by link_id",
        (connection,),
    )


def awaited(
    tx: Transaction, connection: str, mapping: ObjectMapping, merged: Iterable[tuple[str, int, str]]
) -> list[str]:
    """The records that have to be read before these merges (as ``unfollowed``) can be followed."""
    ends = [
        end_of(tx, connection, mapping, link_id, winner)
        for of, link_id, winner in merged
        if of == mapping.object
    ]
    return [end.their_id for end in ends if end.kind == "waiting"]


def end_of(tx: Transaction, connection: str, mapping: ObjectMapping, start: int, their_id: str) -> End:
    """Follow the merge of a link to its end, through strangers, links, and ids that links had before.

    It ends at the link ``start`` itself when that had the winner's id before.
    """
    passed: tuple[str, ...] = ()
    for _ in range(MOST_LINKS):
        found = tx.rows(
            """select l.link_id, l.merged_into, l.state, f.link_id from crm_sync.link l
              left join crm_sync.link f on f.connection = l.connection and f.object = l.object and f.our_id = l.successor
            where l.connection = %(c)s and l.their_object = %(t)s and (l.their_id = %(id)s or l.link_id = (
              select o.link_id from crm_sync.former o
              where o.connection = %(c)s and o.their_object = %(t)s and o.their_id = %(id)s))
            order by l.their_id is distinct from %(id)s limit 1""",
            {"c": connection, "t": mapping.theirs, "id": their_id},
        )
        if found:
            link_id, merged_into, state, successor = found[0]
            if state == "merged" and successor is not None:
                return End("link", their_id, successor, passed)
            if merged_into is None or link_id == start:
                return End("link", their_id, link_id, passed)
        else:
            stray = tx.rows(
                "select merged_into, reread from crm_sync.stray where connection = %s and their_object = %s and their_id = %s",
                (connection, mapping.theirs, their_id),
            )
            if not stray or stray[0][1]:
                return End("waiting", their_id)
            merged_into = stray[0][0]
            if merged_into is None:
                return End("stray", their_id, passed=passed)
            passed += (their_id,)
        their_id = merged_into
    return End("waiting", their_id)


def winner(tx: Transaction, connection: str, mapping: ObjectMapping, their_id: str) -> Winner:
    """The stranger's image, locked."""
    (row,) = tx.rows(
        "select values, our_id::text, stamp, recv, deleted, converted_to from crm_sync.stray "
        "where connection = %s and their_object = %s and their_id = %s for update",
        (connection, mapping.theirs, their_id),
    )
    return Winner(*row)


def drop_winner(tx: Transaction, connection: str, mapping: ObjectMapping, their_id: str) -> None:
    """The stranger is linked now."""
    tx.run(
        "delete from crm_sync.stray where connection = %s and their_object = %s and their_id = %s",
        (connection, mapping.theirs, their_id),
    )


def forget_former(tx: Transaction, connection: str, mapping: ObjectMapping, their_id: str) -> None:
    """A former record is to be read as a stranger again."""
    tx.run(
        "delete from crm_sync.former where connection = %s and their_object = %s and their_id = %s",
        (connection, mapping.theirs, their_id),
    )


def set_successor(
    tx: Transaction, connection: str, mapping: ObjectMapping, merged: Sequence[tuple[Link, Link]]
) -> None:
    """These links (loser, winner) end here: the winner's goes on for both, also under the loser's id."""
    former.keep(
        tx, connection, mapping, [x for x, _ in merged], {x.link_id: y.link_id for x, y in merged}, "merged"
    )
    tx.run(
        """update crm_sync.link l set state = 'merged', successor = w.successor, dirty = false
        from unnest(%s::bigint[], %s::uuid[]) as w (link_id, successor) where l.link_id = w.link_id""",
        ([x.link_id for x, _ in merged], [y.our_id for _, y in merged]),
    )


def twins_of(tx: Transaction, connection: str, mapping: ObjectMapping, link_id: int) -> list[str]:
    """Records of ours whose living counterpart shares a key with this link's: the first one, or where one lacks that, the second."""
    rows = tx.rows(
        """select y.our_id::text from crm_sync.link x
        join crm_sync.link y on (y.match_key = x.match_key
            or y.match_second = x.match_second and (x.match_key is null or y.match_key is null))
          and y.connection = x.connection and y.object = x.object and y.link_id <> x.link_id
        where x.link_id = %s and y.connection = %s and y.object = %s and y.their_alive and y.state in ('live', 'gone')
        order by 1""",
        (link_id, connection, mapping.object),
    )
    return [row[0] for row in rows]
