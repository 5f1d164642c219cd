"""From any Airflow run to what it means for the sync: its kind, and the window of their changes that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crm_sync.errors import Misconfigured
from crm_sync.model import RunKind

__all__ = ["Window", "window_of", "window_of_context"]


@dataclass(frozen=True, slots=True)
class Window:
    """What a run reads of theirs: [since, until), or, with both ends open, everything since the cursor."""

    kind: RunKind
    since: datetime | None = None
    until: datetime | None = None


def window_of(run_type: str, start: datetime | None, end: datetime | None) -> Window:
    """Turn a run's type and data interval into its window.

    A backfill alone uses the interval.  A scheduled, manual or asset-triggered run uses the cursor, whatever interval
    Airflow gave it: the cursor knows what was really read, also after an outage, and a run started by hand through
    the API may have no interval at all.
    """
    if run_type != "backfill":
        return Window("sync")
    if start is None or end is None:
        msg = (
            "This backfill run has no data interval, so there is no window to read. "
            "Give the DAG a CronDataIntervalTimetable; partitioned and asset schedules have no intervals."
        )
        raise Misconfigured(msg)
    if start >= end:
        msg = (
            f"The data interval of this backfill run is empty ({start.isoformat()} to {end.isoformat()}). "
            "A plain cron string gives empty intervals: give the DAG a CronDataIntervalTimetable."
        )
        raise Misconfigured(msg)
    return Window("backfill", _plain(start), _plain(end))


def window_of_context(context: Mapping[str, Any]) -> Window:
    """Read the window of the run that a task's context belongs to."""
    run_type = context["dag_run"].run_type
    return window_of(
        str(getattr(run_type, "value", run_type)),
        context.get("data_interval_start"),
        context.get("data_interval_end"),
    )


def _plain(moment: datetime) -> datetime:
    """Airflow's moments are of a class of its own (pendulum), which nothing outside Airflow knows."""
    return datetime.fromisoformat(moment.isoformat()).astimezone(UTC)
