"""Our new records on their way to the CRM by bulk: planned, claimed and kept, each by one statement a chunk.

Only the usual case ends here (adr/0016): a record that lives, that nobody shares a key with, of which nothing is parked,
and whose values SQL spells as Python does.  What is left goes record by record through the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.canonical import plain, texts, values_to_create
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.ids import new_ids
from crm_sync.ledger.jobs import Job
from crm_sync.ledger.records import LINK_KEYS, STRAY_KEYS, match_function, second_key, table
from crm_sync.ledger.trail import EVERY_FIELD, UNTOLD, Carrier, Chunk
from crm_sync.model import Object

__all__ = ["Claim", "Claimed", "Kept", "Planned", "Sent", "chunk_end", "claim", "keep", "plan"]


class Planned(NamedTuple):
    """``made``: how many of the chunk are planned.  ``rest``: who has to be looked at one by one."""

    made: int
    rest: list[str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What every row of a claim shares.  ``reserved``: a text that a job can't carry."""

    now: datetime
    until: datetime
    expires_at: datetime
    reserved: str


class Claimed(NamedTuple):
    """How many rows were claimed, and their CSV in parts."""

    rows: int
    csv: list[bytes]


class Kept(NamedTuple):
    """How many rows were kept, and how many fields those have."""

    rows: int
    fields: int


class Sent(NamedTuple):
    """A row of a job that made a record: its intent, and the record's id."""

    intent_id: str
    their_id: str


def chunk_end(tx: Transaction, connection: str, object: Object, after: str, limit: int) -> str | None:
    """Where the next so many records in the outbox end; None if there is none."""
    found: str | None = tx.one(
        """select our_id::text from (select our_id from crm_sync.outbox
            where connection = %s and object = %s and our_id > %s::uuid order by our_id limit %s) b
          order by our_id desc limit 1""",
        (connection, object, after, limit),
    )
    return found


def plan(
    tx: Transaction, run_id: int, connection: str, mapping: ObjectMapping, after: str, until: str
) -> Planned:
    """Plan to create the usual ones of those records in the outbox that have no record of theirs."""
    made, rest = tx.rows(
        sql.SQL("""with chunk as materialized (
          select b.connection, b.object, b.our_id from crm_sync.outbox b
          where b.connection = %(c)s and b.object = %(o)s and b.our_id > %(after)s::uuid and b.our_id <= %(until)s::uuid
            and not exists (select 1 from crm_sync.link l where l.connection = b.connection and l.object = b.object
              and l.our_id = b.our_id and l.their_id is not null offset 0)
          order by b.our_id),
        judged as materialized (
          select k.our_id, case when {usual} and {parent} then {values} end as after
          from chunk k left join lateral (select * from {table} o where o.id = k.our_id offset 0) o on true),
        made as (
          insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules)
          select %(run)s, %(c)s, %(o)s, j.our_id, 'theirs', 'create', '{{}}', j.after, '{{}}', %(rules)s
          from judged j where j.after is not null)
        select (select count(after) from judged), array(select our_id::text from judged where after is null)""").format(
            usual=_usual(mapping), parent=_planned_parent(mapping), values=values_to_create(mapping), table=table(mapping)
        ),
        {
            "run": run_id, "c": connection, "o": mapping.object, "after": after, "until": until,
            "rules": Jsonb({EVERY_FIELD: "new_in_gptweb"}),
        },
    )[0]  # fmt: skip
    return Planned(made, rest)


