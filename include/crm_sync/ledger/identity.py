"""The questions that identity asks the database: who shares a match key with whom, and who is linked already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Ambiguous, Candidates, Create, Match, judge
from crm_sync.ledger import parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.links import parents_of
from crm_sync.ledger.records import columns, match_function, our_record, table
from crm_sync.model import OurRecord, Row, Value

__all__ = [
    "FIRST_ID",
    "Stray",
    "Unlinked",
    "link_strays",
    "strays",
    "strays_of",
    "unlinked",
    "unlinked_of",
    "wanted_values",
]

FIRST_ID = "00000000-0000-0000-0000-000000000000"
NAMES = 5  # candidates shown to a person; more than that says "many" anyway


@dataclass(frozen=True, slots=True)
class Stray:
    """A living record of theirs without a link.  ``keyed_to``: what our key on it says, None if it carries none."""

    their_id: str
    values: Row
    keyed_to: Match | Ambiguous | None
    levels: tuple[Candidates, ...]


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A record of ours without a record of theirs.  ``refused``: the CRM refused this version of it as a whole."""

    our_id: str
    version: int
    link_id: int | None
    record: OurRecord | None
    deleted: bool
    refused: bool
    levels: tuple[Candidates, ...]

    @property
    def creatable(self) -> bool:
        """Whether nobody on their side matches."""
        return isinstance(judge(self.levels), Create)


def strays(tx: Transaction, connection: str, mapping: ObjectMapping, after: str, limit: int) -> list[Stray]:
    """The next strays in order of their id, each with its candidates among ours."""
    which = sql.SQL("s.their_id > %(after)s")
    return _strays(tx, mapping, which, {"c": connection, "o": mapping.object, "after": after, "limit": limit})


def strays_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str]
) -> list[Stray]:
    """These strays, as far as they still are: locked, each with its candidates by now."""
    tx.run(
        "select 1 from crm_sync.stray where connection = %s and their_object = %s and their_id = any(%s) "
        "order by their_id for update",
        (connection, mapping.theirs, list(their_ids)),
    )
    parameters = {"c": connection, "o": mapping.object, "ids": list(their_ids), "limit": len(their_ids)}
    return _strays(tx, mapping, sql.SQL("s.their_id = any(%(ids)s)"), parameters)


def _strays(
    tx: Transaction, mapping: ObjectMapping, which: sql.SQL, parameters: dict[str, object]
) -> list[Stray]:
    levels = sql.SQL(", ").join(_stray_level(mapping, column, i) for i, column in enumerate(mapping.match))
    query = sql.SQL("""
        select s.their_id, s.values, s.our_id::text,
          (select o.deleted_at is null from {table} o where o.id = s.our_id),
          (select array[l.link_id::text, l.their_id] from crm_sync.link l
            where l.connection = %(c)s and l.object = %(o)s and l.our_id = s.our_id), {levels}
        from crm_sync.stray s
        where s.connection = %(c)s and s.object = %(o)s and {which} and not s.deleted and not s.reread
        order by s.their_id limit %(limit)s""").format(table=table(mapping), levels=levels, which=which)
    rows = tx.rows(query, parameters)
    return [
        Stray(their_id, values, _keyed(our_id, exists, link), _levels(mapping, rest))
        for their_id, values, our_id, exists, link, *rest in rows
    ]


def unlinked(
    tx: Transaction, connection: str, mapping: ObjectMapping, after: str, limit: int, now: datetime
) -> list[Unlinked]:
    """The next records of the outbox without a record of theirs, each with its candidates among theirs."""
    parameters = {"c": connection, "o": mapping.object, "after": after, "limit": limit, "now": now}
    return _unlinked(tx, mapping, sql.SQL("b.our_id > %(after)s::uuid"), parameters)


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


