"""The same promises wherever the workers stand: schedules in which times decide, in two other time zones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.crm_sync.engine import test_schedules as schedules
from tests.crm_sync.engine.world import World


@pytest.fixture(params=["Asia/Tokyo", "America/Los_Angeles"], autouse=True)
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.test_other_field_bumped_their_time,
        schedules.test_our_push_bumped_their_time,
        schedules.test_two_crms_origin_time,
        schedules.test_cursor_from_our_clock,
    ],
    ids=lambda schedule: schedule.__name__,
)
def test_whose_edit_is_later(make_world: Callable[..., World], schedule: Callable[..., None]) -> None:
    schedule(make_world)


@pytest.mark.parametrize(
    "schedule",
    [
        schedules.test_same_second_second_edit,
        schedules.test_stale_page_stored_late,
        schedules.test_cursor_runs_behind_by_the_lag,
        schedules.test_lost_reply_commits_after_newer_push,
        schedules.test_zombie_worker_sends_after_lease,
    ],
    ids=lambda schedule: schedule.__name__,
)
def test_cursors_leases_and_expiries(world: World, schedule: Callable[[World], None]) -> None:
    schedule(world)


def test_a_moment_is_the_same_on_both_sides(world: World) -> None:
    """Not only the clocks: an instant that is typed as a value."""
    world.client.execute(
        "update gptweb.contacts set last_visit_at = '2026-07-01 23:30:00+02' where id = %s", (world.ours,)
    )
    world.run()
    assert world.their_value("last_visit_at") == "2026-07-01T21:30:00Z"
    world.assert_sound()
