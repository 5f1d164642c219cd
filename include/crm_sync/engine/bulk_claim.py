"""T1 of a bulk job: its rows are claimed a chunk at a time, each chunk with its rows of the sheet; the claims have no end.

Creates are claimed by one statement a chunk, several chunks at once, which also writes their rows of the sheet; what that
leaves, and updates, are claimed record by record as for a batch (adr/0016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.claim import Sending, by_parent, claim_creates, claim_updates
from crm_sync.engine.context import Context, Engine
from crm_sync.errors import NotSent
from crm_sync.ledger import creates, jobs, trail
from crm_sync.ledger.canonical import has_plain_columns
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.jobs import Job
from crm_sync.ledger.lanes import side_by_side
from crm_sync.ledger.trail import Chunk
from crm_sync.ports import Jobs, Sheet

__all__ = ["claim_rows"]

CHUNK = 2_000
NONE = creates.Claimed(0, [])
_CLAIM: dict[jobs.Op, Callable[..., list[Sending]]] = {"update": claim_updates, "create": claim_creates}


def claim_rows(
    engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, op: jobs.Op, sheet: Sheet, after: int,
    most: int, lanes: int,
) -> tuple[Job | None, int]:  # fmt: skip
    """Claim what stands up to the re-check of the next ``most`` planned changes after one, as far as the sheet takes them.

    Returns the job, None if no row stood up to it, and the last change that was looked at.
    """
    endless = context.connection.settings.model_copy(update={"lease_seconds": jobs.LEASE_SECONDS})
    claiming = replace(context, connection=replace(context.connection, settings=endless))
    now = engine.now()
    lease = now + claiming.settings.lease
    terms = creates.Claim(now, lease, lease + claiming.settings.late_commit, api.reserved)
    with engine.database.transaction() as tx:
        job = jobs.begin(tx, context.name, mapping.object, op, context.run_id)
        by_sets = op == "create" and has_plain_columns(tx, mapping)

    def usual(tx: Transaction, chunk: Chunk) -> creates.Claimed:
        _hold(tx, job)
        return creates.claim(tx, context.name, mapping, job, chunk, terms, sheet.columns, sheet.tail)

    chunks = _chunks(engine, context, mapping, op, sheet, after, most)
    rows = 0
    for chunk, claimed in (
        side_by_side(engine.database, chunks, usual, lanes)
        if by_sets
        else ((chunk, NONE) for chunk in chunks)
    ):
        sheet.paste(claimed.csv)
        rows += claimed.rows
        if claimed.rows < chunk.planned:
            rows += _claim_each(engine, claiming, mapping, api, job, sheet, chunk)
        after = chunk.until
    with engine.database.transaction() as tx:
        if not rows:
            jobs.unmade(tx, job)
            return None, after
        return jobs.grow(tx, job, rows), after


def _chunks(
    engine: Engine, context: Context, mapping: ObjectMapping, op: jobs.Op, sheet: Sheet, after: int, most: int
) -> Iterator[Chunk]:
    while most > 0 and not sheet.full:
        with engine.database.transaction() as tx:
            chunk = trail.next_chunk(tx, context.run_id, mapping.object, op, after, min(CHUNK, most))
        if chunk is None:
            return
        yield chunk
        after = chunk.until
        most -= chunk.planned


def _hold(tx: Transaction, job: Job) -> None:
    if jobs.hold(tx, job, shared=True) is None:
        raise NotSent("the bulk job was given up by another process before it was filled")


def _claim_each(
    engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, job: Job, sheet: Sheet, chunk: Chunk
) -> int:
    """Claim record by record what is left of a chunk; returns how many stood up to it."""
    with engine.database.transaction() as tx:
        _hold(tx, job)
        changes = trail.pending(
            tx, context.run_id, "theirs", mapping.object, chunk.after, CHUNK, until=chunk.until
        )
        changes = trail.without_twins(tx, context.run_id, changes)
        fitting = [c for c in changes if c.op == job.op and api.takes(c.after)]
        sending = _CLAIM[job.op](tx, engine, context, mapping, fitting, job.job_id) if fitting else []
        if sending:
            sheet.add([s.write for s in by_parent(mapping, sending)])
    return len(sending)
