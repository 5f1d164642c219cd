"""Bulk jobs in the ledger: a line each, and the intents whose fate only the job can tell.

A claim that belongs to a job has no end before the job's results are stored (algorithm.md 6.5): it is given a lease of
a hundred years, and whoever ends leases leaves alone an intent that names a job: its result is not stored yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from psycopg import sql

from crm_sync.decide.merge import KEY
from crm_sync.ledger.database import Transaction
from crm_sync.model import InJob, Object, Row

__all__ = [
    "LEASE_SECONDS",
    "Job",
    "Known",
    "adopt",
    "begin",
    "end",
    "give_back",
    "grow",
    "has_rows",
    "hold",
    "known",
    "leave_in_doubt",
    "looked",
    "name",
    "overwritten",
    "postpone",
    "rows_done",
    "under_way",
    "unmade",
]

Op = Literal["create", "update"]
LEASE_SECONDS = 100 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Job:
    """One job.  ``their_id``: None until the CRM has opened it.  ``looked_at``: when theirs was last looked at before it."""

    job_id: int
    object: Object
    op: Op
    run_id: int
    their_id: str | None
    rows: int
    looked_at: datetime | None
    looked_recv: int | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one row when its result comes: its change, its intent with what that kept, its link by now.

    ``seen``: theirs as the look before the job showed it, if that was another than when the row was claimed.
    ``moved``: theirs was read once more since that look.
    """

    intent_id: str
    job: InJob
    change_id: int
    op: Op
    before: Row
    base: Row
    values: Row
    times: dict[str, str]
    expected: Row
    sent_at: datetime
    read_at: datetime | None
    claim_until: datetime
    expires_at: datetime
    link_id: int
    our_id: str
    their_id: str | None
    seen: Row | None
    seen_stamp: datetime | None
    moved: bool


_JOB = sql.SQL("job_id, object, op, run_id, their_id, rows, looked_at, looked_recv, opened_at")


def under_way(tx: Transaction, connection: str, run_id: int) -> list[Job]:
    """The jobs whose results are not stored yet, of this run and of runs that are over; oldest first."""
    rows = tx.rows(
        sql.SQL(
            "select {} from crm_sync.job j where connection = %s and ended_at is null and (run_id = %s or exists "
            "(select 1 from crm_sync.run r where r.run_id = j.run_id and r.ended_at is not null)) order by job_id"
        ).format(_JOB),
        (connection, run_id),
    )
    return [Job(*row) for row in rows]


def begin(tx: Transaction, connection: str, object: Object, op: Op, run_id: int) -> Job:
    """The line of a new job, in the transaction that claims its first rows."""
    rows = tx.rows(
        sql.SQL(
            "insert into crm_sync.job (connection, object, op, run_id) values (%s, %s, %s, %s) returning {}"
        ).format(_JOB),
        (connection, object, op, run_id),
    )
    return Job(*rows[0])


def unmade(tx: Transaction, job: Job) -> None:
    """Take back the line of a job for which no row was claimed, in the transaction that began it."""
    tx.run("delete from crm_sync.job where job_id = %s", (job.job_id,))


def hold(tx: Transaction, job: Job, *, shared: bool = False) -> Job | None:
    """The job as it is now, locked; None if it has ended or another run has taken it over meanwhile.

    ``shared``: others may work on other rows of it at the same time; it is only not to end or to change hands.
    """
    rows = tx.rows(
        sql.SQL(
            "select {} from crm_sync.job where job_id = %s and run_id = %s and ended_at is null for {}"
        ).format(_JOB, sql.SQL("share" if shared else "update")),
        (job.job_id, job.run_id),
    )
    return Job(*rows[0]) if rows else None


