"""What each stage has to say: counts for machines, aligned lines for the task log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PlanReport", "PullReport", "PushReport", "RunReport", "Tally"]


@dataclass
class Tally:
    """Numbers by object and name, added up while a stage works."""

    numbers: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, object: str, name: str, count: int = 1) -> None:
        """Add to one number."""
        if count:
            row = self.numbers.setdefault(object, {})
            row[name] = row.get(name, 0) + count

    def total(self) -> dict[str, int]:
        """The sums over all objects."""
        sums: dict[str, int] = {}
        for row in self.numbers.values():
            for name, count in row.items():
                sums[name] = sums.get(name, 0) + count
        return sums


@dataclass(frozen=True)
class _Report:
    run_id: int
    by_object: Mapping[str, Mapping[str, int]]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()

    title = ""

    def lines(self) -> list[str]:
        """The report as an aligned table, a line each."""
        names = sorted({name for row in self.by_object.values() for name in row})
        if not names:
            return [f"{self.title} of run {self.run_id}: nothing to do", *self.notes]
        head = f"{self.title} of run {self.run_id}"
        width = max(len(head), *(len(o) for o in self.by_object))
        rows = [head.ljust(width) + "".join(f"  {name}" for name in names)]
        for object, row in self.by_object.items():
            cells = "".join(f"  {row.get(name, 0):>{len(name)}}" for name in names)
            rows.append(object.ljust(width) + cells)
        return [*rows, *self.notes]


class PullReport(_Report):
    """Rows read, rows that differ."""

    title = "pull"


class PlanReport(_Report):
    """Changes planned per direction, conflicts, links made, records left to a person."""

    title = "plan"


class PushReport(_Report):
    """What became of the changes."""

    title = "push"


@dataclass(frozen=True)
class RunReport:
    """The end of a run: its state, its sums, what to do if it is not green, the day's calls, what still waits, its seal."""

    run_id: int
    state: str
    message: str
    counts: dict[str, int]
    calls: str = ""
    freshness: str = ""
    seal: str = ""

    def lines(self) -> list[str]:
        """The report, a line each."""
        sums = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self.counts.items())
        return [
            f"run {self.run_id}: {self.state}",
            sums,
            *(line for line in (self.message, self.calls, self.freshness, self.seal) if line),
        ]
