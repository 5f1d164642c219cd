"""Plans that wait for a person: the question, its answer, and what either makes of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from psycopg import sql

from crm_sync.ledger import planned, trail
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import RunKind

__all__ = [
    "Answer",
    "Question",
    "answered",
    "approve",
    "ask",
    "give_up",
    "newest_answer",
    "open_question",
    "pass_first_sync",
    "refuse",
    "remember",
    "withdraw",
]

Answer = Literal["approved", "rejected", "expired", "withdrawn"]


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
            connection, run_id, digest, list(reasons), planned.work_digest(tx, connection), within,
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
