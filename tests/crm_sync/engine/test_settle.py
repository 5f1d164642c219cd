"""Promise 7: a run is green only if it can show what became of every planned change."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import example, given

from crm_sync.engine.settle import verdict
from crm_sync.ledger.runs import Counts

GREEN = ("succeeded", "succeeded_with_parked")
COUNTS = st.builds(Counts, *[st.integers(0, 3)] * len(Counts.__dataclass_fields__))
CALM = Counts(3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1)


@given(COUNTS, st.booleans())
@example(CALM, False)
@example(CALM, True)
def test_a_run_is_green_only_if_its_sums_add_up(counts: Counts, killed: bool) -> None:
    state, words = verdict(counts, "running", dry_run=False, killed=killed)
    sums = counts.acknowledged + counts.parked + counts.superseded + counts.in_doubt
    left = killed or counts.in_doubt or counts.undone or counts.postponed or counts.planned != sums
    assert (state in GREEN) is not bool(left)
    assert bool(words) is (state != "succeeded"), "whatever is not plain success says why"


@given(COUNTS)
def test_a_pause_stays_a_pause(counts: Counts) -> None:
    assert verdict(counts, "paused_budget", dry_run=False, killed=False)[0] == "paused_budget"


def test_calm_is_green() -> None:
    assert verdict(CALM, "running", dry_run=False, killed=False) == ("succeeded", "")
