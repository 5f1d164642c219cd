"""When something that only met a busy record or server is sent again: at growing distances, with jitter."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["distance"]

FIRST = timedelta(minutes=5)
LONGEST = timedelta(hours=6)
SPREAD = 0.5
"""Up to a quarter sooner or later, so that what was refused together does not come back together."""


def distance(tries: int, chance: float) -> timedelta:
    """How long to wait after so many runs have tried in vain; ``chance`` lies in [0, 1)."""
    doubled = FIRST * (1 << min(tries - 1, 20))
    return min(doubled, LONGEST) * (1 - SPREAD / 2 + SPREAD * chance)
