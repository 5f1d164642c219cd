"""T1 of a bulk job: its rows are claimed a chunk at a time, each chunk with its rows of the sheet; the claims have no end.

Creates are claimed by one statement a chunk, which also writes their rows of the sheet; what that leaves, and updates,
are claimed record by record as for a batch (adr/0016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.engine.claim import Sending, by_parent, claim_creates, claim_updates
from crm_sync.engine.context import Context, Engine
from crm_sync.errors import NotSent
from crm_sync.ledger import creates, jobs, trail
from crm_sync.ledger.canonical import has_plain_columns
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.jobs import Job, JobRow
from crm_sync.ports import Jobs, Sheet

__all__ = ["claim_rows"]

CHUNK = 2_000
_CLAIM: dict[jobs.Op, Callable[..., list[Sending]]] = {"update": claim_updates, "create": claim_creates}


def claim_rows(
    engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, op: jobs.Op, sheet: Sheet, after: int,
    most: int,
) -> tuple[Job | None, int]:  # fmt: skip
    """Claim the next ``most`` planned changes after one, as far as the sheet takes them.

    Returns the job, None if no row stood up to the re-check, and the last change that was looked at.
    """
    endless = context.connection.settings.model_copy(update={"lease_seconds": jobs.LEASE_SECONDS})
    claiming = replace(context, connection=replace(context.connection, settings=endless))
    job: Job | None = None
    while not sheet.full and (job is None or job.rows < most):
        with engine.database.transaction() as tx:
            room = min(CHUNK, most - (job.rows if job else 0))
            until, planned = trail.chunk_end(tx, context.run_id, mapping.object, op, after, room)
            if until is None:
                break
            held = _hold(tx, context, mapping, op, job)
            held = _claim_chunk(tx, engine, claiming, mapping, api, held, sheet, after, until, planned)
            after = until
            if held.rows:
                job = held
            else:
                jobs.unmade(tx, held)
    return job, after


def _hold(tx: Transaction, context: Context, mapping: ObjectMapping, op: jobs.Op, job: Job | None) -> Job:
    if job is None:
        return jobs.begin(tx, context.name, mapping.object, op, context.run_id)
    held = jobs.hold(tx, job)
    if held is None:
        raise NotSent("the bulk job was given up by another process before it was filled")
    return held


def _claim_chunk(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, job: Job, sheet: Sheet,
    after: int, until: int, planned: int,
) -> Job:  # fmt: skip
    if job.op == "create":
        count = _claim_usual(tx, engine, context, mapping, api, job, sheet, after, until)
        if count:
            job = jobs.grow(tx, job, count)
        if count == planned:
            return job
    changes = trail.pending(tx, context.run_id, "theirs", mapping.object, after, CHUNK, until=until)
    changes = trail.without_twins(tx, context.run_id, changes)
    fitting = [c for c in changes if c.op == job.op and api.takes(c.after)]
    sending = _CLAIM[job.op](tx, engine, context, mapping, fitting) if fitting else []
    if sending:
        jobs.add_rows(tx, job, [_row(mapping, s) for s in sending])
        sheet.add([s.write for s in by_parent(mapping, sending)])
        job = jobs.grow(tx, job, len(sending))
    return job


def _claim_usual(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, job: Job, sheet: Sheet,
    after: int, until: int,
) -> int:  # fmt: skip
    """Claim what can be claimed by one statement; returns how many rows that were."""
    if not has_plain_columns(tx, mapping):
        return 0
    now = engine.now()
    lease = now + context.settings.lease
    terms = creates.Claim(now, lease, lease + context.settings.late_commit, api.reserved)
    rows, csv = creates.claim(tx, context.name, mapping, job, after, until, terms, sheet.columns, sheet.tail)
    sheet.paste(csv)
    return rows


def _row(mapping: ObjectMapping, sent: Sending) -> JobRow:
    reference = mapping.reference.ours if mapping.reference else KEY
    parent = sent.write.values.get(reference)
    waits = parent is None and sent.ours.values.get(reference) is not None
    return JobRow(sent.intent.id, sent.ours.version, sent.link.seen_recv, parent, waits)
