"""Plan: decide every field of every dirty link, and which records to create; nothing is written on either side."""

from __future__ import annotations

from crm_sync.decide import volume
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.approval import assess, pass_unasked, reject_again, require
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.conversion import plan_conversions
from crm_sync.engine.identify import OUTSIDE, identify_ours, identify_theirs
from crm_sync.engine.merges import follow_merges
from crm_sync.engine.plan_links import HELD, plan_links
from crm_sync.engine.reports import PlanReport, Tally
from crm_sync.ledger import approval, trail, worklist

__all__ = ["plan"]

CHUNK = 2000
PLANNED_AGAIN = "the run was planned again"


def plan(engine: Engine, context: Context) -> PlanReport:
    """Object by object, parents first: identity of theirs, dirty links, identity of ours."""
    if context.run.approved:
        return PlanReport(
            context.run_id, {}, {}, (f"the approved plan {context.run.approved} is carried out",)
        )
    reject_again(engine, context)
    tally = Tally()
    with engine.database.transaction() as tx:
        approval.give_up(tx, context.name, context.run_id, PLANNED_AGAIN)
        trail.supersede(tx, context.run_id, PLANNED_AGAIN)
    follow_merges(engine, context, tally)
    expected = plan_conversions(engine, context, tally)
    for mapping in context.objects:
        identify_theirs(engine, context, mapping, tally, expected)
        _plan_dirty_links(engine, context, mapping, tally)
        identify_ours(engine, context, mapping, tally)
        with engine.database.transaction() as tx:
            tally.add(
                mapping.object, HELD, worklist.creates_elsewhere(tx, context.run, mapping, engine.now())
            )
    if sum(count for name, count in tally.total().items() if name != OUTSIDE) > CHUNK:
        with engine.database.transaction() as tx:
            worklist.analyze(tx)
    return PlanReport(
        context.run_id,
        tally.numbers,
        tally.total(),
        _ways(context, tally) + _approved(engine, context, tally),
    )


def _approved(engine: Engine, context: Context, tally: Tally) -> tuple[str, ...]:
    """Go on only with what is safe or approved; a dry run says why it would wait."""
    if not tally.numbers:
        return ()
    with engine.database.transaction() as tx:
        assessment = assess(tx, context, tally.numbers)
    if not assessment.reasons:
        pass_unasked(engine, context, tally.numbers)
        return ()
    require(engine, context, assessment)
    what = "would wait for approval" if context.run.dry_run else "is approved"
    return (f"plan {assessment.digest} {what}: {'; '.join(assessment.reasons)}",)


def _ways(context: Context, tally: Tally) -> tuple[str, ...]:
    """How what is planned for theirs will go, and what that costs, where it is more than one call."""
    settings = context.settings
    return tuple(
        volume.in_words(object, op, row[f"{op} in the CRM"], settings.batch_size, settings.large_pushes)
        for object, row in tally.numbers.items()
        for op in ("update", "create")
        if row.get(f"{op} in the CRM", 0) > settings.batch_size
    )


def _plan_dirty_links(engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally) -> None:
    after = 0
    while True:
        with engine.database.transaction() as tx:
            ids = worklist.dirty_links(tx, context.run, mapping, after, CHUNK, engine.now())
            plan_links(tx, engine, context, mapping, ids, tally)
        if len(ids) < CHUNK:
            return
        after = ids[-1]
