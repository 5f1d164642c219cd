"""What the ledger says of a run whose task stopped early: the one message, where people look for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final

import psycopg

from crm_sync.engine.context import Engine, RunOptions
from crm_sync.engine.reports import RunReport
from crm_sync.errors import ApprovalNeeded, BudgetExhausted, RefusedPlan, SyncError
from crm_sync.ledger import forecast, runs
from crm_sync.ledger.database import Database

__all__ = ["noted", "open_failed", "pausing", "settle"]

ENDS: Final = ("paused_budget", "refused")
"""End states that an error of a stage decides; any other error ends the run as failed."""


@contextmanager
def noted(database: Database, run_id: int) -> Iterator[None]:
    """While one stage runs: a run that had failed or was paused is running again; an error is noted, and raised."""
    with database.transaction() as tx:
        tx.run(
            "update crm_sync.run set state = 'running', ended_at = null, message = null "
            "where run_id = %s and state not in ('running', 'succeeded', 'succeeded_with_parked')",
            (run_id,),
        )
    try:
        yield
    except Exception as error:
        with (
            suppress(SyncError, psycopg.Error),
            database.transaction() as tx,
        ):  # the first error matters, not this
            if isinstance(error, BudgetExhausted):
                wait = forecast.note(tx, run_id).wait
                runs.pause(tx, run_id, str(error), max(wait, error.resume_after))
            else:
                asks = "waiting_approval" if isinstance(error, ApprovalNeeded) else "refused"
                state = asks if isinstance(error, RefusedPlan) else "running"
                tx.run(
                    "update crm_sync.run set state = %s, message = %s where run_id = %s",
                    (state, message_of(error), run_id),
                )
        raise


@contextmanager
def pausing(database: Database, run_id: int) -> Iterator[None]:
    """While provisioning speaks to the CRM: a paused run is running again; without calls left it is paused."""
    with database.transaction() as tx:
        tx.run(
            "update crm_sync.run set state = 'running', message = null "
            "where run_id = %s and state = 'paused_budget'",
            (run_id,),
        )
    try:
        yield
    except BudgetExhausted as error:
        with suppress(SyncError, psycopg.Error), database.transaction() as tx:
            run = runs.load(tx, run_id)
            wait, _ = forecast.wait_of(tx, run.connection, run.kind)
            runs.pause(tx, run_id, str(error), max(wait, error.resume_after))
        raise


def open_failed(database: Database, options: RunOptions, error: SyncError) -> None:
    """Leave a failed run with the message where none could be opened; nothing for a connection that is not known."""
    with database.transaction() as tx:
        if tx.one("select 1 from crm_sync.connection where name = %s", (options.connection,)):
            run_id = runs.open_run(tx, options.connection, options.kind, options.dag_run_id, {})
            runs.close(tx, run_id, "failed", runs.Counts(*(0,) * 11), str(error))


def settle(engine: Engine, run_id: int, failed: Sequence[str]) -> RunReport:
    """Settle the run; when a task failed before, that decides its end, whatever the sums say."""
    with engine.database.transaction() as tx:
        rows = tx.rows("select state, message from crm_sync.run where run_id = %s", (run_id,))
    report = engine.settle(run_id)
    if not failed or not rows:
        return report
    state, said = rows[0]
    message = f"{', '.join(failed)} failed: {said or 'see the log there'}"
    end = next((s for s in (state, report.state) if s in ENDS), "failed")
    report = replace(report, state=end, message=message)
    with engine.database.transaction() as tx:
        tx.run(
            "update crm_sync.run set state = %s, message = %s where run_id = %s",
            (report.state, message, run_id),
        )
    return report


def message_of(error: Exception) -> str:
    """The message of an error of the sync; of any other only its name, since its text may hold people's values."""
    if isinstance(error, SyncError):
        return str(error)
    return f"{type(error).__name__}, which is a fault of the software or of its surroundings; the task's log has the details"
