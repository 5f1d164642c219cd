"""Figure 1: a sync with nothing to do, of all three objects."""

from __future__ import annotations

from bench.figures import Figure, Report
from bench.world import World, world
from crm_sync.model import OBJECTS

__all__ = ["measure"]

EACH = 150
"""Records of each object on each side before it."""


def measure(_: int) -> Report:
    """Sync what there is, then once more."""
    with world() as made:
        for object in OBJECTS:
            made.seed_ours(object, EACH)
            made.seed_theirs(object, EACH)
        made.measure("sync")
        before = _state(made)
        idle = made.measure("sync").child.said
        after = _state(made)
    calls, planned = int(idle["calls"]), int(idle["stages"]["settle"]["counts"]["planned"])
    ours, theirs = after[0] - before[0], after[1] - before[1]
    return Report(
        "Idle sync of accounts, contacts and leads",
        [
            Figure("API calls", "1", str(calls), calls == 1, calls),
            Figure("changes planned", "0", str(planned), planned == 0, planned),
            Figure("records written in GPTWeb", "0", str(ours), ours == 0, ours),
            Figure("records written in the CRM", "0", str(theirs), theirs == 0, theirs),
        ],
        [
            f"{EACH * 2} of each object were synced just before, so their rows are still in the window that is read."
        ],
    )


def _state(made: World) -> tuple[int, int]:
    """Our versions, which count every write, and the rows that the stand-in has written."""
    versions = "select " + " + ".join(f"(select sum(version) from gptweb.{object}s)" for object in OBJECTS)
    return int(made.execute(versions)[0][0]), made.rows_written()
