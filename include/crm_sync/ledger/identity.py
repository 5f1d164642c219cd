"""The questions that identity asks the database: who shares a match key with whom, and who is linked already.

Each question is asked for a whole chunk: its keys go out as one array, and the answers are joined here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Ambiguous, Candidates, Create, Match, judge
from crm_sync.ledger import window
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import LINK_KEYS, STRAY_KEYS, columns, match_function, our_record, table
from crm_sync.ledger.runs import Run
from crm_sync.model import OurRecord

__all__ = ["FIRST_ID", "Stray", "Unlinked", "nobody", "strangers", "strays_of", "unlinked", "unlinked_of"]

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Stray:
    """A living record of theirs without a link.  ``keyed_to``: what our key on it says, None if it carries none."""

    their_id: str
    keyed_to: Match | Ambiguous | None
    levels: tuple[Candidates, ...]


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A record of ours without a record of theirs.  ``refused``: the CRM refused this version of it as a whole."""

    our_id: str
    version: int
    link_id: int | None
    record: OurRecord | None
    refused: bool
    levels: tuple[Candidates, ...]

    @property
    def deleted(self) -> bool:
        """Whether our record is gone or archived."""
        return self.record is None or self.record.deleted

    @property
    def creatable(self) -> bool:
        """Whether nobody on their side matches."""
        return isinstance(judge(self.levels, "ours"), Create)


@dataclass(slots=True)
class _Sharing:
    """Who has one key: our records without and with a link (or a create in doubt), and strangers of theirs."""

    free: list[str] = field(default_factory=list)
    linked: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def strangers(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: str, limit: int
) -> list[tuple[str, bool]]:
    """The next living strays of a run in order of their id, and whether each is plainly new: nobody alike, not parked."""
    query = sql.SQL("""
        select s.their_id, s.our_id is null and {nobody}
        from crm_sync.stray s
        where s.connection = %(c)s and s.their_object = %(t)s and s.object = %(o)s and s.their_id > %(after)s
          and not s.deleted and not s.reread and {within}
        order by s.their_id limit %(limit)s""").format(
        nobody=nobody(mapping), within=window.stray_within(run, mapping)
    )
    parameters = {
        "c": run.connection,
        "o": mapping.object,
        "t": mapping.theirs,
        "after": after,
        "limit": limit,
    }
    # Each look-up finds a row or none: the way over a bitmap takes twice as long.
    tx.run("set local enable_bitmapscan = off")
    found = tx.rows(query, {**parameters, **window.bounds(run)})
    tx.run("set local enable_bitmapscan = on")
    parked = {row[0] for row in tx.rows(
        "select their_id from crm_sync.parked where connection = %s and object = %s and their_id = any(%s) and lifted_at is null",
        (run.connection, mapping.object, [row[0] for row in found]),
    )}  # fmt: skip
    return [(their_id, new and their_id not in parked) for their_id, new in found]


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


def strays_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str], *, lock: bool = True
) -> list[Stray]:
    """These living strays, as far as they still are, each with its candidates among ours by now."""
    query = sql.SQL(
        "select their_id, our_id::text, match_first, match_second from crm_sync.stray "
        "where connection = %(c)s and their_object = %(t)s and their_id = any(%(ids)s) and object = %(o)s "
        "and not deleted and not reread order by their_id {lock}"
    ).format(lock=sql.SQL("for update" if lock else ""))
    parameters = {"c": connection, "o": mapping.object, "t": mapping.theirs, "ids": list(their_ids)}
    return _strays(tx, mapping, connection, tx.rows(query, parameters))


def unlinked(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: str, limit: int, now: datetime
) -> list[Unlinked]:
    """The next records of a run's outbox without a record of theirs, each with its candidates among theirs."""
    parameters = {"c": run.connection, "o": mapping.object, "after": after, "limit": limit, "now": now}
    which = sql.SQL("b.our_id > %(after)s::uuid and {}").format(window.within(run, sql.SQL("o.updated_at")))
    return _unlinked(tx, mapping, which, {**parameters, **window.bounds(run)})


def unlinked_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, our_ids: Sequence[str], now: datetime
) -> list[Unlinked]:
    """These records of ours, as far as they still wait for a record of theirs."""
    parameters = {
        "c": connection,
        "o": mapping.object,
        "ids": list(our_ids),
        "limit": len(our_ids),
        "now": now,
    }
    return _unlinked(tx, mapping, sql.SQL("b.our_id = any(%(ids)s::uuid[])"), parameters)