def adopt(tx: Transaction, job: Job, run_id: int) -> Job | None:
    """Take the job over with its claims; None if it has ended meanwhile."""
    rows = tx.rows(
        sql.SQL(
            "update crm_sync.job set run_id = %s where job_id = %s and run_id = %s and ended_at is null returning {}"
        ).format(_JOB),
        (run_id, job.job_id, job.run_id),
    )
    if rows and run_id != job.run_id:
        tx.run(
            _LINKS.format(sql.SQL("claim_run = %(new)s")),
            {"job": job.job_id, "run": job.run_id, "new": run_id},
        )
    return Job(*rows[0]) if rows else None


def grow(tx: Transaction, job: Job, rows: int) -> Job:
    """Count rows that were claimed for the job."""
    tx.run("update crm_sync.job set rows = rows + %s where job_id = %s", (rows, job.job_id))
    return replace(job, rows=job.rows + rows)


def has_rows(tx: Transaction, job: Job) -> bool:
    """Whether there are rows of which nobody knows yet what the job made of them."""
    # With statistics of a time when half the table was under way, the whole of it would be read to find none.
    tx.run("set local enable_seqscan = off")
    found = tx.one("select exists (select 1 from crm_sync.intent where job_id = %s)", (job.job_id,))
    tx.run("set local enable_seqscan = on")
    return bool(found)


def name(tx: Transaction, job: Job, their_id: str) -> bool:
    """Keep the id that the CRM gave the job; False if the job has been given up meanwhile."""
    return bool(
        tx.run(
            "update crm_sync.job set their_id = %s where job_id = %s and run_id = %s and ended_at is null",
            (their_id, job.job_id, job.run_id),
        )
    )


def looked(tx: Transaction, job: Job, at: datetime, recv_no: int) -> None:
    """Theirs was looked at just before the job begins."""
    tx.run(
        "update crm_sync.job set looked_at = %s, looked_recv = %s where job_id = %s",
        (at, recv_no, job.job_id),
    )


def overwritten(tx: Transaction, job: Job, after: str, limit: int) -> tuple[list[str], str | None]:
    """Their ids of the next rows of the job that overwrite more than our key.

    ``after``: the intent of the last row, as it was returned; None is returned when no more rows follow.
    """
    rows = tx.rows(
        """select r.intent_id::text, l.their_id
        from (select intent_id from (select intent_id from crm_sync.intent where job_id = %s offset 0) i
          where intent_id > %s order by intent_id limit %s) r
        cross join lateral (select i.link_id, i.values from crm_sync.intent i where i.intent_id = r.intent_id offset 0) i
        left join lateral (select l.their_id from crm_sync.link l where l.link_id = i.link_id
          and i.values - %s::text <> '{}' offset 0) l on true
        order by r.intent_id""",
        (job.job_id, after, limit, KEY),
    )
    return [row[1] for row in rows if row[1]], rows[-1][0] if len(rows) == limit else None


def known(tx: Transaction, job: Job, intent_ids: Sequence[str]) -> list[Known]:
    """What is known of these rows of the job; a row whose result is stored already is not among them."""
    # Of a create nothing but the intent's values matters, and what it is compared with is little.
    rows = tx.rows(
        """select i.intent_id::text, i.job_id, i.our_version, i.seen_recv, i.parent, i.waits, i.change_id, c.op,
          nullif(c.before, '{}'), nullif(c.base, '{}'), i.values, nullif(i.times, '{}'), nullif(i.expected, '{}'),
          i.sent_at, i.read_at, i.claim_until, i.expires_at,
          l.link_id, l.our_id::text, l.their_id, m.seen, l.seen_stamp, l.seen_recv > coalesce(j.looked_recv, i.seen_recv)
        from crm_sync.job j
        cross join unnest(%(ids)s::uuid[]) as w (intent_id)
        cross join lateral (select * from crm_sync.intent i where i.intent_id = w.intent_id offset 0) i
        cross join lateral (select c.op, c.before, c.base from crm_sync.change c where c.change_id = i.change_id offset 0) c
        cross join lateral (select l.link_id, l.our_id, l.their_id, l.seen_stamp, l.seen_recv from crm_sync.link l
          where l.link_id = i.link_id offset 0) l
        left join lateral (select m.seen from crm_sync.image m where m.link_id = l.link_id and c.op = 'update'
          and l.seen_recv > i.seen_recv and l.seen_recv <= j.looked_recv offset 0) m on true
        where j.job_id = %(job)s and i.job_id = j.job_id""",
        {"job": job.job_id, "ids": list(intent_ids)},
    )
    return [Known(row[0], InJob(*row[1:6]), *_whole(row[6:])) for row in rows]