def _unlinked(
    tx: Transaction, mapping: ObjectMapping, which: sql.SQL, parameters: dict[str, object]
) -> list[Unlinked]:
    levels = sql.SQL(", ").join(_our_level(mapping, column, i) for i, column in enumerate(mapping.match))
    query = sql.SQL("""
        select b.our_id::text, b.version, l.link_id,
          exists (select 1 from crm_sync.parked p where p.connection = %(c)s and p.object = %(o)s and p.our_id = b.our_id
            and p.link_id is not null and p.field is null and p.lifted_at is null and p.our_version = o.version),
          {columns}, {levels}
        from crm_sync.outbox b
        left join {table} o on o.id = b.our_id
        left join crm_sync.link l on l.connection = b.connection and l.object = b.object and l.our_id = b.our_id
        where b.connection = %(c)s and b.object = %(o)s and {which} and l.their_id is null
          and (l.link_id is null or l.state = 'creating')
          and (l.claim_until is null or l.claim_until < %(now)s)
        order by b.our_id limit %(limit)s""").format(
        table=table(mapping), columns=columns(mapping, "o"), levels=levels, which=which
    )
    width = 4 + len(mapping.columns)
    found = []
    for our_id, version, link_id, refused, *rest in tx.rows(query, parameters):
        record = our_record(mapping, our_id, rest[:width])
        gone = record is None or record.deleted
        found.append(
            Unlinked(our_id, version, link_id, record, gone, refused, _levels(mapping, rest[width:]))
        )
    return found


def link_strays(
    tx: Transaction, connection: str, mapping: ObjectMapping, matched: Sequence[tuple[str, str, str]]
) -> list[int]:
    """Link (our id, their id); the stray's image becomes what was seen, the base is absent."""
    if not matched:
        return []
    rows = tx.rows(
        """with w as (select * from unnest(%(ours)s::uuid[], %(theirs)s::text[]) as w (our_id, their_id)),
          s as (delete from crm_sync.stray s using w
            where s.connection = %(c)s and s.their_object = %(t)s and s.their_id = w.their_id returning s.*, w.our_id as ours),
          made as (
            insert into crm_sync.link as l (connection, object, their_object, our_id, their_id, state, keyed, seen_stamp,
              seen_recv, seen_digest, match_key)
            select connection, object, their_object, ours, their_id, 'live', our_id is not distinct from ours, stamp, recv,
              digest, match_first from s
            on conflict (connection, object, our_id) do update set their_id = excluded.their_id, state = 'live',
              keyed = excluded.keyed, seen_stamp = excluded.seen_stamp, seen_recv = excluded.seen_recv,
              seen_digest = excluded.seen_digest, match_key = excluded.match_key, dirty = true
              where l.their_id is null
            returning link_id, their_id)
        insert into crm_sync.image (link_id, seen) select made.link_id, s.values from made join s using (their_id)
        on conflict (link_id) do update set seen = excluded.seen
        returning link_id""",
        {
            "ours": [m[0] for m in matched],
            "theirs": [m[1] for m in matched],
            "c": connection,
            "t": mapping.theirs,
        },
    )
    parking.lift_linked(tx, connection, mapping.object, [m[0] for m in matched], [m[1] for m in matched])
    return [row[0] for row in rows]


def wanted_values(
    tx: Transaction, connection: str, mapping: ObjectMapping, record: Unlinked, run_id: int | None
) -> dict[str, Value]:
    """What a new record of theirs is made of: our non-blank values, without refused ones and without a missing parent."""
    if record.record is None:
        return {}
    rows = tx.rows(
        "select field, value from crm_sync.parked where link_id = %s and side = 'theirs' and field is not null "
        "and lifted_at is null",
        (record.link_id,),
    ) if record.link_id is not None else []  # fmt: skip
    refused: dict[str, Value] = dict(rows)
    values = {
        f.ours: record.record.values[f.ours]
        for f in mapping.fields
        if f.direction != "in" and record.record.values[f.ours] is not None
    }
    reference = mapping.reference
    if reference and reference.references and reference.ours in values:
        parents = parents_of(tx, connection, reference.references, [], [str(values[reference.ours])], run_id)
        if values[reference.ours] not in parents.theirs:
            del values[reference.ours]
    return {c: v for c, v in values.items() if not (c in refused and refused[c] == v)}