def _strays(
    tx: Transaction, mapping: ObjectMapping, connection: str, rows: Sequence[Sequence[Any]]
) -> list[Stray]:
    keyed = _keyed(tx, mapping, connection, {row[1] for row in rows if row[1]})
    sharing = [
        _sharing(tx, mapping, connection, level, [row[2 + level] for row in rows])
        for level in range(len(mapping.match))
    ]
    return [
        Stray(
            their_id, keyed.get(our_id),
            tuple(
                Candidates(column, key, len(found.strays), tuple(found.free), tuple(found.linked))
                for column, key, by_key in zip(mapping.match, keys, sharing, strict=False)
                for found in [by_key.get(key, _Sharing())]
            ),
        )
        for their_id, our_id, *keys in rows
    ]  # fmt: skip


def _unlinked(
    tx: Transaction, mapping: ObjectMapping, which: sql.Composable, parameters: dict[str, Any]
) -> list[Unlinked]:
    keys = sql.SQL(", ").join(
        sql.SQL("{}(o.{})").format(match_function(mapping, column), sql.Identifier(column))
        for column in mapping.match
    )
    query = sql.SQL("""
        select b.our_id::text, b.version, l.link_id,
          exists (select 1 from (select * from crm_sync.parked p where p.our_id = b.our_id offset 0) p
            where p.connection = %(c)s and p.object = %(o)s and p.link_id is not null and p.field is null and p.held
              and p.lifted_at is null and p.our_version = o.version),
          {keys}, {columns}
        from crm_sync.outbox b
        left join {table} o on o.id = b.our_id
        left join lateral (select * from crm_sync.link l where l.connection = b.connection and l.object = b.object
          and l.our_id = b.our_id offset 0) l on true
        where b.connection = %(c)s and b.object = %(o)s and {which} and l.their_id is null
          and (l.link_id is null or l.state = 'creating') and (l.claim_until is null or l.claim_until < %(now)s)
        order by b.our_id limit %(limit)s""").format(
        keys=keys, columns=columns(mapping, "o"), table=table(mapping), which=which
    )
    rows = tx.rows(query, parameters)
    width = len(mapping.match)
    sharing = [
        _sharing(tx, mapping, parameters["c"], level, [row[4 + level] for row in rows])
        for level in range(width)
    ]
    return [
        Unlinked(
            row[0], row[1], row[2], our_record(mapping, row[0], row[4 + width :]), row[3],
            tuple(
                Candidates(
                    column, key, len({*found.free, row[0]}), tuple(found.strays),
                    tuple(other for other in found.linked if other != row[0]),
                )
                for column, key, by_key in zip(mapping.match, row[4 : 4 + width], sharing, strict=True)
                for found in [by_key.get(key, _Sharing())]
            ),
        )
        for row in rows
    ]  # fmt: skip


def _sharing(
    tx: Transaction, mapping: ObjectMapping, connection: str, level: int, keys: Iterable[str | None]
) -> dict[str | None, _Sharing]:
    """Everybody who has one of these keys.

    A record of ours that is being created counts as linked: it may exist there already, under our key.  A linked
    record counts with our value and with theirs, so that a twin of either is never overlooked (algorithm.md 6.1.8).
    """
    wanted = sorted({key for key in keys if key is not None})
    found: dict[str | None, _Sharing] = {key: _Sharing() for key in wanted}
    if not wanted:
        return found
    column = mapping.match[level]
    parameters = {"c": connection, "o": mapping.object, "keys": wanted}
    ours = sql.SQL("""
        select k.key, o.id::text, l.their_id is not null or exists (select 1 from crm_sync.intent i
          where i.link_id = l.link_id and i.closed_by is null)
        from unnest(%(keys)s::text[]) as k (key)
        cross join lateral (select o.id, o.deleted_at from {table} o where {function}(o.{column}) = k.key offset 0) o
        left join lateral (select * from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
          and l.our_id = o.id offset 0) l on true
        where o.deleted_at is null order by o.id""").format(
        function=match_function(mapping, column), column=sql.Identifier(column), table=table(mapping)
    )
    for key, our_id, is_linked in tx.rows(ours, parameters):
        (found[key].linked if is_linked else found[key].free).append(our_id)
    theirs = sql.SQL(
        "select {key}, their_id from crm_sync.stray where connection = %(c)s and object = %(o)s and {key} = any(%(keys)s) "
        "and not deleted order by their_id"
    ).format(key=sql.Identifier(STRAY_KEYS[level]))
    for key, their_id in tx.rows(theirs, parameters):
        found[key].strays.append(their_id)
    linked = sql.SQL(
        "select {key}, our_id::text from crm_sync.link where connection = %(c)s and object = %(o)s "
        "and {key} = any(%(keys)s) and their_alive and state in ('live', 'gone')"
    ).format(key=sql.Identifier(LINK_KEYS[level]))
    for key, our_id in tx.rows(linked, parameters):
        if our_id not in found[key].linked:
            found[key].linked.append(our_id)
    return found


def _keyed(
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
