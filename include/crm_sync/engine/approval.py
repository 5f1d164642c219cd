"""A plan that is not safe waits for a person, who sees what it would do and says yes or no to exactly that (adr/0014).

For a stage of any DAG, after its changes are planned and before anything is written::

    approval.require(engine, context, approval.assess(tx, context, counts))   # goes on, or raises ApprovalNeeded

and, when the answer comes, from whoever asked the person::

    approval.answer(engine, run_id, approved="<digest>", by="Ann", at=when)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.safety import Limits, Made, Touched, enough_linked, unsafe
from crm_sync.decide.volume import calls_by_batches, calls_by_ingest_job, prefers_ingest_job
from crm_sync.engine.approval_words import preview
from crm_sync.engine.context import Context, Engine
from crm_sync.errors import ApprovalNeeded, PlanRejected
from crm_sync.ledger import approval, planned, replan, runs, settings
from crm_sync.ledger.database import Transaction
from crm_sync.model import OBJECTS, RunKind

__all__ = ["Assessment", "Verdict", "answer", "assess", "pass_unasked", "reject_again", "require"]

THERE, HERE = "create in the CRM", "create in GPTWeb"
TAKES = ("update in the CRM", "update in GPTWeb", "delete in the CRM", "archive in GPTWeb")
"""What may take something away, as the plan's tally names it."""
SAME_WORK: tuple[RunKind, ...] = ("sync", "backfill")
"""Runs that plan the same work; what another kind plans, say an undo, is its own."""
Counts = Mapping[str, Mapping[str, int]]
"""How many changes of which kind are planned, by object: ``PlanReport.by_object``."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """Why a person has to approve the plan of a run, its digest and its preview; all of them empty when it is safe.

    ``counts`` and ``calls``: what the plan would do, and about how many API calls that takes, None for none.
    """

    reasons: tuple[str, ...] = ()
    digest: str = ""
    preview: str = ""
    counts: Counts = field(default_factory=dict)
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for the run, also in words: it goes on with its plan, or nothing of that is carried out."""

    approved: bool
    said: str


def assess(tx: Transaction, context: Context, counts: Counts, more: Sequence[str] = ()) -> Assessment:
    """Whether the run's stored plan needs approval; ``more``: reasons that only the caller knows.

    A small plan costs a look-up or two: figures and digest are made only where it may be unsafe.
    """
    made = Made(*(sum(row.get(name, 0) for row in counts.values()) for name in (HERE, THERE)))
    limits = _limits(context)
    touched = [t for mapping in context.objects for t in _touched(tx, context, mapping, counts, limits)]
    reasons = (*more, *unsafe(touched, made, limits))
    if not reasons:
        return Assessment()
    digest = planned.digest_of(tx, context.run_id, context.mappings)
    samples = planned.samples(tx, context.run_id)
    calls = _all_calls(context, counts)
    shown = preview(context.name, context.run_id, digest, reasons, counts, samples, calls)
    return Assessment(reasons, digest, shown, counts, calls)


def require(engine: Engine, context: Context, assessment: Assessment) -> None:
    """Go on with a safe or approved plan; raise PlanRejected or ApprovalNeeded for any other one."""
    if not assessment.reasons or context.run.approved or context.run.dry_run:
        return
    digest, run_id = assessment.digest, context.run_id
    with engine.database.transaction() as tx:
        question = approval.ask(
            tx, run_id, context.name, digest, assessment.reasons, _within(context), assessment.counts, assessment.calls
        )  # fmt: skip
        if context.run.approve == digest:
            _approve(
                tx,
                context,
                question,
                context.run.approve_by
                or f"whoever started {context.run.dag_run_id or 'the run'} with its digest",
            )
            return
        rejected = _reject_like_before(tx, context, question)
    if rejected:
        raise PlanRejected(rejected)
    message = (
        f"plan {digest} of run {run_id} waits for approval until {question.expires_at:%F %H:%M} UTC; nothing was "
        f"written: {'; '.join(assessment.reasons)}"
    )
    raise ApprovalNeeded(message, digest, assessment.preview, _within(context))


def reject_again(engine: Engine, context: Context) -> None:
    """Raise PlanRejected while there is nothing but the work of a plan that a person rejected: it is not made again."""
    if context.run.dry_run:
        return
    with engine.database.transaction() as tx:
        former = _rejected(tx, context)
        if former is None or former.work != planned.work_digest(tx, context.name):
            return
    raise PlanRejected(_rejected_before(former))


