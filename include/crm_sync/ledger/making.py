"""Records of ours made of strangers, a chunk a statement: record, link, image and outcome side by side (adr/0015).

Only the plain case ends here: the stranger is as planned, nobody is like it, its parent is linked, and our database
takes every value and holds it as it is.  Everything else stays planned, and is made record by record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import as_engine, table
from crm_sync.ledger.sharing import nobody
from crm_sync.ledger.trail import EVERY_FIELD, UNDONE, Chunk
from crm_sync.model import EVERY_COLUMN

__all__ = ["Made", "Making", "chunk", "make", "prepare"]

SMALLEST = 50
"""A chunk that our database refuses is halved down to this; the rest of it is made record by record."""
OUR_TRIGGERS = ("archiver_inserted", "stamp_inserted")
"""Those that may change a record of ours before it is inserted: not one that is whole and lives (migration 0019)."""
AS_PLANNED: dict[str, LiteralString] = {
    "text": "f.after ->> {0}",
    "character varying": "f.after ->> {0}",
    "boolean": "coalesce((f.after ->> {0})::boolean, false)",
    "uuid": "(f.after ->> {0})::uuid",
}
"""How a planned value becomes one of these types, which hold it as it is or refuse it; booleans are never blank."""


@dataclass(frozen=True, slots=True)
class Making:
    """What a run makes of one object.

    ``offset``: how far their clock is ahead of ours.  ``keyed``: whether our key has still to go into their records.
    """

    run_id: int
    connection: str
    mapping: ObjectMapping
    offset: timedelta
    keyed: bool
    statement: sql.Composed


def prepare(
    tx: Transaction, run_id: int, connection: str, mapping: ObjectMapping, offset: timedelta, *, keyed: bool
) -> Making:
    """Look at our table, and spell the statement."""
    kinds = tx.rows(
        "select column_name, data_type from information_schema.columns where table_schema = 'gptweb' and table_name = %s",
        (mapping.table,),
    )
    return Making(run_id, connection, mapping, offset, keyed, _statement(mapping, dict(kinds)))


class Made(NamedTuple):
    """What became of a chunk: our new records, and their fields."""

    records: int
    fields: int


class _HeldOtherwise(Exception):
    """Our database holds something otherwise than it was planned, or somebody else was here."""


def chunk(tx: Transaction, making: Making, after: int, limit: int) -> Chunk:
    """The next planned changes after one, whatever became of them."""
    rows = tx.rows(
        "select coalesce(min(change_id) - 1, 0), coalesce(max(change_id), 0), count(*) from (select change_id "
        "from crm_sync.change where run_id = %s and side = 'ours' and object = %s and change_id > %s order by change_id limit %s) c",
        (making.run_id, making.mapping.object, after, limit),
    )
    return Chunk(*rows[0])


def make(tx: Transaction, making: Making, after: int, last: int) -> Made:
    """Make what is plain among the planned records (``after``, ``last``]."""
    try:
        with tx.connection.transaction(), as_engine(tx, "whole", None if making.keyed else making.connection):
            return _make(tx, making, after, last)
    except (psycopg.DataError, psycopg.IntegrityError, _HeldOtherwise):
        if last - after <= SMALLEST:
            return Made(0, 0)
        middle = (after + last) // 2
        first, second = make(tx, making, after, middle), make(tx, making, middle, last)
        return Made(first.records + second.records, first.fields + second.fields)


def _make(tx: Transaction, making: Making, after: int, last: int) -> Made:
    mapping = making.mapping
    parameters = {
        "run": making.run_id, "c": making.connection, "o": mapping.object, "t": mapping.theirs, "after": after,
        "last": last, "undone": UNDONE, "offset": making.offset, "keyed": making.keyed, "every": EVERY_COLUMN, "all": [EVERY_FIELD],
        "ours": list(OUR_TRIGGERS), "ref": mapping.reference.ours if mapping.reference else "",
        "parents": mapping.reference.references if mapping.reference else "",
        "owned": [f.ours for f in mapping.fields if f.direction == "out"],
    }  # fmt: skip
    # Each look-up finds a row or none: the way over a bitmap takes three times as long.
    tx.run("set local enable_bitmapscan = off")
    made, gone, otherwise, fields = tx.rows(making.statement, parameters)[0]
    if gone != made or otherwise:
        raise _HeldOtherwise
    return Made(made, int(fields))


def _statement(mapping: ObjectMapping, kinds: Mapping[str, str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, mapping.columns))
    others = [f.ours for f in mapping.fields if f.direction != "out" and kinds[f.ours] not in AS_PLANNED]
    return sql.SQL(_MAKE).format(
        nobody=nobody(mapping), table=table(mapping), names=names,
        parent=_parent(mapping), unowned=_unowned(mapping), planned=_planned(mapping), exact=_exact(others), populated=_populated(mapping) if others else sql.SQL(""),
        base=sql.SQL(_BASE), trusted=_trusted(mapping, kinds),
        values=sql.SQL(", ").join(_value(mapping, f, kinds[f.ours]) for f in mapping.fields),
    )  # fmt: skip


def _value(mapping: ObjectMapping, field: FieldMapping, kind: str) -> sql.Composed:
    """One column; what GPTWeb owns is blank in a new record."""
    name = sql.Identifier(field.ours)
    if field.direction == "out":
        value = sql.SQL("false" if kind == "boolean" else "(null::{}).{}").format(table(mapping), name)
    elif kind in AS_PLANNED:
        value = sql.SQL(AS_PLANNED[kind]).format(sql.Literal(field.ours))
    else:
        value = sql.SQL("v.{}").format(name)
    return sql.SQL("{} as {}").format(value, name)


def _populated(mapping: ObjectMapping) -> sql.Composed:
    return sql.SQL("cross join lateral jsonb_populate_record(null::{}, f.after) v").format(table(mapping))


def _planned(mapping: ObjectMapping) -> sql.Composed:
    """The columns that a plan may fill; a boolean is always planned, unless it can't be read there."""
    planned = [f.ours for f in mapping.fields if f.direction != "out"]
    return sql.SQL(", ").join(map(sql.Identifier, planned))


