"""What a stage of provisioning found and did, as a table for people and counts for machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from crm_sync.decide.schema import PERMISSION_SET, SALES_SET, WantedField
from crm_sync.decide.schema_steps import SchemaPlan, Step, StepKind, spell

__all__ = ["ProvisionReport", "Stage"]

Stage = Literal["plan", "apply", "verify"]

_VERBS: dict[StepKind, str] = {
    "create_permission_set": "create",
    "create_sales_set": "create",
    "grant_object": "permit",
    "assign": "assign",
    "create_field": "create",
    "grant_field": "permit",
    "show_field": "show",
    "assign_user": "assign",
    "place_fields": "place",
}
_DONE = {
    "create": "created",
    "permit": "permitted",
    "show": "shown",
    "assign": "assigned",
    "place": "placed",
}


@dataclass(frozen=True, slots=True)
class ProvisionReport:
    """One stage: ``steps`` are planned (plan) or were taken (apply).

    ``drift`` (what changed since provisioning made it) and ``notes`` come behind them, ``note`` is the last line.
    """

    connection: str
    stage: Stage
    wanted: tuple[WantedField, ...] = ()
    steps: tuple[Step, ...] = ()
    api_calls: int = 0
    note: str = ""
    notes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    @property
    def pending(self) -> bool:
        """Whether the plan leaves anything to do."""
        return self.stage == "plan" and bool(self.steps)

    @property
    def counts(self) -> dict[str, int]:
        """The steps by kind, what was looked at, and the API calls of this stage."""
        kinds = {
            **SchemaPlan(self.steps).counts,
            "fields_wanted": len(self.wanted),
            "drifted": len(self.drift),
            "api_calls": self.api_calls,
        }
        del kinds["refused"]
        return kinds

    def lines(self) -> list[str]:
        """The report for the task log."""
        head = f"Provisioning of {self.connection}: {self.stage}"
        tail = f"{self.note or self._summary()}  API calls of this stage: {self.api_calls}."
        return [head, *(_aligned(self._rows()) if self.wanted else ()), *self.drift, *self.notes, tail]

    def _summary(self) -> str:
        if not self.steps:
            return (
                "Everything is there, nothing to do."
                if self.stage != "verify"
                else "Every field can be used."
            )
        done = "taken" if self.stage == "apply" else "planned"
        return f"{len(self.steps)} steps {done}."

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        yield "WHAT", "TYPE", "STATE"
        states: dict[str, str] = {}
        for step in self.steps:
            verb = _VERBS[step.kind]
            word = _DONE[verb] if self.stage == "apply" else f"to {verb}"
            name = _name(step)
            states[name] = f"{states[name]}, {word}" if name in states else word
        verified = self.stage == "verify"
        if not verified:
            for permission_set in (PERMISSION_SET, SALES_SET):
                name = f"permission set {permission_set}"
                yield name, "", states.pop(name, "exists")
        for field in self.wanted:
            if field.create:
                name = f"{field.type}.{field.name}"
                yield name, spell(field.create), states.pop(name, "usable" if verified else "exists")
        yield from ((name, "", state) for name, state in states.items())
        others = sum(1 for field in self.wanted if field.create is None)
        yield f"{others} standard and other mapped fields", "", "usable" if verified else "looked at"


def _name(step: Step) -> str:
    match step.kind:
        case "create_permission_set" | "assign":
            return f"permission set {PERMISSION_SET}"
        case "create_sales_set":
            return f"permission set {SALES_SET}"
        case "grant_object":
            return f"{step.type}: read, create, edit"
        case "assign_user":
            return f"{SALES_SET} for {step.label}"
        case "place_fields":
            return f"layout {step.label}"
        case _:
            return f"{step.type}.{step.field}"


def _aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