def claim(
    tx: Transaction, connection: str, mapping: ObjectMapping, job: Job, chunk: Chunk, terms: Claim,
    columns: Sequence[str], tail: Sequence[str],
) -> Claimed:  # fmt: skip
    """Claim for the job what is usual of a chunk of the run's planned creates.

    Link, lease and intent are stored by the statement that gives the rows of the sheet: our key, the
    intent as marker, these columns of ours, and the same tail for all.  A change with an open intent has a link, and so is
    not usual.
    """
    reference = mapping.reference.ours if mapping.reference else None
    cells = [
        sql.Identifier("j", "parent") if column == reference else sql.SQL("j.after ->> {}").format(sql.Literal(column))
        for column in columns
    ]  # fmt: skip
    statement = sql.SQL("""copy (with chunk as materialized (
          select c.connection, c.object, c.our_id, c.change_id, c.after, row_number() over (order by c.change_id) as place
          from crm_sync.change c
          where c.run_id = %(run)s and c.side = 'theirs' and c.object = %(o)s and c.op = 'create'
            and c.change_id > %(after)s and c.change_id <= %(until)s and {untold}
          order by c.change_id limit %(planned)s),
        judged as materialized (
          select k.change_id, k.our_id, k.after, o.version, p.their_id as parent, (%(ids)s::uuid[])[k.place] as intent_id,
            case when {usual} and ({reference} is null or p.their_id is not null)
              and position(%(reserved)s in {texts}) = 0 and k.after = {values}
            then nextval('crm_sync.link_link_id_seq') end as link_id
          from chunk k
          left join lateral (select * from {table} o where o.id = k.our_id offset 0) o on true
          left join lateral ({parent} offset 0) p on true),
        links as (
          insert into crm_sync.link (link_id, connection, object, their_object, our_id, state, dirty, claim_run, claim_until)
          overriding system value
          select j.link_id, %(c)s, %(o)s, %(t)s, j.our_id, 'creating', false, %(run)s, %(lease)s from judged j
          where j.link_id is not null),
        intents as (
          insert into crm_sync.intent (intent_id, change_id, run_id, link_id, creates, values, times, expected, sent_at,
            claim_until, expires_at, job_id, our_version, seen_recv, parent, waits)
          select j.intent_id, j.change_id, %(run)s, j.link_id, true, j.after, '{{}}', '{{}}', %(now)s, %(lease)s, %(expires)s,
            %(job)s, j.version, 0, j.parent, false
          from judged j where j.link_id is not null)
        select j.our_id, j.intent_id, {cells} from judged j where j.link_id is not null {order}) to stdout (format csv)""").format(
        untold=UNTOLD, usual=_usual(mapping), texts=texts(mapping), values=values_to_create(mapping), table=table(mapping),
        reference=sql.Identifier("o", reference) if reference else sql.NULL, parent=_linked_parent(mapping),
        cells=sql.SQL(", ").join([*cells, *map(sql.Literal, tail)]),
        # Records of one parent side by side: Salesforce locks the parent with each.
        order=sql.SQL("order by j.parent nulls first" if reference else ""),
    )  # fmt: skip
    parameters = {
        "run": job.run_id, "job": job.job_id, "c": connection, "o": mapping.object, "t": mapping.theirs,
        "after": chunk.after, "until": chunk.until, "lease": terms.until, "now": terms.now, "expires": terms.expires_at,
        "reserved": terms.reserved, "planned": chunk.planned,
        "ids": new_ids(chunk.planned),
    }  # fmt: skip
    cursor = tx.connection.cursor()
    try:
        with tx.connection.transaction(), cursor.copy(statement, parameters) as copy:
            csv = [bytes(block) for block in copy]
    except psycopg.errors.UniqueViolation:  # another process made one of these links at this very moment
        return Claimed(0, [])
    return Claimed(cursor.rowcount, csv)


def keep(
    tx: Transaction, connection: str, mapping: ObjectMapping, job: Job, sent: Sequence[Sent], recv_no: int,
    carrier: Carrier,
) -> Kept:  # fmt: skip
    """Keep what the job made: links, images, intents, outcomes, outbox.

    Left out is what is not as it was claimed: a read came between, or an edit of ours, or the claim is gone.  What a row
    has to be is asked outside its look-up: inside, a partial index that was empty lately would look cheaper than the key.
    What a link has to be stands in ``known``: compared with a constant that statistics have not seen yet, the whole table
    would look like one row, and each chunk would be joined with every link.
    """
    reference = mapping.reference.ours if mapping.reference else ""
    row = tx.rows(
        sql.SQL("""with known as materialized (
          select t.intent_id, t.their_id, i.change_id, i.link_id, i.values, i.parent, i.waits, i.our_version, l.our_id, l.place,
            b.place as told, %(run)s::bigint as claim_run, i.seen_recv, false as reread
          from unnest(%(intents)s::uuid[], %(theirs)s::text[]) as t (intent_id, their_id)
          cross join lateral (select * from crm_sync.intent i where i.intent_id = t.intent_id offset 0) i
          cross join lateral (select l.our_id, l.ctid as place from crm_sync.link l where l.link_id = i.link_id offset 0) l
          cross join lateral (select b.version, b.ctid as place from crm_sync.outbox b where b.connection = %(c)s
            and b.object = %(o)s and b.our_id = l.our_id offset 0) b
          where i.job_id = %(job)s and i.creates and i.closed_by is null and i.settled = '{{}}'
            and b.version = i.our_version
            and not exists (select 1 from (select p.lifted_at from crm_sync.parked p where p.link_id = i.link_id offset 0) p
              where p.lifted_at is null)
          order by i.link_id),
        linked as (
          update crm_sync.link l set their_id = k.their_id, state = 'live', keyed = true, their_alive = true,
            dirty = k.waits, seen_recv = %(recv)s, seen_digest = null, spelling_of = k.intent_id,
            match_key = {match}(k.values ->> {column}), match_second = {second}, claim_run = null, claim_until = null
          from known k
          where l.ctid = k.place and l.link_id = k.link_id
            and (l.claim_run, l.seen_recv, l.reread) = (k.claim_run, k.seen_recv, k.reread)
          returning k.*),
        images as (
          insert into crm_sync.image as i (link_id, base_ours, base_theirs, seen)
          select k.link_id, case when k.parent is not null then k.values end, null, case when k.parent is null then k.values
            else k.values || jsonb_build_object({reference}::text, k.parent) end
          from linked k
          on conflict (link_id) do update set
            base_ours = coalesce(i.base_ours, i.seen) || coalesce(excluded.base_ours, excluded.seen),
            base_theirs = coalesce(i.base_theirs, i.seen) || excluded.seen, seen = i.seen || excluded.seen),
        closed as (
          update crm_sync.intent i set closed_by = 'reply', closed_at = clock_timestamp(), job_id = null
          where intent_id = any(array(select intent_id from linked))),
        said as (
          insert into crm_sync.outcome (change_id, run_id, outcome, fields, their_id, batch, calls)
          select k.change_id, %(run)s, 'acknowledged', case when k.waits then array(select jsonb_object_keys(k.values))
            else %(every)s end, k.their_id, %(batch)s, %(calls)s
          from linked k),
        sent as (
          delete from crm_sync.outbox b using linked k where b.ctid = k.told and not k.waits and b.version <= k.our_version)
        select count(*), coalesce(sum(jsonb_array_length(jsonb_path_query_array(k.values, '$.*'))), 0) from linked k""").format(
            match=match_function(mapping), column=sql.Literal(mapping.match[0]),
            second=second_key(mapping, sql.SQL("k.values")), reference=sql.Literal(reference),
        ),
        {
            "intents": [row.intent_id for row in sent], "theirs": [row.their_id for row in sent], "job": job.job_id,
            "run": job.run_id, "recv": recv_no, "c": connection, "o": mapping.object, "batch": carrier.batch, "calls": carrier.calls,
            "every": [EVERY_FIELD],
        },
    )[0]  # fmt: skip
    return Kept(*row)


