"""The first sync of a connection asks a person when it would make many records (adr/0012)."""

from __future__ import annotations

from crm_sync.decide.volume import calls_by_batches, calls_by_ingest_job, prefers_ingest_job
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.reports import PlanReport
from crm_sync.errors import ApprovalNeeded
from crm_sync.ledger import approval
from crm_sync.model import OBJECTS

__all__ = ["approve_or_wait", "refuse_while_waiting"]

THERE, HERE = "create in the CRM", "create in GPTWeb"


def refuse_while_waiting(engine: Engine, context: Context) -> None:
    """Raise ApprovalNeeded while another run's plan waits: nothing is planned a second time meanwhile."""
    if _asks_nobody(context):
        return
    with engine.database.transaction() as tx:
        waiting = approval.waiting(tx, context.name)
        if waiting is None or waiting == context.run_id:
            return
        message = f"the first sync of {context.name} waits: {_how(context, approval.digest_of(tx, waiting))}"
        approval.wait(tx, context.run_id, message)
    raise ApprovalNeeded(message)


def approve_or_wait(engine: Engine, context: Context, report: PlanReport) -> None:
    """Let a plan through that makes few records; raise ApprovalNeeded, with a preview, for one that makes many."""
    if _asks_nobody(context):
        return
    counts, most = report.counts, context.settings.approve_creations_above
    made = counts.get(THERE, 0) + counts.get(HERE, 0)
    with engine.database.transaction() as tx:
        if most is None or made <= most:
            if _is_whole(context) and made + counts.get("linked", 0):
                approval.pass_first_sync(tx, context.name)
            return
        message = _preview(context, report, made, approval.digest_of(tx, context.run_id))
        approval.wait(tx, context.run_id, message)
    raise ApprovalNeeded(message)


def _asks_nobody(context: Context) -> bool:
    return context.connection.first_synced_at is not None or context.run.dry_run


def _is_whole(context: Context) -> bool:
    """Whether the run does all that a scheduled one does: a trial of ten records is no first sync."""
    run = context.run
    return run.kind == "sync" and run.limit is None and run.direction is None and run.objects == OBJECTS


def _preview(context: Context, report: PlanReport, made: int, digest: str) -> str:
    keys = context.rules.direction == "bidirectional"  # our key goes into what is made here
    calls = 1 + sum(
        _calls(context, "update", row.get("update in the CRM", 0) + keys * row.get(HERE, 0))
        + _calls(context, "create", row.get(THERE, 0))
        for row in report.by_object.values()
    )
    head = (
        f"the first sync of {context.name} would make {made:,} records ({report.counts.get(THERE, 0):,} in the CRM, "
        f"{report.counts.get(HERE, 0):,} in GPTWeb), with about {calls:,} API calls; nothing was written"
    )
    return "\n".join([head, *report.lines(), _how(context, digest)])


def _calls(context: Context, op: str, rows: int) -> int:
    chosen = context.settings
    if prefers_ingest_job(rows, op, chosen.batch_size, chosen.large_pushes):
        return calls_by_ingest_job(rows, op)
    return calls_by_batches(rows, chosen.batch_size)


def _how(context: Context, digest: str) -> str:
    return (
        f"to carry out exactly this plan, trigger crm_sync__{context.name} with approve = {digest}; to make fewer records, "
        "set a scope (docs/scope.md), and the next run shows another preview"
    )
