"""Any Airflow run, turned into its kind and window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pendulum
import pytest

from crm_airflow.window import Window, window_of, window_of_context
from crm_sync.errors import Misconfigured

FIVE = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
SIX = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("how", "run_type", "start", "end", "window"),
    [
        ("scheduled", "scheduled", FIVE, SIX, Window("sync")),
        ("scheduled by a plain cron string", "scheduled", FIVE, FIVE, Window("sync")),
        ("by hand in the UI, schedule set", "manual", FIVE, SIX, Window("sync")),
        ("by hand in the UI, no schedule", "manual", SIX, SIX, Window("sync")),
        ("by the API, logical date null", "manual", None, None, Window("sync")),
        ("by an asset", "asset_triggered", None, None, Window("sync")),
        ("by an asset or its timetable", "asset_triggered", FIVE, SIX, Window("sync")),
        ("backfill", "backfill", FIVE, SIX, Window("backfill", FIVE, SIX)),
        (
            "backfill, interval in another zone",
            "backfill",
            datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=9))),
            datetime(2026, 11, 21, 22, 0, tzinfo=timezone(timedelta(hours=-8))),
            Window("backfill", FIVE, SIX),
        ),
    ],
)
def test_only_a_backfill_uses_its_interval(how, run_type, start, end, window):
    assert window_of(run_type, start, end) == window, how


@pytest.mark.parametrize(("start", "end"), [(None, None), (FIVE, None), (None, SIX)])
def test_a_backfill_without_interval_says_what_to_change(start, end):
    with pytest.raises(Misconfigured, match=r"no data interval.*CronDataIntervalTimetable"):
        window_of("backfill", start, end)


def test_a_backfill_with_an_empty_interval_says_what_to_change():
    with pytest.raises(Misconfigured, match=r"empty.*plain cron string.*CronDataIntervalTimetable"):
        window_of("backfill", FIVE, FIVE)


def test_a_window_comes_back_in_utc():
    window = window_of("backfill", FIVE.astimezone(timezone(timedelta(hours=9))), SIX)
    assert window.since is not None
    assert window.since.tzinfo is UTC


def test_airflows_own_moments_become_plain_ones():
    start, end = (
        pendulum.datetime(2026, 11, 22, 14, tz="Asia/Tokyo"),
        pendulum.datetime(2026, 11, 22, 6, tz="UTC"),
    )
    window = window_of("backfill", start, end)
    assert (window.since, window.until) == (FIVE, SIX)
    assert {type(window.since), type(window.until)} == {datetime}


def test_the_context_of_a_task_may_lack_the_interval():
    assert window_of_context({"dag_run": SimpleNamespace(run_type="manual")}) == Window("sync")


def test_airflows_own_run_types_are_read():
    from airflow.utils.types import DagRunType

    run = {"data_interval_start": FIVE, "data_interval_end": SIX}
    kinds = {t: window_of_context({"dag_run": SimpleNamespace(run_type=t), **run}).kind for t in DagRunType}
    assert {t for t, kind in kinds.items() if kind == "backfill"} == {DagRunType.BACKFILL_JOB}