def _usual(mapping: ObjectMapping) -> sql.Composed:
    """Whether our record ``o``, in a chunk ``k``, is made there without a second look: see ``decide.match.judge``.

    Offset 0: one look-up by key a record, instead of all rows that there are, once for the chunk.  Who shares a match key
    is looked up by the key alone: a table without statistics has no better index.
    """
    conditions = [
        sql.SQL("o.id is not null and o.deleted_at is null"),
        sql.SQL("""not exists (select 1 from crm_sync.link l where l.connection = k.connection and l.object = k.object
          and l.our_id = k.our_id offset 0)"""),
        sql.SQL("""not exists (select 1 from (select * from crm_sync.parked p where p.our_id = k.our_id offset 0) p
          where p.connection = k.connection and p.object = k.object and p.lifted_at is null)"""),
        plain(mapping),
    ]
    for level, column in enumerate(mapping.match):
        names = {
            "key": sql.SQL("{}({})").format(match_function(mapping, column), sql.Identifier("o", column)),
            "theirs": sql.Identifier("s", STRAY_KEYS[level]),
            "linked": sql.Identifier("l", LINK_KEYS[level]),
            "twin": sql.SQL("{}({})").format(match_function(mapping, column), sql.Identifier("w", column)),
            "table": table(mapping),
        }
        conditions.append(
            sql.SQL("""not exists (select 1 from (select * from crm_sync.stray s where {theirs} = {key} offset 0) s
              where s.connection = k.connection and s.object = k.object and not s.deleted)
            and not exists (select 1 from (select w.id, w.deleted_at from {table} w where {twin} = {key} offset 0) w
              where w.deleted_at is null and w.id <> o.id)
            and not exists (select 1 from (select * from crm_sync.link l where {linked} = {key} offset 0) l
              where l.connection = k.connection and l.object = k.object)""").format(**names)
        )
    return sql.SQL(" and ").join(conditions)


def _linked_parent(mapping: ObjectMapping) -> sql.Composed:
    """The id of theirs of the living parent of our record ``o``."""
    reference = mapping.reference
    if reference is None or reference.references is None:
        return sql.Composed([sql.SQL("select null::text as their_id")])
    return sql.SQL("""select q.their_id from (select * from crm_sync.link q where q.connection = k.connection
        and q.object = {object} and q.our_id = {column} offset 0) q
      cross join lateral (select a.deleted_at from {parents} a where a.id = q.our_id offset 0) a
      where q.state = 'live' and q.their_id is not null and a.deleted_at is null""").format(
        object=sql.Literal(reference.references), column=sql.Identifier("o", reference.ours),
        parents=sql.Identifier("gptweb", f"{reference.references}s"),
    )  # fmt: skip


def _planned_parent(mapping: ObjectMapping) -> sql.Composed:
    """Whether our record ``o`` has no parent, or one that is there or that this run is about to create there."""
    reference = mapping.reference
    if reference is None or reference.references is None:
        return sql.Composed([sql.SQL("true")])
    return sql.SQL("""({column} is null or exists ({linked}) or exists (
      select 1 from (select * from crm_sync.change c where c.our_id = {column} offset 0) c
      where c.run_id = %(run)s and c.object = {object} and c.op = 'create'
        and not exists (select 1 from crm_sync.outcome x where x.change_id = c.change_id offset 0)))""").format(
        object=sql.Literal(reference.references), column=sql.Identifier("o", reference.ours), linked=_linked_parent(mapping)
    )  # fmt: skip
