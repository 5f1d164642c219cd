"""The arithmetic of calls, by literals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from crm_sync.decide.budget import (
    WINDOW,
    Allocation,
    Backlog,
    Clocks,
    calls_needed,
    in_words,
    lane_limit,
    looked_past,
    observed,
    org_wait,
    runs_short,
)
from crm_sync.model import ApiUsage, RunKind

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("lane", "limit"),
    [("agent", 15_000), ("sync", 14_250), ("provision", 14_250), ("undo", 14_250), ("reconcile", 12_000), ("backfill", 9_000)],
)  # fmt: skip
def test_the_lanes_of_the_guides_15000_calls(lane: RunKind, limit: int) -> None:
    assert lane_limit(15_000, lane) == limit


@pytest.mark.parametrize("ahead", [timedelta(0), 3 * HOUR, -3 * HOUR])
def test_a_call_is_dated_late_and_the_window_begins_early(ahead: timedelta) -> None:
    clocks = Clocks(NOON, NOON + ahead)
    assert clocks.books_at == max(NOON, NOON + ahead)
    assert clocks.counts_from == min(NOON, NOON + ahead) - WINDOW
    assert clocks.apart == abs(ahead)


# ------------------------------------------------------------------------------------------ the org's own calls

SHARE = 0.1


def used(calls: int) -> ApiUsage:
    return ApiUsage(calls, 15_000)


def see(
    before: Allocation | None, calls: int, *, exact: bool = False, at: datetime = NOON
) -> tuple[Allocation, bool]:
    return observed(before, used(calls), SHARE, at, exact=exact)


def is_open(seen: Allocation) -> bool:
    return seen.look_at is None and seen.looks == 0


@pytest.mark.parametrize(
    ("calls", "short"), [(13_475, False), (13_476, True), (13_500, True), (15_000, True)]
)
def test_25_calls_before_the_reserve_the_ledger_wants_to_know(calls: int, short: bool) -> None:
    assert runs_short(used(calls), SHARE) is short


@pytest.mark.parametrize(
    ("calls", "goes_on", "asks"),
    [
        (13_475, True, False),  # the header may be off by 25: surely room
        (13_476, True, True),
        (13_524, True, True),
        (13_525, False, False),  # surely none
    ],
)
def test_the_header_decides_where_its_jitter_leaves_no_doubt(calls: int, goes_on: bool, asks: bool) -> None:
    seen, asked = see(None, calls)
    assert (is_open(seen), asked) == (goes_on, asks)


@pytest.mark.parametrize(("calls", "goes_on"), [(13_500, True), (13_501, False)])
def test_in_doubt_the_exact_figure_decides(calls: int, goes_on: bool) -> None:
    seen, asks = see(see(None, 13_490)[0], calls, exact=True)
    assert (is_open(seen), asks) == (goes_on, False)


def test_limits_is_asked_again_only_after_five_minutes() -> None:
    seen, _ = see(None, 13_490, exact=True)
    assert see(seen, 13_510, at=NOON + 5 * MINUTE)[1] is False
    assert see(seen, 13_510, at=NOON + 6 * MINUTE)[1] is True


def test_the_org_is_looked_at_after_growing_distances_and_an_hour_at_last() -> None:
    now, seen = NOON, see(None, 15_000)[0]
    distances = []
    for _ in range(6):
        assert seen.look_at is not None
        distances.append((seen.look_at - now) // MINUTE)
        now = seen.look_at
        seen, _ = see(looked_past(seen, now), 15_000, at=now)
    assert distances == [5, 10, 20, 40, 60, 60]
    assert is_open(see(seen, 1_000, at=now)[0])


def test_a_look_that_a_wrong_clock_put_off_by_a_day_is_due() -> None:
    seen, _ = see(None, 15_000, at=NOON + 20 * HOUR)
    assert org_wait(seen, NOON + 20 * HOUR) == 5 * MINUTE
    assert org_wait(seen, NOON) == timedelta(0)
    assert org_wait(None, NOON) == timedelta(0)


def test_late_replies_of_calls_that_left_together_are_one_look() -> None:
    seen, _ = see(None, 15_000)
    again, _ = see(seen, 14_990, at=NOON + MINUTE)
    assert (again.looks, again.look_at) == (seen.looks, seen.look_at)


def test_without_a_reserve_the_last_call_may_be_ours() -> None:
    assert is_open(observed(None, used(14_900), 0.0, NOON, exact=True)[0])
    assert not is_open(observed(None, used(15_000), 0.0, NOON, exact=False)[0])


# ------------------------------------------------------------------------------------------------- the forecast


@pytest.mark.parametrize(
    ("backlog", "calls"),
    [
        ([], 0),
        ([Backlog(), Backlog(), Backlog()], 1),  # an idle run
        ([Backlog(updates=1)], 2),
        ([Backlog(updates=500), Backlog(creates=501)], 4),
        ([Backlog(updates=500, creates=1), Backlog(), Backlog(updates=4_501)], 13),
        ([Backlog(rereads=1_001), Backlog(), Backlog()], 2),  # six queries
    ],
)
def test_the_calls_that_a_backlog_needs(backlog: list[Backlog], calls: int) -> None:
    assert calls_needed(backlog, 500) == calls


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=1), "1 min"),
        (timedelta(seconds=61), "2 min"),
        (HOUR, "1 h 0 min"),
        (WINDOW, "24 h 10 min"),
    ],
)
def test_durations_in_words(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words
