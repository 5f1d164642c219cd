"""Settle: count what became of every planned change, name the end state, close the run."""

from __future__ import annotations

from crm_sync.engine.context import Context, Engine
from crm_sync.engine.heal import release
from crm_sync.engine.reports import RunReport
from crm_sync.ledger import approval, forecast, freshness, leases, reconciliation, runs
from crm_sync.ledger.runs import Counts

__all__ = ["settle", "verdict"]


def settle(engine: Engine, context: Context, *, killed: bool = False) -> RunReport:
    """Close the run; a run that is closed already keeps its sums."""
    with engine.database.transaction() as tx:
        unanswered = approval.give_up(tx, context.name, context.run_id, "its run ended before that")
        counts = runs.count(tx, context.run_id)
        if unanswered or context.run.state == "refused":
            state, message = "refused", unanswered or runs.message(tx, context.run_id)
        else:
            state, message = verdict(counts, context.run.state, dry_run=context.run.dry_run, killed=killed)
            if context.run.left_out:
                state, message = _with_left_out(context, state, message)
            message = message or reconciliation.headline(tx, context.run_id) or ""
        release(tx, context)
        leases.release_run(tx, context.run_id, engine.now(), only_expired=killed)
        seal = runs.close(tx, context.run_id, state, counts, message or None)
        calls = forecast.note(tx, context.run_id)
        waits = freshness.note(tx, context.name, context.run_id)
    sums = {name: getattr(counts, name) for name in
            ("planned", "acknowledged", "parked", "superseded", "in_doubt", "conflicts", "api_calls")}  # fmt: skip
    return RunReport(context.run_id, state, message, sums, str(calls), waits, str(seal or ""))


def _with_left_out(context: Context, state: str, message: str) -> tuple[str, str]:
    """An object that could not be read is work left undone, however well the others went."""
    names, causes = " and ".join(context.run.left_out), "; ".join(context.run.left_out.values())
    said = f"{names} left out, the rest was done: {causes}; the run after that takes it up where it was"
    good = state in ("succeeded", "succeeded_with_parked")
    return "failed" if good else state, f"{said}. {message}".removesuffix(". ")


def verdict(counts: Counts, state: str, *, dry_run: bool, killed: bool) -> tuple[str, str]:
    """The end state and, unless it is plain success, what a person should know or do: the first line that holds."""
    lines: tuple[tuple[bool, str, str], ...] = (
        (state == "paused_budget", state, "the day's calls are used up; what is left is done when calls are free again"),
        (killed, "failed", "its process ended without settling; the next run takes up what was left"),
        (counts.in_doubt > 0, "failed",
         f"{counts.in_doubt} changes were sent without an answer; the next run finds out what became of them"),
        (dry_run, "succeeded", f"dry run: {counts.planned} changes planned, nothing written"),
        (counts.undone > 0, "failed",
         f"{counts.undone} planned changes were not carried out; the next run plans them again"),
        (counts.postponed > 0, "failed",
         f"{counts.postponed} changes lay in a bulk job that ended before it came to them; the trail says why, the next run sends them"),
        (counts.planned != counts.told, "failed", "the sums do not add up; please report this with the run's audit trail"),
        (counts.newly_parked > 0, "succeeded_with_parked",
         f"{counts.newly_parked} values need a person: see crm_sync.parked_rows, cause and remedy"),
        (counts.busy > 0, "succeeded_with_parked",
         f"{counts.busy} values met a busy record or server and are tried again: see crm_sync.parked_rows, next_try_at"),
    )  # fmt: skip
    return next(((end, words) for holds, end, words in lines if holds), ("succeeded", ""))