def _exact(columns: Sequence[str]) -> sql.Composed:
    """Columns of other types may take a planned value and hold it otherwise: rounded, cut, or spelt their own way."""
    return _all([
        sql.SQL("to_jsonb(v.{0}) is not distinct from f.after -> {1}").format(sql.Identifier(column), sql.Literal(column))
        for column in columns
    ])  # fmt: skip


def _trusted(mapping: ObjectMapping, kinds: Mapping[str, str]) -> sql.Composable:
    """Our table holds what it is given: its texts have no length, and nobody's trigger but ours changes a new row."""
    if any(kinds[column] == "character varying" for column in mapping.columns):
        return sql.SQL("false")
    return sql.SQL("""not exists (select 1 from pg_trigger t where t.tgrelid = {}::regclass and t.tgtype & 7 = 7
      and t.tgname <> all(%(ours)s))""").format(sql.Literal(f"gptweb.{mapping.table}"))


def _unowned(mapping: ObjectMapping) -> sql.Composed:
    """Theirs holds nothing in the fields that GPTWeb owns, as ours does that is to be made."""
    return _all([
        sql.SQL("coalesce(s.values ->> {}, {}) is not distinct from {}").format(sql.Literal(f.ours), blank, blank)
        for f in mapping.fields if f.direction == "out"
        for blank in [sql.SQL("'false'" if f.type == "boolean" else "null")]
    ])  # fmt: skip