def answer(engine: Engine, run_id: int, approved: str, by: str | None, at: datetime) -> Verdict:
    """Keep a person's answer to the question about this run, or, with ``by`` None, that nobody gave one in time.

    ``approved``: the digest of the plan that may be carried out, blank for no.  Whoever answers what was answered already
    learns that.
    """
    with engine.database.transaction() as tx:
        connection = settings.load(tx, runs.load(tx, run_id).connection)
        replan.replan_if_changed(tx, connection.name, connection.settings, engine.mappings, run_id)
    context = engine.context(run_id)
    with engine.database.transaction() as tx:
        question = approval.open_question(tx, run_id)
        if question is None:
            goes_on = approved != "" and context.run.approved == approved
            return Verdict(goes_on, runs.message(tx, run_id) or f"run {run_id} was answered already")
        unchanged = question.digest == planned.digest_of(tx, run_id, context.mappings)
        if by is not None and at <= question.expires_at and approved == question.digest and unchanged:
            return Verdict(approved=True, said=_approve(tx, context, question, by))
        said = _no(question, approved, by, at)
        verdict: approval.Answer = "expired" if by is None or at > question.expires_at else "rejected"
        approval.answered(tx, context.name, question, verdict, by, said)
        approval.refuse(tx, run_id, said)
    return Verdict(approved=False, said=said)


def _no(question: approval.Question, approved: str, by: str | None, at: datetime) -> str:
    what = f"plan {question.digest} of run {question.run_id}"
    if by is None or at > question.expires_at:
        return f"nobody approved {what} in time; the next run plans anew and asks again"
    also = f" (approved was {approved})" if approved else ""
    return f"{what} was rejected by {by}{also}"


def pass_unasked(engine: Engine, context: Context, counts: Counts) -> None:
    """A first whole sync that makes few records ends being the first one."""
    makes = any(row.get(name) for row in counts.values() for name in (THERE, HERE, "linked"))
    if makes and context.connection.first_synced_at is None and _is_whole(context):
        with engine.database.transaction() as tx:
            approval.pass_first_sync(tx, context.name)


def _approve(tx: Transaction, context: Context, question: approval.Question, by: str) -> str:
    said = f"plan {question.digest} of run {context.run_id} was approved by {by}"
    approval.answered(tx, context.name, question, "approved", by, said)
    approval.approve(tx, context.run_id, question.digest)
    if _is_whole(context):
        approval.pass_first_sync(tx, context.name)
    return said


def _reject_like_before(tx: Transaction, context: Context, question: approval.Question) -> str | None:
    """Reject the very plan that a person rejected last."""
    former = _rejected(tx, context)
    if former is None or former.digest != question.digest:
        return None
    said = _rejected_before(former)
    approval.answered(tx, context.name, question, "rejected", former.answered_by, said)
    approval.refuse(tx, context.run_id, said)
    return said


def _rejected(tx: Transaction, context: Context) -> approval.Question | None:
    """The plan that a person rejected last; who starts a run by hand, or clears its task, is asked about it again."""
    run = context.run
    if run.by_hand or run.kind == "undo":
        return None
    former = approval.newest_answer(tx, context.name, SAME_WORK if run.kind in SAME_WORK else (run.kind,))
    return former if former and former.answer == "rejected" and former.run_id != run.run_id else None


def _is_whole(context: Context) -> bool:
    """Whether the run does all that a scheduled one does: a trial of ten records is no first sync."""
    run = context.run
    return (
        run.kind == "sync" and not run.dry_run and run.limit is None and run.direction is None
        and run.objects == OBJECTS
    )  # fmt: skip


def _limits(context: Context) -> Limits:
    chosen = context.settings
    first = context.connection.first_synced_at is None
    return Limits(
        chosen.approve_share_above, chosen.approve_share_from, chosen.approve_creations_above if first else None,
        deletes=context.run.heal != "all",
    )  # fmt: skip


def _touched(
    tx: Transaction, context: Context, mapping: ObjectMapping, counts: Counts, limits: Limits
) -> list[Touched]:
    row = counts.get(mapping.object, {})
    parents = mapping.reference.references if mapping.reference else None
    cascade = 0
    if parents and parents != mapping.object and counts.get(parents, {}).get("delete in the CRM"):
        cascade = planned.cascaded(tx, context.name, context.run_id, mapping, parents)
    affected = cascade + sum(row.get(name, 0) for name in TAKES)
    if not affected:
        return []
    enough = enough_linked(affected, limits)
    linked = planned.linked_up_to(tx, context.name, mapping.object, enough)
    if enough is not None and linked >= enough and limits.deletes:
        return []
    linked = planned.linked_up_to(tx, context.name, mapping.object, None)
    return planned.touched(tx, context.run_id, mapping, linked, cascade)


def _all_calls(context: Context, counts: Counts) -> int:
    keys = context.rules.direction == "bidirectional"  # our key goes into what is made here
    return 1 + sum(
        _calls(context, "update", row.get("update in the CRM", 0) + keys * row.get(HERE, 0))
        + _calls(context, "create", row.get(THERE, 0))
        for row in counts.values()
    )


def _calls(context: Context, op: str, rows: int) -> int:
    chosen = context.settings
    if prefers_ingest_job(rows, op, chosen.batch_size, chosen.large_pushes):
        return calls_by_ingest_job(rows, op)
    return calls_by_batches(rows, chosen.batch_size)


def _within(context: Context) -> timedelta:
    return timedelta(hours=context.settings.approve_hours)


def _rejected_before(former: approval.Question) -> str:
    return (
        f"plan {former.digest} was rejected by {former.answered_by} at {former.answered_at:%F %H:%M} UTC, and there is nothing "
        "else to do; a run that is started by hand asks again"
    )
