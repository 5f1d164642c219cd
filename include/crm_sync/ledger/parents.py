"""The parents that a chunk of records refers to, translated between their ids and ours (algorithm.md 6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import NO_PARENTS, Parents
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.links import Pair
from crm_sync.model import Object, Value

__all__ = ["load_parents", "parents_of"]


def load_parents(
    tx: Transaction, connection: str, mapping: ObjectMapping, found: Iterable[Pair], more: Iterable[Value] = (),
    run_id: int | None = None,
) -> Parents:  # fmt: skip
    """The parents of these pairs; ``more`` are further parents' ids of theirs; see ``parents_of``."""
    mapped = mapping.reference
    if mapped is None or mapped.references is None:
        return NO_PARENTS
    found = list(found)
    their_ids = {link.seen.get(mapped.ours) for link, _ in found} | set(more)
    our_ids = {ours.values.get(mapped.ours) for _, ours in found if ours}
    return parents_of(tx, connection, mapped.references, _texts(their_ids), _texts(our_ids), run_id)


def parents_of(
    tx: Transaction,
    connection: str,
    object: Object,
    their_ids: Sequence[str],
    our_ids: Sequence[str],
    run_id: int | None,
) -> Parents:
    """The living linked parents among these ids; with a run also those that it is about to create.

    A parent is also known by the ids that its record had before a merge; one whose record was merged into another
    parent's goes there as that one's.  One that we deleted lives no more, also while no run has seen that: its children
    are not taken from it there.
    """
    if not their_ids and not our_ids:
        return NO_PARENTS
    alive = sql.SQL(
        "exists (select 1 from (select a.deleted_at from {} a where a.id = l.our_id offset 0) a where a.deleted_at is null)"
    ).format(sql.Identifier("gptweb", f"{object}s"))
    query = sql.SQL("""select their_id, our_id::text, 'both' from crm_sync.link l
        where connection = %(c)s and object = %(o)s and state = 'live' and their_id = any(%(t)s) and {alive}
        union select their_id, our_id::text, 'both' from crm_sync.link l
        where connection = %(c)s and object = %(o)s and state = 'live' and their_id is not null
          and our_id = any(%(u)s::uuid[]) and {alive}
        union select f.their_id, l.our_id::text, 'ours' from crm_sync.former f join crm_sync.link l using (link_id)
        where f.their_id = any(%(t)s) and f.connection = %(c)s and l.object = %(o)s and l.state = 'live' and {alive}
        union select y.their_id, l.our_id::text, 'theirs' from crm_sync.link l join crm_sync.link y
          on y.connection = l.connection and y.object = l.object and y.our_id = l.successor and y.state = 'live'
        where l.connection = %(c)s and l.object = %(o)s and l.our_id = any(%(u)s::uuid[]) and l.state = 'merged' and {alive}
        union select coalesce(their_id, 'created by this run'), our_id::text, 'both' from crm_sync.change c
        where run_id = %(r)s and object = %(o)s and op = 'create' and (their_id = any(%(t)s) or our_id = any(%(u)s::uuid[]))
          and not exists (select 1 from crm_sync.outcome x where x.change_id = c.change_id)""").format(
        alive=alive
    )
    rows = tx.rows(query, {"c": connection, "o": object, "t": their_ids, "u": our_ids, "r": run_id})
    return Parents(
        {theirs: ours for theirs, ours, way in rows if way != "theirs"},
        {ours: theirs for theirs, ours, way in rows if way != "ours"},
    )


def _texts(values: Iterable[Value]) -> list[str]:
    return [str(value) for value in values if value is not None]