def _parent(mapping: ObjectMapping) -> sql.Composable:
    """The parent, if one is planned, is linked and alive."""
    if mapping.reference is None or mapping.reference.references is None:
        return sql.SQL("true")
    return sql.SQL("""(not p.after ? %(ref)s or exists (select 1 from (select * from crm_sync.link l
          where l.connection = %(c)s and l.object = %(parents)s and l.our_id = (p.after ->> %(ref)s)::uuid offset 0) l
        cross join lateral (select a.deleted_at from {parents} a where a.id = l.our_id offset 0) a
        where l.their_id = s.values ->> %(ref)s and l.state = 'live' and a.deleted_at is null))""").format(
        parents=sql.Identifier("gptweb", f"{mapping.reference.references}s")
    )


def _all(conditions: Sequence[sql.Composed]) -> sql.Composed:
    return sql.SQL(" and ").join([sql.SQL("true"), *conditions])


# What both sides agreed on, where it is not all that was seen.
_BASE = """case when alike then values
    else values - %(owned)s::text[] - case when after ? %(ref)s then '' else %(ref)s end end"""

# Every table is filled from the one chunk, and other tables are reached by key (adr/0004): the link's id is drawn first.
# A base that is null is what was seen.  A stranger that was read again meanwhile is not gone: then nothing was done.
_MAKE = """
with planned as materialized (
  select c.change_id, c.our_id, c.their_id, c.after from crm_sync.change c
  where c.run_id = %(run)s and c.side = 'ours' and c.object = %(o)s and c.op = 'create'
    and c.change_id > %(after)s and c.change_id <= %(last)s
    and c.change_id <> all(array(select o.change_id from crm_sync.outcome o
      where o.change_id > %(after)s and o.change_id <= %(last)s and o.detail is distinct from %(undone)s))
  order by c.change_id),
found as materialized (
  select p.change_id, p.our_id, p.after, s.*, nextval('crm_sync.link_link_id_seq') as link_id,
    s.unowned and (s.parent is null or p.after ? %(ref)s) as alike
  from planned p
  cross join lateral (
    select s.ctid as place, s.their_id, s.values, s.stamp, s.recv, s.digest, s.match_first, s.match_second,
      s.values ->> %(ref)s as parent, {unowned} as unowned
    from crm_sync.stray s
    where s.connection = %(c)s and s.their_object = %(t)s and s.their_id = p.their_id and s.object = %(o)s
      and not s.deleted and not s.reread and s.our_id is null and s.values @> case when p.after ? %(ref)s then p.after - %(ref)s::text else p.after end
      and {nobody} and {parent}
    offset 0) s),
typed as materialized (
  select f.our_id as _id, jsonb_build_object(%(every)s::text, f.stamp - %(offset)s::interval) as _times, {exact} as _exact, {values}
  from found f {populated}),
made as (
  insert into {table} (id, changed_at, {names}) select _id, _times, {names} from typed returning id, {names}),
linked as (
  insert into crm_sync.link (link_id, connection, object, their_object, our_id, their_id, state, seen_stamp, seen_recv,
    seen_digest, match_key, match_second, dirty)
  overriding system value
  select link_id, %(c)s, %(o)s, %(t)s, our_id, their_id, 'live', stamp, recv, digest, match_first, match_second,
    not (alike or %(keyed)s)
  from found),
pictured as (
  insert into crm_sync.image (link_id, base_ours, base_theirs, seen)
  select link_id,
    case when after ? %(ref)s then {base} || jsonb_build_object(%(ref)s::text, after -> %(ref)s) when not alike then {base} end,
    case when not alike then {base} end, values
  from found),
told as (
  insert into crm_sync.outcome (change_id, run_id, outcome, fields, their_id)
  select change_id, %(run)s, 'acknowledged', %(all)s::text[], their_id from found),
gone as (delete from crm_sync.stray s using found f where s.ctid = f.place and s.recv = f.recv returning 1)
select (select count(*) from found), (select count(*) from gone),
  case when {trusted} then 0
    else (select count(*) from (select _id, {names} from typed where _exact except select id, {names} from made) d) end
    + (select count(*) from typed where not _exact),
  (select coalesce(sum(num_nonnulls({planned})), 0) from typed)"""
