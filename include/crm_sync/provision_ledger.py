"""What provisioning tells the ledger, and how the lines of a run add up to its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast
from urllib.parse import unquote

from crm_sync.decide.schema import WantedField
from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_steps import Done, Refusal, Step, StepKind
from crm_sync.model import Outcome

__all__ = [
    "DRIFT",
    "DRY_RUN",
    "REMOVAL",
    "ProvisionLedger",
    "RunState",
    "TrailLine",
    "counts_of",
    "done_line",
    "drift_line",
    "open_lines",
    "planned_line",
    "step_of",
]

RunState = Literal["succeeded", "failed", "refused"]

DRY_RUN = "dry_run"
DRIFT = "drift"
REMOVAL = "removal"
_REFUSED = "schema"
_REMARKS = {DRY_RUN, DRIFT, REMOVAL}


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One line of ``crm_sync.audit_trail``, side theirs.

    ``object`` is ours (or ``permission_set``), ``field`` our column (a service field: its own name).  ``before`` and
    ``after`` are JSON values, ``rule`` names the kind of step: noted when planned, then closed by a second line.
    """

    object: str
    field: str | None
    rule: str
    outcome: Outcome
    detail: str
    before: Any = None
    after: Any = None
    their_id: str | None = None

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What the line is about."""
        return self.rule, self.object, self.field


class ProvisionLedger(Protocol):
    """What provisioning needs from the ledger; each call is one transaction."""

    def running(self, connection: str, dag_run_id: str) -> int | None:
        """The run of kind provision that this DAG run has open, if any."""
        ...

    def open(self, connection: str, dag_run_id: str) -> int:
        """Open a run of kind provision, state running."""
        ...

    def record(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made] = ()) -> None:
        """Append lines to the audit trail of a run, also after it was closed, and keep what was made with them."""
        ...

    def made(self, connection: str) -> Sequence[Made]:
        """What provisioning made for a connection and has not removed."""
        ...

    def recorded(self, run_id: int) -> Sequence[TrailLine]:
        """The lines of a run, in the order in which they were appended; Misconfigured if there is no such run."""
        ...

    def close(self, run_id: int, state: RunState, counts: Mapping[str, int], message: str) -> None:
        """End a run with its state, its counts (columns of run_summary) and one message; again = replaced."""
        ...

    def removed(self, run_id: int, lines: Sequence[TrailLine], made: Sequence[Made]) -> None:
        """Append lines to the audit trail of a run, and keep these things no longer as made."""
        ...

    def await_approval(self, run_id: int, message: str) -> None:
        """A person has to decide: the run is open and waits."""
        ...

    def mark_removed(self, connection: str) -> None:
        """Let no more syncs begin, rewrite the snapshot, and read everything anew should provisioning come again."""
        ...

    def mark_provisioned(self, connection: str, *, read_again: bool) -> None:
        """Let the connection's syncs begin, and rewrite the snapshot that DAG parsing reads.

        ``read_again``: fields are new and therefore empty, so the next sync reads every record once more.
        """
        ...


def planned_line(step: Step, *, dry_run: bool = False) -> TrailLine:
    """A step that is decided; in a dry run that is also the end of it."""
    outcome: Outcome = "superseded" if dry_run else "noted"
    return _line(step, outcome, f"dry run, not taken: {step.words}" if dry_run else f"planned: {step.words}")


def done_line(done: Done) -> TrailLine:
    """A step that was taken, by us or meanwhile by somebody else."""
    if done.existed:
        return _line(
            done.step, "superseded", f"made by somebody else meanwhile, looked at again: {done.step.words}"
        )
    return _line(done.step, "acknowledged", f"done: {done.step.words}", done.their_id)


def found_done(line: TrailLine) -> TrailLine:
    """A planned step that nobody acknowledged, and that a later look finds taken: its reply was lost."""
    detail = f"found done; the reply to an earlier attempt was lost, or somebody else did it: {line.detail}"
    return TrailLine(line.object, line.field, line.rule, "acknowledged", detail, line.before, line.after)


def not_taken(line: TrailLine) -> TrailLine:
    """A planned step that its run did not come to."""
    detail = f"not taken, the run ended before: {line.detail}"
    return TrailLine(line.object, line.field, line.rule, "superseded", detail, line.before, line.before)


def drift_line(made: Made, words: str) -> TrailLine:
    """Something that is no longer as provisioning made it."""
    return TrailLine("permission_set", made.name, DRIFT, "noted", words, before=made.label)


def refused_line(refusal: Refusal) -> TrailLine:
    """A difference that a person has to settle."""
    return TrailLine(
        refusal.object or "permission_set", refusal.column or None, _REFUSED, "parked", refusal.words
    )


def open_lines(lines: Sequence[TrailLine]) -> list[TrailLine]:
    """The planned lines that no later line closes."""
    last = {line.key: line for line in lines if line.rule not in _REMARKS}
    return [line for line in last.values() if line.outcome == "noted"]


def counts_of(lines: Sequence[TrailLine]) -> dict[str, int]:
    """The run's counts from its own lines: planned = acknowledged + parked + superseded + in doubt."""
    ends = [line.outcome for line in lines if line.outcome in {"acknowledged", "parked", "superseded"}]
    counts = {name: ends.count(name) for name in ("acknowledged", "parked", "superseded")}
    return {"planned": len(ends), **counts, "in_doubt": 0, "conflicts": 0}


def step_of(line: TrailLine, wanted: Sequence[WantedField]) -> Step:
    """The step that a planned line of this module stands for."""
    kind = cast("StepKind", line.rule)
    if line.object == "permission_set":
        return Step(kind, target=line.field or "")
    field = next((f for f in wanted if (f.object, f.column) == (line.object, line.field)), None)
    type_ = next(f.type for f in wanted if f.object == line.object)
    if kind == "place_fields":
        return Step(
            kind,
            type=type_,
            target=line.field or "",
            label=unquote(line.field or ""),
            fields=tuple(line.after),
        )
    create = field.create if field and kind == "create_field" else None
    return Step(kind, type=type_, field=field.name if field else "", create=create)


def _line(step: Step, outcome: Outcome, detail: str, their_id: str | None = None) -> TrailLine:
    return TrailLine(
        object=step.object or "permission_set",
        field=step.column or step.target or None,
        rule=step.kind,
        outcome=outcome,
        detail=detail,
        after=_after(step) if outcome in {"acknowledged", "noted"} else None,
        their_id=their_id,
    )


def _after(step: Step) -> Any:
    match step.kind:
        case "create_field" if step.create:
            return step.create.model_dump(exclude_none=True, exclude_defaults=True)
        case "grant_object":
            return ["read", "create", "edit"]
        case "grant_field" | "show_field":
            return ["read", "edit"] if step.edit else ["read"]
        case "place_fields":
            return list(step.fields)
        case _:
            return True
