"""`python -m bench profile`: where a first sync spends its CPU, by function of ours and by statement of Postgres."""

from __future__ import annotations

from typing import Any

from bench.figures import Figure, Report
from bench.world import world

__all__ = ["measure"]

MOST = 25


def measure(count: int) -> Report:
    """Two first syncs of N contacts each way: one under cProfile, one with every statement timed."""
    functions, statements = _run(count, "functions"), _run(count, "statements")
    figures = [
        Figure(place, f"{calls:,} ×", f"{own:.2f} s own, {cumulated:.2f} s with what it calls", None, own)
        for place, calls, own, cumulated in functions["functions"][:MOST]
    ]
    figures += [
        Figure(place, f"{calls:,} ×", f"Postgres {theirs:.3f} s, we {ours:.3f} s", None, theirs)
        for place, calls, ours, theirs in statements["statements"][:MOST]
    ]
    stages = ", ".join(f"{name} {stage['cpu']:.2f} s" for name, stage in statements["stages"].items())
    total = sum(row[3] for row in statements["statements"])
    return Report(
        f"First sync of {count:,} contacts each way: CPU by place",
        figures,
        [f"Our CPU by stage, not profiled: {stages}. Postgres: {total:.2f} s.", "cProfile makes small functions look dearer than they are."],
    )  # fmt: skip


def _run(count: int, how: str) -> dict[str, Any]:
    with world() as made:
        made.seed_ours("contact", count)
        made.seed_theirs("contact", count)
        made.rest()
        said: dict[str, Any] = made.measure("profile", how, "contact").child.said
        return said
