"""Who shares a match key with whom, and what our key on a record of theirs says.

Each question is asked for a whole chunk: its keys go out as one array, and the answers are joined here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Ambiguous, Match
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import LINK_KEYS, STRAY_KEYS, match_function, table

__all__ = ["Sharing", "key_says", "nobody", "sharing"]


_OURS = sql.SQL("""
    select k.key, o.id::text, l.their_id is not null or exists (select 1 from crm_sync.intent i
      where i.link_id = l.link_id and i.closed_by is null)
    from unnest(%(keys)s::text[]) as k (key)
    cross join lateral (select o.id, o.deleted_at from {table} o where {function}(o.{column}) = k.key offset 0) o
    left join lateral (select * from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
      and l.our_id = o.id offset 0) l on true
    where o.deleted_at is null order by o.id""")
_STRAYS = sql.SQL(
    "select {key}, their_id from crm_sync.stray where connection = %(c)s and object = %(o)s and {key} = any(%(keys)s) "
    "and not deleted order by their_id"
)
_LINKED = sql.SQL(
    "select {key}, our_id::text from crm_sync.link where connection = %(c)s and object = %(o)s "
    "and {key} = any(%(keys)s) and their_alive and state in ('live', 'gone')"
)


@dataclass(slots=True)
class Sharing:
    """Who has one key: our records without and with a link (or a create in doubt), and strangers of theirs."""

    free: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def nobody(mapping: ObjectMapping) -> sql.Composed:
    """Of a stray ``s``: nobody on either side shares a key with it, so that ``judge`` would say Create.

    Each question is a look-up by the key alone (offset 0), whatever the planner believes about fresh tables.
    """
    theirs = sql.SQL("""s.{key} is null or (
          not exists (select 1 from (select o.deleted_at from {table} o where {function}(o.{column}) = s.{key} offset 0) o
            where o.deleted_at is null)
          and not exists (select 1 from (select * from crm_sync.stray x where x.{key} = s.{key} offset 0) x
            where x.connection = %(c)s and x.object = %(o)s and x.their_id <> s.their_id and not x.deleted offset 0)
          and not exists (select 1 from (select * from crm_sync.link y where y.{linked} = s.{key} offset 0) y
            where y.connection = %(c)s and y.object = %(o)s and y.their_alive and y.state in ('live', 'gone') offset 0)""")
    levels = [
        theirs.format(
            key=sql.Identifier(STRAY_KEYS[level]), linked=sql.Identifier(LINK_KEYS[level]), table=table(mapping),
            function=match_function(mapping, column), column=sql.Identifier(column),
        )
        for level, column in enumerate(mapping.match)
    ]  # fmt: skip
    return sql.SQL("({}))").format(sql.SQL(")) and (").join(levels))


def sharing(
    tx: Transaction, mapping: ObjectMapping, connection: str, level: int, keys: Iterable[str | None]
) -> dict[str | None, Sharing]:
    """Everybody who has one of these keys.

    A record of ours that is being created counts as linked: it may exist there already, under our key.  A linked
    record counts with our value and with theirs, so that a twin of either is never overlooked (algorithm.md 6.1.8).
    """
    wanted = sorted({key for key in keys if key is not None})
    found: dict[str | None, Sharing] = {key: Sharing() for key in wanted}
    if not wanted:
        return found
    column = mapping.match[level]
    parameters = {"c": connection, "o": mapping.object, "keys": wanted}
    ours = _OURS.format(
        function=match_function(mapping, column), column=sql.Identifier(column), table=table(mapping)
    )
    for key, our_id, is_linked in tx.rows(ours, parameters):
        (found[key].linked if is_linked else found[key].free).append(our_id)
    for key, their_id in tx.rows(_STRAYS.format(key=sql.Identifier(STRAY_KEYS[level])), parameters):
        found[key].strays.append(their_id)
    for key, our_id in tx.rows(_LINKED.format(key=sql.Identifier(LINK_KEYS[level])), parameters):
        if our_id not in found[key].linked:
            found[key].linked.append(our_id)
    return found


def key_says(
    tx: Transaction, mapping: ObjectMapping, connection: str, our_ids: set[str]
) -> dict[str | None, Match | Ambiguous]:
    """What our key on a record of theirs says, as far as it is a key of ours."""
    if not our_ids:
        return {}
    query = sql.SQL(
        "select o.id::text, o.deleted_at is null, l.their_id from {table} o left join crm_sync.link l "
        "on l.connection = %s and l.object = %s and l.our_id = o.id where o.id = any(%s::uuid[])"
    ).format(table=table(mapping))
    found: dict[str | None, Match | Ambiguous] = {}
    for our_id, alive, their_id in tx.rows(query, (connection, mapping.object, sorted(our_ids))):
        if their_id is not None:
            found[our_id] = Ambiguous(
                f"it carries the key of {our_id}, which is linked to {their_id}", (our_id,)
            )
        elif alive:
            found[our_id] = Match(our_id, "key")
    return found
