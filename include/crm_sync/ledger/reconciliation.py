"""The reports of reconciliations: kept with their run, read back as JSON, and the last ones side by side."""

from __future__ import annotations

from typing import Any

from crm_sync.decide.drift import Drift
from crm_sync.errors import Missing
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.runs import Run

__all__ = ["headline", "history", "keep", "latest", "load"]

Report = dict[str, Any]
SAMPLED = 30
"""Of so many reports the samples are kept, which hold values of people; the sums of all."""


def keep(tx: Transaction, run: Run, drift: Drift, healing: int, seconds: float) -> None:
    """Keep the report of a run; a comparison that is made again replaces it."""
    tx.run("delete from crm_sync.reconciliation where run_id = %s", (run.run_id,))
    tx.run(
        """insert into crm_sync.reconciliation (run_id, connection, verdict, headline, differing, waiting, heal, healing,
          seconds, read_calls, notes)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, (select count(*) from crm_sync.spending where run_id = %s), %s::text[])""",
        (run.run_id, run.connection, drift.verdict, drift.headline, drift.differing, drift.awaited, run.heal, healing,
         seconds, run.run_id, drift.notes),
    )  # fmt: skip
    tx.copy("crm_sync.reconciliation_count", ("run_id", "object", "cause", "records", "waiting"),
            ((run.run_id, o, cause, n, drift.waiting[o, cause]) for (o, cause), n in drift.records.items() if n))  # fmt: skip
    tx.copy("crm_sync.reconciliation_field", ("run_id", "object", "cause", "field", "records"),
            ((run.run_id, o, cause, field, n) for (o, cause, field), n in drift.fields.items()))  # fmt: skip
    tx.copy("crm_sync.reconciliation_twin", ("run_id", "object", "side", "people", "examples"),
            ((run.run_id, o, side, n, Jsonb(some)) for (o, side), (n, some) in drift.twins.items() if n))  # fmt: skip
    tx.run(
        "delete from crm_sync.reconciliation_sample where run_id = any(array(select run_id from crm_sync.reconciliation "
        "where connection = %s order by run_id desc offset %s))",
        (run.connection, SAMPLED),
    )
    tx.copy(
        "crm_sync.reconciliation_sample",
        ("run_id", "object", "cause", "place", "our_id", "their_id", "waiting", "differences"),
        (
            (run.run_id, s.object, s.finding.cause, s.place, s.finding.our_id, s.finding.their_id, s.finding.waiting,
             Jsonb([{"field": d.field, "ours": d.ours, "theirs": d.theirs} for d in s.finding.differences]))
            for s in drift.samples
        ),
    )  # fmt: skip


def load(tx: Transaction, connection: str, run_id: int) -> Report:
    """One report with its samples, which hold values of people, and with what became of its run."""
    rows = tx.rows(
        """select r.report, s.state, s.message, s.planned, s.acknowledged, s.parked, s.api_calls
        from crm_sync.reconciliation_report r join crm_sync.run_summary s using (run_id)
        where r.connection = %s and r.run_id = %s""",
        (connection, run_id),
    )
    if not rows:
        raise Missing(
            f"{connection} has no reconciliation of run {run_id}: crm_sync.reconciliation lists those there are"
        )
    report, state, message, planned, acknowledged, parked, calls = rows[0]
    samples = tx.rows(
        "select object, cause, our_id::text, their_id, waiting, differences from crm_sync.reconciliation_sample "
        "where run_id = %s order by object, cause, place",
        (run_id,),
    )
    names = ("object", "cause", "our_id", "their_id", "waiting", "differences")
    return {
        **report,
        "run": {"state": state, "message": message, "planned": planned, "acknowledged": acknowledged, "parked": parked,
                "api_calls": calls},
        "samples": [dict(zip(names, row, strict=True)) for row in samples],
    }  # fmt: skip


def history(tx: Transaction, connection: str, run_id: int, most: int) -> list[Report]:
    """The sums of this report and of those before it, oldest first, without samples."""
    rows = tx.rows(
        "select report from crm_sync.reconciliation_report where connection = %s and run_id <= %s order by run_id desc limit %s",
        (connection, run_id, most),
    )
    return [row[0] for row in reversed(rows)]


def latest(tx: Transaction, connection: str) -> int | None:
    """The run of the newest report."""
    found: int | None = tx.one(
        "select max(run_id) from crm_sync.reconciliation where connection = %s", (connection,)
    )
    return found


def headline(tx: Transaction, run_id: int) -> str | None:
    """The verdict of a run, if it compared."""
    found: str | None = tx.one("select headline from crm_sync.reconciliation where run_id = %s", (run_id,))
    return found