def _whole(cells: Sequence[Any]) -> list[Any]:
    """The cells of ``Known``; an object without fields comes as null, so that it costs no parsing."""
    change_id, op, before, base, values, times, expected, *rest = cells
    return [change_id, op, before or {}, base or {}, values, times or {}, expected or {}, *rest]


def rows_done(tx: Transaction, intent_ids: Iterable[str]) -> None:
    """What the job made of these rows is stored, in this transaction."""
    tx.run(
        "update crm_sync.intent set job_id = null where job_id is not null and intent_id = any(%s::uuid[])",
        (list(intent_ids),),
    )


def give_back(tx: Transaction, job: Job, state: str) -> None:
    """Nothing of the job was carried out: its intents close, its claims end, its rows are as if never sent."""
    _let_go(tx, job)
    tx.run(
        "update crm_sync.intent set job_id = null, closed_by = coalesce(closed_by, 'reply'), "
        "closed_at = coalesce(closed_at, clock_timestamp()) where job_id = %s",
        (job.job_id,),
    )
    end(tx, job, state)


def postpone(tx: Transaction, job: Job, run_id: int, intent_ids: Sequence[str], detail: str) -> int:
    """The job did not come to these rows: the next run plans them again; returns how many fields that are."""
    parameters = {"job": job.job_id, "run": run_id, "ids": list(intent_ids), "detail": detail}
    fields = tx.one(
        """with mine as (select intent_id, closed_by is null as unanswered from crm_sync.intent
            where job_id = %(job)s and intent_id = any(%(ids)s::uuid[]) for update),
          closed as (update crm_sync.intent i set job_id = null, closed_by = coalesce(i.closed_by, 'reply'),
              closed_at = coalesce(i.closed_at, clock_timestamp())
            from mine m where i.intent_id = m.intent_id
            returning m.unanswered, change_id, link_id, array(select jsonb_object_keys(values) except select unnest(settled)) as open),
          freed as (update crm_sync.link set claim_run = null, claim_until = null
            where claim_run = %(run)s and link_id = any(array(select link_id from closed where unanswered))),
          said as (insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
            select change_id, %(run)s, 'superseded', open, %(detail)s from closed where unanswered and cardinality(open) > 0)
        select coalesce(sum(cardinality(open)), 0) from closed where unanswered""",
        parameters,
    )
    return int(fields)


def leave_in_doubt(tx: Transaction, job: Job, until: datetime, expires_at: datetime) -> int:
    """The rows that no result names: their claims end, and a later read shows what became of them; returns how many."""
    if not has_rows(tx, job):
        return 0
    _let_go(tx, job)
    left = tx.run(
        "update crm_sync.intent set job_id = null, claim_until = %s, expires_at = %s where job_id = %s and closed_by is null",
        (until, expires_at, job.job_id),
    )
    tx.run("update crm_sync.intent set job_id = null where job_id = %s", (job.job_id,))
    return left


def end(tx: Transaction, job: Job, state: str) -> None:
    """The job is over, and everything that it made is stored."""
    tx.run(
        "update crm_sync.job set ended_at = clock_timestamp(), end_state = %s where job_id = %s",
        (state, job.job_id),
    )


_LINKS = sql.SQL("""update crm_sync.link set {} where claim_run = %(run)s and link_id = any(array(
      select link_id from crm_sync.intent where job_id = %(job)s))""")


def _let_go(tx: Transaction, job: Job) -> None:
    tx.run(
        _LINKS.format(sql.SQL("claim_run = null, claim_until = null")), {"job": job.job_id, "run": job.run_id}
    )
