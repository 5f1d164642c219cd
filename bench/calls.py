"""Figure 2: how many API calls changes cost, from GPTWeb to the CRM and from the CRM to GPTWeb."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.figures import Figure, Report
from bench.world import World, world
from crm_sync.model import OBJECTS, Object

__all__ = ["measure"]

CHANGED: Mapping[Object, int] = MappingProxyType({"account": 500, "contact": 1500, "lead": 1000})
PULLED = 4500
A_PUSH, A_PAGE = 500, 2000


def measure(_: int) -> Report:
    """Create, then update, in GPTWeb; then edit in the CRM."""
    with world() as made:
        for object, count in CHANGED.items():
            made.seed_ours(object, count)
        created = made.measure("sync").child.said
        made.pass_time(
            3600
        )  # what the sync wrote leaves the window, so that only edits are read from here on
        made.measure("sync")
        for object in CHANGED:
            made.execute(
                f"update gptweb.{object}s set description = description || ' Bench.', visit_count = visit_count + 1"
            )
        updated = made.measure("sync").child.said
        known = _before_known(made, int(updated["run_id"]))
        made.pass_time(3600)
        made.measure("sync")
        read, pulled = _pull(made)
    return Report("API calls for changes", [
        _push("push: records created", created), _push("push: records updated", updated),
        Figure("before-values known, of the fields updated", "all", f"{known[0]:,} of {known[1]:,}", known[0] == known[1]),
        Figure(f"pull: {read:,} rows in the window", f"≤ {-(-read // A_PAGE)} calls", f"{pulled} calls",
               pulled <= -(-read // A_PAGE), pulled),
    ], [", ".join(f"{count:,} {object}s" for object, count in CHANGED.items()) + " are pushed; the calls of the pull are not among theirs."])  # fmt: skip


def _push(name: str, said: Mapping[str, dict[str, dict[str, int]]]) -> Figure:
    calls = int(said["stages"]["push_theirs"]["calls"])
    goal = sum(-(-CHANGED[object] // A_PUSH) for object in OBJECTS)
    return Figure(
        f"{name} ({sum(CHANGED.values()):,})", f"≤ {goal} calls", f"{calls} calls", calls <= goal, calls
    )


def _before_known(made: World, run_id: int) -> tuple[int, int]:
    """SQL NULL in ``before`` means not known, a JSON null blank."""
    query = "select count(before), count(*) from crm_sync.audit_trail where run_id = %s and side = 'theirs'"
    known, lines = made.execute(query, (run_id,))[0]
    return int(known), int(lines)


def _pull(made: World) -> tuple[int, int]:
    """Rows read and calls made for new records and edits there."""
    made.seed_theirs("contact", PULLED, "news")
    said = made.measure("sync").child.said
    pull = said["stages"]["pull"]
    return int(pull["counts"]["read"]), int(pull["calls"])
