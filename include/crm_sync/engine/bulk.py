"""Push theirs by bulk jobs, where a job halves the calls of batches (algorithm.md 6.5).

Claim the rows and store their intents, open the job, store its id, fill it, begin it, wait, keep what became of each row.
Nothing is written there before it begins, so until then a job is given up without harm.  From then on only the job tells
what became of its rows: they stay claimed until its results are stored, by whichever task or run comes to that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.volume import AT_ONCE, LOOK_ROWS, prefers_ingest_job, rows_of_a_job
from crm_sync.engine.answers import Kept
from crm_sync.engine.bulk_claim import claim_rows
from crm_sync.engine.bulk_results import keep_results
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.reports import Tally
from crm_sync.errors import JobUnderWay, Missing, NotSent, SyncError, Unanswered
from crm_sync.ledger import jobs, reading, trail
from crm_sync.ledger.identity import FIRST_ID
from crm_sync.ledger.jobs import Job
from crm_sync.ledger.lanes import LANES
from crm_sync.ledger.seal import seal_run
from crm_sync.model import Object
from crm_sync.ports import BulkStore, Jobs, JobState, Store

__all__ = ["push_large", "take_up"]

SOONEST, LATEST = timedelta(minutes=1), timedelta(minutes=10)
"""How long a task waits at least and at most before it looks at its job again."""
OPS: tuple[jobs.Op, ...] = ("update", "create")


def take_up(
    engine: Engine, context: Context, opened: Callable[[], Store], tally: Tally
) -> dict[Object, Kept]:
    """Before anything new is sent: what an earlier try of this run, or a run that is over, has left under way."""
    again: dict[Object, Kept] = {}
    with engine.database.transaction() as tx:
        found = jobs.under_way(tx, context.name, context.run_id)
    for job in found:
        with engine.database.transaction() as tx:
            mine = jobs.adopt(tx, job, context.run_id)
        if mine is not None:
            kept = _take_up(engine, context, opened, mine, tally)
            again.setdefault(mine.object, Kept()).add(kept)
    return again


def push_large(
    engine: Engine, context: Context, mapping: ObjectMapping, opened: Callable[[], Store], tally: Tally, *,
    last: bool,
) -> Kept:  # fmt: skip
    """Send by jobs what is planned of one object and worth a job; the rest is left to the batches.

    ``last``: the run tries none of it again.
    """
    again = Kept()
    for op in OPS:
        with engine.database.transaction() as tx:
            rows = trail.waiting(tx, context.run_id, mapping.object, op)
        settings = context.settings
        if not prefers_ingest_job(rows, op, settings.batch_size, settings.large_pushes):
            continue
        store = opened()
        if not isinstance(store, BulkStore):
            return again
        again.add(_push(engine, context, mapping, store, op, rows, tally, last=last))
    return again


def _push(
    engine: Engine, context: Context, mapping: ObjectMapping, store: BulkStore, op: jobs.Op, rows: int, tally: Tally, *,
    last: bool,
) -> Kept:  # fmt: skip
    """Two jobs at a time: while the CRM works on one, the other is filled, or its results are kept.

    Nobody waits for the other to be filled: that takes one connection of the database, the first several.
    """
    again = Kept()
    api = store.jobs(mapping.object)
    most, after = rows_of_a_job(rows), 0
    with engine.database.transaction() as tx:
        fields = trail.columns_of(tx, context.run_id, mapping.object, op, mapping.columns)
    begun: deque[tuple[Job, float]] = deque()
    more = True
    while more or begun:
        if more and len(begun) < AT_ONCE:
            lanes = 1 if begun else LANES
            job, after = _send(engine, context, mapping, store, op, fields, after, most, lanes)
            more = job is not None
            if job is not None:
                begun.append((job, engine.monotonic()))
        else:
            job, at = begun.popleft()
            if not begun:
                _seal(engine, context)
            since = engine.monotonic() - at
            again.add(_wait(engine, context, mapping, api, job, tally, last=last, since=since))
    return again


def _take_up(engine: Engine, context: Context, opened: Callable[[], Store], job: Job, tally: Tally) -> Kept:
    if job.their_id is None:
        _give_back(engine, job, "never opened")
        return Kept()
    store = opened()
    if not isinstance(store, BulkStore):
        raise TypeError(f"job {job.their_id} is under way, but the store knows no jobs")
    api = store.jobs(job.object)
    try:
        state = api.look(job.their_id)
        if state.open:
            # Data is taken only once, and nobody knows whether it arrived.
            api.abort(job.their_id)
            state = api.look(job.their_id)
            if not state.processed:
                _give_back(engine, job, "aborted before it began")
                return Kept()
    except Missing as error:
        return keep_results(
            engine, context, context.mappings[job.object], None, job, str(error), tally, last=False
        )
    if state.ended:
        return keep_results(engine, context, context.mappings[job.object], api, job, state, tally, last=False)
    return _wait(engine, context, context.mappings[job.object], api, job, tally, last=False)


def _send(
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    store: BulkStore,
    op: jobs.Op,
    fields: Sequence[str],
    after: int,
    most: int,
    lanes: int,
) -> tuple[Job | None, int]:
    """Everything until the next job has begun, and the change that it ends with; None when no row was left for it."""
    api = store.jobs(mapping.object)
    with api.sheet(fields, creates=op == "create") as sheet:
        job, after = claim_rows(engine, context, mapping, api, op, sheet, after, most, lanes)
        if job is None:
            return None, after
        opened = ""
        try:
            opened = api.open(creates=op == "create")
            with engine.database.transaction() as tx:
                if not jobs.name(tx, job, opened):
                    raise NotSent(f"bulk job {opened} was given up by another process before it began")
            api.fill(opened, sheet)
            if op == "update" and fields:
                _look(engine, context, mapping, api, job)
            api.begin(opened)
        except Unanswered:
            raise  # it may have begun: the next try asks the job before it sends anything
        except SyncError:
            with suppress(SyncError):
                if opened:
                    api.abort(opened)
            _give_back(engine, job, "given up before it began")
            raise
    return replace(job, their_id=opened), after


def _look(engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, job: Job) -> None:
    """What the records hold that the job is about to overwrite: kept as seen, so that nothing is overwritten unrecorded.

    By id, because an edit may show up with a stamp that lies behind the cursor.
    """
    began = engine.now()
    looked_at = None
    after: str | None = FIRST_ID
    while after:
        with engine.database.transaction() as tx:
            ids, after = jobs.overwritten(tx, job, after, LOOK_ROWS)
            sent_no = reading.next_number(tx)
        for at, images in api.shown(ids):
            looked_at = looked_at or at
            with engine.database.transaction() as tx:
                reading.store_page(tx, context.name, context.run_id, mapping, images, sent_no, began)
    with engine.database.transaction() as tx:
        jobs.looked(tx, job, looked_at or began, reading.next_number(tx))


def _wait(
    engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs, job: Job, tally: Tally, *, last: bool,
    since: float = 0,
) -> Kept:  # fmt: skip
    their_id = job.their_id or ""
    state: JobState = api.wait(their_id, job.rows, engine.job_patience, since)
    if state.ended:
        return keep_results(engine, context, mapping, api, job, state, tally, last=last)
    waited = engine.now() - job.opened_at
    raise JobUnderWay(
        f"bulk job {their_id} with {job.rows:,} {mapping.object}s is {state.state}: the run goes on when it has ended",
        min(max(waited / 2, SOONEST), LATEST),
    )


def _seal(engine: Engine, context: Context) -> None:
    """Seal what is final of the run while its last job is at work: the run's end then has less to do."""
    with engine.database.transaction() as tx:
        seal_run(tx, context.run_id)


def _give_back(engine: Engine, job: Job, state: str) -> None:
    with engine.database.transaction() as tx:
        if jobs.hold(tx, job) is not None:
            jobs.give_back(tx, job, state)
