"""Plans that wait for a person: what they would touch, the digest by which they are approved, the question and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.decide.safety import Touched
from crm_sync.ledger import trail
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import table
from crm_sync.model import Object, RunKind, Side

__all__ = [
    "Answer",
    "Question",
    "Sample",
    "answered",
    "approve",
    "ask",
    "cascaded",
    "digest_of",
    "give_up",
    "linked_up_to",
    "newest_answer",
    "open_question",
    "pass_first_sync",
    "refuse",
    "remember",
    "samples",
    "touched",
    "withdraw",
    "work_digest",
]

Answer = Literal["approved", "rejected", "expired", "withdrawn"]
SHOWN = 5  # records of a kind named to a person


@dataclass(frozen=True, slots=True)
class Question:
    """One plan that a person was asked about; ``work``: the digest of what it was made from."""

    approval_id: int
    run_id: int
    digest: str
    work: str
    expires_at: datetime
    answer: Answer | None
    answered_at: datetime | None
    answered_by: str | None


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


_QUESTION = sql.SQL("approval_id, run_id, digest, work, expires_at, answer, answered_at, answered_by")


def ask(
    tx: Transaction, run_id: int, connection: str, digest: str, reasons: Sequence[str], within: timedelta,
    counts: Mapping[str, Mapping[str, int]] = MappingProxyType({}), calls: int | None = None,
) -> Question:  # fmt: skip
    """Keep the question about the run's plan, with what a page shows of it: ``counts`` by object, and ``calls``."""
    rows = tx.rows(
        sql.SQL("""insert into crm_sync.approval (connection, run_id, digest, reasons, work, expires_at, counts, calls)
        values (%s, %s, %s, %s, %s, clock_timestamp() + %s, %s, %s) returning {}""").format(_QUESTION),
        (
            connection, run_id, digest, list(reasons), work_digest(tx, connection), within,
            Jsonb({object: dict(row) for object, row in counts.items()}), calls,
        ),
    )  # fmt: skip
    return Question(*rows[0])


def open_question(tx: Transaction, run_id: int) -> Question | None:
    """The question about this run that nobody has answered yet, locked."""
    rows = tx.rows(
        sql.SQL("select {} from crm_sync.approval where run_id = %s and answer is null for update").format(
            _QUESTION
        ),
        (run_id,),
    )
    return Question(*rows[0]) if rows else None


def newest_answer(tx: Transaction, connection: str, kinds: Sequence[RunKind]) -> Question | None:
    """The newest question about a run of these kinds that was answered by a person."""
    rows = tx.rows(
        sql.SQL("""select {} from crm_sync.approval where connection = %s and answer in ('approved', 'rejected')
          and exists (select 1 from crm_sync.run r where r.run_id = approval.run_id and r.kind = any(%s))
          order by approval_id desc limit 1""").format(_QUESTION),
        (connection, list(kinds)),
    )
    return Question(*rows[0]) if rows else None


def answered(
    tx: Transaction, connection: str, question: Question, answer: Answer, by: str | None, detail: str
) -> None:
    """Keep the answer, with a line in the audit trail."""
    tx.run(
        "update crm_sync.approval set answer = %s, answered_at = clock_timestamp(), answered_by = %s where approval_id = %s",
        (answer, by, question.approval_id),
    )
    line = trail.Line(f"plan_{answer}", "noted", detail=detail, actor=by)
    trail.note(tx, question.run_id, connection, "", [line])


def approve(tx: Transaction, run_id: int, digest: str) -> None:
    """The run goes on with its stored plan, and makes no other one."""
    tx.run(
        "update crm_sync.run set state = 'running', ended_at = null, message = null, options = options || %s "
        "where run_id = %s",
        (Jsonb({"approved": digest}), run_id),
    )


def remember(tx: Transaction, run_id: int, digest: str, by: str) -> None:
    """A person approved this plan: where the task is tried again before it took the answer, nobody is asked once more."""
    query = "update crm_sync.run set options = options || %s where run_id = %s and ended_at is null"
    tx.run(query, (Jsonb({"approve": digest, "approve_by": by}), run_id))


def refuse(tx: Transaction, run_id: int, why: str) -> None:
    """Nothing of the run's plan is carried out any more; its records stay dirty."""
    trail.supersede(tx, run_id, why)
    tx.run("update crm_sync.run set state = 'refused', message = %s where run_id = %s", (why, run_id))


def give_up(tx: Transaction, connection: str, run_id: int, why: str) -> str | None:
    """Nobody can answer the question about this run any more; returns that in words, None if there was no question."""
    question = open_question(tx, run_id)
    if question is None:
        return None
    detail = f"plan {question.digest} of run {run_id} was not approved: {why}"
    answered(tx, connection, question, "withdrawn", None, detail)
    return detail


def withdraw(tx: Transaction, connection: str) -> None:
    """Settings or mapping changed: what waits is no longer what would be done."""
    runs = tx.rows(
        "select run_id from crm_sync.approval where connection = %s and answer is null order by run_id",
        (connection,),
    )
    for (run_id,) in runs:
        why = give_up(
            tx, connection, run_id, "settings or mapping changed meanwhile; the next run plans anew"
        )
        refuse(tx, run_id, why or "")


def pass_first_sync(tx: Transaction, connection: str) -> None:
    """From now on nobody is asked because of what is made."""
    tx.run(
        "update crm_sync.connection set first_synced_at = clock_timestamp() where name = %s and first_synced_at is null",
        (connection,),
    )