# Linked, or being created: a create in doubt may exist there already, under our key.
_TAKEN = sql.SQL("""exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
            and l.our_id = o.id and (l.their_id is not null or exists (select 1 from crm_sync.intent i
              where i.link_id = l.link_id and i.closed_by is null)))""")


def _stray_level(mapping: ObjectMapping, column: str, i: int) -> sql.Composed:
    """One level's key and who has it; ``in_doubt`` strays count too, so that a twin is never overlooked."""
    return sql.SQL("""
        s.{key} as k{i},
        (select count(*) from crm_sync.stray x where x.connection = %(c)s and x.object = %(o)s and x.{key} = s.{key}
          and not x.deleted) as n{i},
        (select array_agg(o.id::text) from (select o.id from {table} o where o.deleted_at is null
          and {function}(o.{column}) = s.{key} and not {taken} limit {names}) o) as f{i},
        (select array_agg(o.id::text) from (select o.id from {table} o where o.deleted_at is null
          and {function}(o.{column}) = s.{key} and {taken} limit {names}) o) as l{i}""").format(
        taken=_TAKEN,
        key=sql.Identifier(_key_column(mapping, column)), i=sql.SQL(str(i)), table=table(mapping), names=NAMES,
        function=match_function(mapping, column), column=sql.Identifier(column),
    )  # fmt: skip


def _our_level(mapping: ObjectMapping, column: str, i: int) -> sql.Composed:
    """The mirror of ``_stray_level``; a linked record counts with our value and with theirs (algorithm.md 6.1.8)."""
    key = sql.SQL("{function}(o.{column})").format(
        function=match_function(mapping, column), column=sql.Identifier(column)
    )
    their_key = (
        sql.SQL("select l.our_id from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s "
                "and l.match_key = {key} and l.state in ('live', 'creating') and l.our_id <> b.our_id union ").format(key=key)
        if i == 0 else sql.SQL("")
    )  # fmt: skip
    return sql.SQL("""
        {key} as k{i},
        (select count(*) from {table} x where x.deleted_at is null and {function}(x.{column}) = {key}
          and not exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
            and l.our_id = x.id and l.their_id is not null)) as n{i},
        (select array_agg(x.their_id) from (select x.their_id from crm_sync.stray x where x.connection = %(c)s
          and x.object = %(o)s and x.{stray} = {key} and not x.deleted limit {names}) x) as f{i},
        (select array_agg(t.our_id::text) from ({their_key} select x.id as our_id from {table} x where x.deleted_at is null
          and {function}(x.{column}) = {key} and x.id <> b.our_id and exists (select 1 from crm_sync.link l
            where l.connection = %(c)s and l.object = %(o)s and l.our_id = x.id and l.their_id is not null)
          limit {names}) t) as l{i}""").format(
        key=key, i=sql.SQL(str(i)), table=table(mapping), function=match_function(mapping, column), names=NAMES,
        column=sql.Identifier(column), stray=sql.Identifier(_key_column(mapping, column)), their_key=their_key,
    )  # fmt: skip


def _key_column(mapping: ObjectMapping, column: str) -> str:
    return "match_first" if column == mapping.match[0] else "match_second"


def _levels(mapping: ObjectMapping, cells: Sequence[Any]) -> tuple[Candidates, ...]:
    return tuple(
        Candidates(
            column,
            cells[4 * i],
            cells[4 * i + 1],
            tuple(cells[4 * i + 2] or ()),
            tuple(cells[4 * i + 3] or ()),
        )
        for i, column in enumerate(mapping.match)
    )


def _keyed(our_id: str | None, alive: bool | None, link: list[str | None] | None) -> Match | Ambiguous | None:
    if our_id is None or alive is None:
        return None
    if link is not None and link[1] is not None:
        return Ambiguous(f"it carries the key of {our_id}, which is linked to {link[1]}", (our_id,))
    return Match(our_id, "key") if alive else None
