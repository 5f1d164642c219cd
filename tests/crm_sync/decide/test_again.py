"""Growing distances with jitter, as literals."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm_sync.decide.again import distance


@pytest.mark.parametrize(
    ("tries", "minutes"), [(1, 5), (2, 10), (3, 20), (6, 160), (7, 320), (8, 360), (1000, 360)]
)
def test_each_try_waits_twice_as_long_up_to_six_hours(tries: int, minutes: int) -> None:
    assert distance(tries, 0.5) == timedelta(minutes=minutes)


def test_chance_moves_it_by_a_quarter_either_way() -> None:
    assert distance(2, 0.0) == timedelta(minutes=7.5)
    assert timedelta(minutes=12.4) < distance(2, 0.999) < timedelta(minutes=12.5)
