"""The small chart of a connection's last runs: how high each bar is and how it is coloured; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crm_sync.ledger.overview import RunFigures

__all__ = ["TONES", "Bar", "bars"]

HEIGHT: Final = 28
LEAST: Final = 3
TONES: Final = {
    "succeeded": "ok",
    "succeeded_with_parked": "warn",
    "paused_budget": "warn",
    "waiting_approval": "warn",
    "running": "info",
    "failed": "bad",
    "refused": "bad",
}
"""The colour of each state of a run; its word stands beside it wherever it is shown."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One run: from the left, from the top, and what a pointer over it says."""

    x: int
    y: int
    height: int
    tone: str
    title: str


def bars(runs: Sequence[RunFigures]) -> list[Bar]:
    """The oldest run on the left; the highest bar is the run that planned most, an idle run still has a foot."""
    most = max((run.planned or 0 for run in runs), default=0) or 1
    return [_bar(place, run, most) for place, run in enumerate(reversed(runs))]


def _bar(place: int, run: RunFigures, most: int) -> Bar:
    height = LEAST + round((HEIGHT - LEAST) * (run.planned or 0) / most)
    told = f"Run {run.run_id}, {run.started_at:%Y-%m-%d %H:%M}: {run.state.replace('_', ' ')}, {run.planned or 0:,} planned"
    return Bar(place * 8, HEIGHT - height, height, TONES.get(run.state, "info"), told)
