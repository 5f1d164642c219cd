"""What a reconciliation found, added up: records by cause, differences by field, some samples, and one plain verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from crm_sync.decide.causes import CAUSES, DRIFT, Cause
from crm_sync.decide.compare import Finding
from crm_sync.model import OBJECTS, Object, Side

__all__ = ["SAMPLES", "Drift", "Sample", "Verdict"]

Verdict = Literal["in_step", "drifted"]
SAMPLES = 20
"""Records that are shown under each cause of each object."""
TOLD: tuple[Cause, ...] = ("busy", "parked", "by_agreement", "left_out")


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of those under a cause, as an example."""

    object: Object
    place: int
    finding: Finding


@dataclass(slots=True)
class Drift:
    """The sums of one comparison, in flat memory however much differs.

    ``waiting``: those of the records that the next sync sees to by itself; ``absent``: records that were not in the read.
    ``twins``: how many people or companies have several records on one side, with some of the records' ids.
    """

    records: Counter[tuple[Object, Cause]] = field(default_factory=Counter)
    waiting: Counter[tuple[Object, Cause]] = field(default_factory=Counter)
    fields: Counter[tuple[Object, Cause, str]] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    absent: Counter[Object] = field(default_factory=Counter)
    twins: dict[tuple[Object, Side], tuple[int, Sequence[Sequence[str]]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def in_step(self, object: Object, count: int) -> None:
        """So many records agree, and there is nothing to show of them."""
        self.records[object, "in_step"] += count

    def add(self, object: Object, findings: Iterable[Finding]) -> None:
        """Count findings, and keep the first of each cause as samples."""
        for found in findings:
            key = (object, found.cause)
            if found.cause != "in_step" and self.records[key] < SAMPLES:
                self.samples.append(Sample(object, self.records[key], found))
            self.records[key] += 1
            self.waiting[key] += found.waiting
            self.absent[object] += found.absent and found.cause in DRIFT
            for difference in found.differences:
                self.fields[object, found.cause, difference.field] += 1

    def count(self, causes: Iterable[Cause], object: Object | None = None) -> int:
        """How many records were found under these causes, of one object or of all."""
        chosen = set(causes)
        return sum(n for (o, cause), n in self.records.items() if cause in chosen and object in (None, o))

    @property
    def differing(self) -> int:
        """How many records do not agree although they should."""
        return self.count(DRIFT)

    @property
    def awaited(self) -> int:
        """How many of them the next sync sees to by itself."""
        return sum(self.waiting.values())

    @property
    def verdict(self) -> Verdict:
        """Whether both sides agree."""
        return "drifted" if self.differing else "in_step"

    @property
    def headline(self) -> str:
        """The verdict as a sentence for people."""
        return f"{self._verdict_in_words()}.{self._also()}"

    def _verdict_in_words(self) -> str:
        if not self.differing:
            agree = _things({o: self.count(("in_step",), o) for o in OBJECTS})
            return (
                f"In step: {agree} agree on every mapped field"
                if agree
                else "In step: there is nothing to compare"
            )
        differ = _things({o: self.count(DRIFT, o) for o in OBJECTS})
        verb = "differs" if self.differing == 1 else "differ"
        if not self.awaited:
            return f"Drifted: {differ} {verb}"
        which = "all of them" if self.awaited == self.differing else f"{self.awaited:,} of them"
        return f"Drifted: {differ} {verb}; the next sync sees to {which} by itself"

    def _also(self) -> str:
        told = [f"{n:,} {CAUSES[cause]}" for cause in TOLD if (n := self.count((cause,)))]
        return f" Beside that: {', '.join(told)}." if told else ""

    def counts(self) -> dict[str, int]:
        """The sums over all objects, for machines."""
        return {cause: n for cause in CAUSES if (n := self.count((cause,)))} | {"differing": self.differing}

    def lines(self) -> list[str]:
        """The sums as a table, a line for each object and cause."""
        rows = [
            f"  {object:<8} {CAUSES[cause]:<40} {n:>11,}" + (f"  ({w:,} on their way)" if (w := self.waiting[object, cause]) else "")
            for object in OBJECTS for cause in CAUSES if (n := self.records[object, cause])
        ]  # fmt: skip
        twins = [
            f"  {object:<8} {_twins(side):<40} {n:>11,}" for (object, side), (n, _) in self.twins.items() if n
        ]
        return [self.headline, *rows, *twins, *self.notes]


def _twins(side: Side) -> str:
    return f"several records in {'GPTWeb' if side == 'ours' else 'the CRM'}"


def _things(counts: Mapping[Object, int]) -> str:
    """12 contacts and 1 account."""
    words = [f"{n:,} {object}{'s' * (n != 1)}" for object, n in counts.items() if n]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
