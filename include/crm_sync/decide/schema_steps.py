"""The steps of provisioning as values: pure, decided before done, the same for the same difference.

Anything that would need a person is a Refusal, and then no step is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from crm_sync.decide.mapping import FieldSpec
from crm_sync.decide.schema import PERMISSION_SET, SALES_SET, SECTION
from crm_sync.errors import Misconfigured
from crm_sync.model import Object

__all__ = ["STEP_ORDER", "Done", "Refusal", "SchemaPlan", "Step", "StepKind", "spell"]

StepKind = Literal[
    "create_permission_set",
    "create_sales_set",
    "grant_object",
    "assign",
    "create_field",
    "grant_field",
    "show_field",
    "assign_user",
    "place_fields",
]
STEP_ORDER: tuple[StepKind, ...] = get_args(StepKind)

_WORDS: dict[StepKind, str] = {
    "create_permission_set": f"create permission set {PERMISSION_SET}",
    "create_sales_set": f"create permission set {SALES_SET}",
    "grant_object": f"permit read, create and edit of {{type}} in {PERMISSION_SET}",
    "assign": f"assign permission set {PERMISSION_SET} to the integration user",
    "create_field": "create field {type}.{field} as {spec}",
    "grant_field": f"permit {{rights}} of {{type}}.{{field}} in {PERMISSION_SET}",
    "show_field": f"permit read of {{type}}.{{field}} in {SALES_SET}",
    "assign_user": f"assign permission set {SALES_SET} to {{label}}",
    "place_fields": f"put {{fields}} into section '{SECTION}' of layout {{label}}",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to create; ``row_id`` names a permission row that exists and allows too little.

    ``target`` is the user of an assignment or the layout that lacks ``fields``; ``label`` is how people call it.
    """

    kind: StepKind
    object: Object | None = None
    type: str = ""
    field: str = ""
    column: str = ""
    create: FieldSpec | None = None
    edit: bool = True
    row_id: str | None = None
    target: str = ""
    label: str = ""
    fields: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The name of the step, the same in every plan."""
        return " ".join(
            part
            for part in (self.kind, self.type and f"{self.type}.{self.field}".rstrip("."), self.target)
            if part
        )

    @property
    def words(self) -> str:
        """The step for a person."""
        return _WORDS[self.kind].format(
            type=self.type,
            field=self.field,
            rights="read and edit" if self.edit else "read",
            spec=spell(self.create),
            label=self.label,
            fields=", ".join(self.fields),
        )

    def as_json(self) -> dict[str, Any]:
        """The step as JSON can hold it."""
        return {
            "kind": self.kind,
            "type": self.type,
            "field": self.field,
            "column": self.column,
            "create": self.create.model_dump(exclude_none=True) if self.create else None,
            "edit": self.edit,
            "row_id": self.row_id,
            "target": self.target,
            "fields": list(self.fields),
        }


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken, or (``existed``) that somebody else had taken meanwhile."""

    step: Step
    their_id: str | None = None
    existed: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A difference that only a person can settle."""

    object: Object | None
    column: str
    where: str
    found: str
    wanted: str
    remedy: str

    @property
    def words(self) -> str:
        """What was found, what is wanted, what to do."""
        return f"{self.where}: found {self.found}, wanted {self.wanted}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class SchemaPlan:
    """The steps in the order in which they are taken; none may be taken while there is a refusal.

    ``notes``: what a person may want to know and nothing depends on.
    """

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind of step, and of refusals."""
        found = Counter(step.kind for step in self.steps)
        return {**{kind: found[kind] for kind in STEP_ORDER}, "refused": len(self.refusals)}

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON can hold it."""
        return {
            "steps": [step.as_json() for step in self.steps],
            "refusals": [refusal.words for refusal in self.refusals],
        }

    @property
    def digest(self) -> str:
        """The same for the same plan, whenever and wherever it was made."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def lines(self) -> Iterator[str]:
        """The plan for a person, a line each."""
        yield from (f"refused: {refusal.words}" for refusal in self.refusals)
        yield from (step.words for step in self.steps)
        yield from self.notes

    def raise_if_refused(self, drift: Sequence[str] = ()) -> None:
        """Misconfigured with every refusal at once, and with what drifted."""
        if self.refusals:
            said = "\n".join([*(f"- {refusal.words}" for refusal in self.refusals), *drift])
            raise Misconfigured(f"Provisioning is refused, nothing was changed:\n{said}")


def spell(spec: FieldSpec | None) -> str:
    """A wanted field's type for a person, as Setup spells it."""
    if spec is None:
        return "a field that both sides can hold"
    if spec.type == "Number":
        return f"Number({spec.precision}, {spec.scale})"
    if spec.type != "Text":
        return spec.type
    extras = [", external id"] * spec.external_id + [", unique"] * spec.unique
    return f"Text({spec.length}{''.join(extras)})"
