"""What a run's plan would do, read from its lines: how much of what it touches, a few samples, and the digests that tell it from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.decide.safety import Touched
from crm_sync.ledger import trail
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import table
from crm_sync.model import Object, Side

__all__ = ["Sample", "cascaded", "digest_of", "linked_up_to", "samples", "touched", "work_digest"]

SHOWN = 5  # records of a kind named to a person


@dataclass(frozen=True, slots=True)
class Sample:
    """A change named to a person: which record and which fields; its values stay in the ledger."""

    object: str
    side: Side
    op: str
    our_id: str
    their_id: str | None
    fields: tuple[str, ...]


def touched(
    tx: Transaction, run_id: int, mapping: ObjectMapping, linked: int, cascade: int = 0
) -> list[Touched]:
    """What the run's plan overwrites and deletes of one object; a blank that is filled, and a measure of ours, is not lost.

    ``cascade``: records that the CRM would delete with their parents.
    """
    ours = [KEY, *(f.ours for f in mapping.fields if f.direction == "out")]
    rows = tx.rows(
        sql.SQL("""select c.side, count(*) filter (where c.op = 'update' and exists (
              select 1 from jsonb_each(c.before) b where b.value <> 'null' and b.key <> all(%(ours)s::text[]))),
            count(*) filter (where c.op in ('archive', 'delete'))
        from crm_sync.change c where c.run_id = %(run)s and c.side = any('{{ours,theirs}}') and c.object = %(o)s
          and {pending} group by c.side order by c.side""").format(pending=trail.PENDING),
        {"run": run_id, "o": mapping.object, "ours": ours},
    )  # fmt: skip
    found: dict[Side, tuple[int, int]] = {"ours": (0, 0), "theirs": (0, 0)}
    found |= {side: (overwritten, deleted) for side, overwritten, deleted in rows}
    return [
        Touched(mapping.object, side, linked, overwritten, deleted + (cascade if side == "theirs" else 0))
        for side, (overwritten, deleted) in found.items()
    ]


def linked_up_to(tx: Transaction, connection: str, object: str, most: int | None) -> int:
    """How many records of the object both sides agreed to have; counted no further than ``most``."""
    return int(tx.one(
        """select count(*) from (select 1 from crm_sync.link where connection = %s and object = %s
          and their_id is not null and base_alive_ours and base_alive_theirs limit %s) l""",
        (connection, object, most),
    ))  # fmt: skip


def cascaded(tx: Transaction, connection: str, run_id: int, mapping: ObjectMapping, parents: Object) -> int:
    """How many linked records the CRM would delete along with the ``parents`` that the run deletes there."""
    if mapping.reference is None:
        return 0
    query = sql.SQL("""select count(*) from crm_sync.change p
      join {table} o on o.{column} = p.our_id
      join crm_sync.link l on l.connection = %(c)s and l.object = %(o)s and l.our_id = o.id and l.base_alive_theirs
      where p.run_id = %(run)s and p.side = 'theirs' and p.object = %(p)s and p.op = 'delete'
        and not exists (select 1 from crm_sync.change c where c.run_id = %(run)s and c.side = 'theirs'
          and c.object = %(o)s and c.op = 'delete' and c.our_id = o.id)""").format(
        table=table(mapping), column=sql.Identifier(mapping.reference.ours)
    )
    return int(tx.one(query, {"c": connection, "o": mapping.object, "p": parents, "run": run_id}))


def digest_of(tx: Transaction, run_id: int, mappings: Mapping[Object, ObjectMapping]) -> str:
    """What a person approves: every change of the run's plan of which nothing became yet, with all its values.

    The same plan made twice has the same digest: the ids that its new records of ours would get, which are drawn by lot,
    are told by the ids of theirs that they are made from, and the order is that of the content.
    """
    references = {o: m.reference.ours for o, m in mappings.items() if m.reference}
    return str(tx.one(
        # Lateral with offset 0: one look-up by key a row (adr/0004); a join of all with all took half a minute for 5,000 records.
        sql.SQL("""with hashes as (select sha256(convert_to(jsonb_build_array(c.object, c.side, c.op,
            coalesce(m.their_id, c.our_id::text), c.their_id, c.after ? %(key)s, c.after - %(key)s::text - r.name,
            c.after ? r.name, coalesce(p.their_id, c.after ->> r.name))::text, 'UTF8')) as hash
          from crm_sync.change c
          cross join lateral (select coalesce(%(references)s::jsonb ->> c.object, '') as name) r
          left join lateral (select x.their_id from (select x.their_id, x.run_id, x.side, x.op from crm_sync.change x
              where x.our_id = c.our_id offset 0) x
            where x.run_id = %(run)s and x.side = 'ours' and x.op = 'create' limit 1) m on true
          left join lateral (select x.their_id from (select x.their_id, x.run_id, x.side, x.op from crm_sync.change x
              where c.side = 'ours' and x.our_id = (c.after ->> r.name)::uuid offset 0) x
            where x.run_id = %(run)s and x.side = 'ours' and x.op = 'create' limit 1) p on true
          where c.run_id = %(run)s and {pending})
        select left(encode(sha256(coalesce(string_agg(hash, ''::bytea order by hash), ''::bytea)), 'hex'), 16)
        from hashes""").format(pending=trail.PENDING),
        {"run": run_id, "key": KEY, "references": Jsonb(references)},
    ))  # fmt: skip


def work_digest(tx: Transaction, connection: str) -> str:
    """What a plan would be made from: the outbox, the dirty links, the strangers; the same work makes the same plan."""
    return str(tx.one(
        """with work as (
          select concat_ws('|', 'outbox', object, our_id, version) as line from crm_sync.outbox where connection = %(c)s
          union all
          select concat_ws('|', 'link', link_id, their_id, state, their_alive, reread, encode(seen_digest, 'hex'))
            from crm_sync.link where connection = %(c)s and dirty
          union all
          select concat_ws('|', 'stray', object, their_id, deleted, reread, encode(digest, 'hex'))
            from crm_sync.stray where connection = %(c)s)
        select encode(sha256(coalesce(string_agg(sha256(convert_to(line, 'UTF8')), ''::bytea order by line), ''::bytea)), 'hex')
        from work""",
        {"c": connection},
    ))  # fmt: skip


def samples(tx: Transaction, run_id: int) -> list[Sample]:
    """A few changes of each kind that takes something away, the oldest first."""
    rows = tx.rows(
        sql.SQL("""select object, side, op, our_id::text, their_id, array(select jsonb_object_keys(after)) from (
          select c.*, row_number() over (partition by c.object, c.side, c.op order by c.change_id) as place
          from crm_sync.change c where c.run_id = %s and c.op in ('update', 'archive', 'delete') and {pending}) c
        where place <= %s order by object, side, op, change_id""").format(pending=trail.PENDING),
        (run_id, SHOWN),
    )
    return [
        Sample(object, side, op, our_id, their_id, tuple(sorted(fields)))
        for object, side, op, our_id, their_id, fields in rows
    ]
