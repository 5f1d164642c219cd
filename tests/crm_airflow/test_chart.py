"""The small chart: one bar a run, the oldest on the left, the tallest for the run that planned most."""

from __future__ import annotations

from datetime import UTC, datetime

from crm_airflow.web.chart import bars
from crm_sync.ledger.overview import RunFigures

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def run(run_id: int, state: str, planned: int | None) -> RunFigures:
    sums = (planned, None, None, None, None, None)
    return RunFigures(run_id, "c", "sync", None, AT, None, state, *sums, 1, None, None, None, None, False)


def test_bars():
    newest_first = [run(3, "running", None), run(2, "failed", 100), run(1, "succeeded", 0)]
    first, second, third = bars(newest_first)
    assert (first.x, first.height, first.tone) == (0, 3, "ok")
    assert (second.x, second.y, second.height, second.tone) == (8, 0, 28, "bad")
    assert (third.x, third.height, third.tone) == (16, 3, "info")
    assert second.title == "Run 2, 2026-03-04 05:06: failed, 100 planned"


def test_no_runs_are_no_bars():
    assert bars([]) == []
