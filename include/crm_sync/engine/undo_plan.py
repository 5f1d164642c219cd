"""What an undo would do, as a value: counts by object, the digest that a person approves, and some lines of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crm_sync.decide.undo_words import EFFECTIVE, REMOVALS, VERDICTS, Line, Verdict
from crm_sync.engine.reports import Tally
from crm_sync.model import Object

__all__ = ["Decided", "Draft", "Shown", "UndoPlan"]

SHOWN = 20  # lines of each kind that are shown


@dataclass(frozen=True, slots=True)
class Decided:
    """One record with its verdicts."""

    object: Object
    our_id: str
    their_id: str | None
    link_id: int | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One line with its record; it holds people's values, so it is for a page behind a log-in, not for a task's log."""

    object: Object
    our_id: str
    their_id: str | None
    line: Line


@dataclass(frozen=True)
class UndoPlan:
    """The plan; without a run and a digest it is only proposed."""

    run_id: int | None
    about: str
    by_object: Mapping[str, Mapping[str, int]]
    counts: dict[str, int]
    digest: str
    samples: tuple[Shown, ...]

    @property
    def effective(self) -> int:
        """How many lines would do something."""
        return sum(self.counts.get(verdict, 0) for verdict in EFFECTIVE)

    @property
    def removals(self) -> int:
        """How many records would be taken away, which needs a person's word."""
        return sum(self.counts.get(verdict, 0) for verdict in REMOVALS)

    def lines(self) -> list[str]:
        """The plan without people's values, a line each."""
        if not self.counts and self.digest:
            return [f"the approved plan {self.digest} is carried out"]
        if not self.counts:
            return [f"undo of {self.about}: nothing was written that could be undone"]
        head = (
            f"undo of {self.about}: plan {self.digest}"
            if self.effective
            else f"undo of {self.about}: nothing to do"
        )
        rows = [head]
        for object, row in self.by_object.items():
            numbers = ", ".join(f"{row[verdict]} {_WORDS[verdict]}" for verdict in VERDICTS if verdict in row)
            rows.append(f"{object}: {numbers}")
        rows += [
            f"  {s.line.verdict}: {s.object} {s.our_id} {s.line.field}{': ' if s.line.why else ''}{s.line.why}"
            for s in self.samples
        ]
        if self.run_id is not None:
            rows.append(_WHERE.format(run=self.run_id))
        return rows

    @property
    def markdown(self) -> str:
        """The plan for the person who decides."""
        head, *rest = self.lines()
        return "\n".join([f"**{head}**", "", *(f"- {line.strip()}" for line in rest)])


@dataclass
class Draft:
    """A plan while it is made, in flat memory."""

    about: str
    tally: Tally = field(default_factory=Tally)
    shown: dict[Verdict, list[Shown]] = field(default_factory=dict)

    def add(self, records: Iterable[Decided]) -> None:
        """Count a chunk of records."""
        for record in records:
            for line in record.lines:
                self.tally.add(record.object, line.verdict)
                samples = self.shown.setdefault(line.verdict, [])
                if len(samples) < SHOWN:
                    samples.append(Shown(record.object, record.our_id, record.their_id, line))

    @property
    def effective(self) -> bool:
        """Whether anything would be done."""
        return any(verdict in EFFECTIVE for verdict in self.shown)

    def plan(self, run_id: int | None = None, digest: str = "") -> UndoPlan:
        """The plan of all that was added."""
        samples = [shown for verdict in VERDICTS for shown in self.shown.get(verdict, ())]
        return UndoPlan(run_id, self.about, self.tally.numbers, self.tally.total(), digest, tuple(samples))


_WORDS: dict[Verdict, str] = {
    "put back": "values put back",
    "bring back": "records brought back from the archive",
    "archive": "records archived in GPTWeb",
    "withdraw": "records put into the CRM's recycle bin by the next sync",
    "make again": "records made again in the CRM by the next sync",
    "already": "as before already",
    "kept": "kept, because they were changed since",
    "impossible": "that can't be undone",
}
_WHERE = (
    "with their values: select object, our_id, op, before, after from crm_sync.change where run_id = {run}; "
    "what is kept: select our_id, field, before, detail from crm_sync.audit_trail where run_id = {run} and rule = 'undo' "
    "and outcome = 'noted'"
)
