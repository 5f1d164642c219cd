"""Which fields and permissions the CRM must have, and the steps from what it has to that: pure, decided before done.

These are the values; ``decide.schema_diff`` makes the plan: wanted (from the mapping files) vs found (describe as the
integration user, plus the rows of the set-up objects) ─► SchemaPlan.  Anything that would need a person is a Refusal,
and then no step is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from crm_sync.decide.mapping import FieldSpec, FieldType
from crm_sync.errors import Misconfigured
from crm_sync.model import Object

__all__ = [
    "PERMISSION_SET",
    "STEP_ORDER",
    "Done",
    "FoundField",
    "FoundSchema",
    "Grant",
    "Refusal",
    "SchemaPlan",
    "Step",
    "WantedField",
    "spell",
]

PERMISSION_SET = "GPTWeb_CRM_Sync"

StepKind = Literal["create_permission_set", "grant_object", "assign", "create_field", "grant_field"]
STEP_ORDER: tuple[StepKind, ...] = (
    "create_permission_set",
    "grant_object",
    "assign",
    "create_field",
    "grant_field",
)


@dataclass(frozen=True, slots=True)
class WantedField:
    """A field that the sync uses: ``column`` is ours (the service fields carry their own name)."""

    object: Object
    type: str
    name: str
    column: str
    carries: FieldType
    writable: bool
    create: FieldSpec | None


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field as the org has it, in the words of describe; ``visible`` is whether the integration user sees it."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    external_id: bool = False
    unique: bool = False
    calculated: bool = False
    createable: bool = False
    updateable: bool = False
    permissionable: bool = True
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission row of our set and what it allows: read, create, edit."""

    id: str
    rights: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundSchema:
    """What the org has; names as keys are in lower case, because Salesforce names know no case.

    ``fields``: (type, field) of everything that describe shows or Tooling knows; ``types``: what describe showed.
    ``grants``: the rows of our permission set, field rows under ``type.field``, object rows under ``type``.
    """

    user_id: str
    types: frozenset[str]
    fields: Mapping[tuple[str, str], FoundField]
    permission_set: str | None = None
    grants: Mapping[str, Grant] = field(default_factory=dict)
    assigned: bool = False
    may_create_fields: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to create; ``row_id`` names a permission row that exists and allows too little."""

    kind: StepKind
    object: Object | None = None
    type: str = ""
    field: str = ""
    column: str = ""
    create: FieldSpec | None = None
    edit: bool = True
    row_id: str | None = None

    @property
    def key(self) -> str:
        """The name of the step, the same in every plan."""
        return " ".join(
            part for part in (self.kind, self.type and f"{self.type}.{self.field}".rstrip(".")) if part
        )

    @property
    def words(self) -> str:
        """The step for a person."""
        rights = "read and edit" if self.edit else "read"
        match self.kind:
            case "create_permission_set":
                return f"create permission set {PERMISSION_SET}"
            case "assign":
                return f"assign permission set {PERMISSION_SET} to the integration user"
            case "grant_object":
                return f"permit read, create and edit of {self.type} in {PERMISSION_SET}"
            case "grant_field":
                return f"permit {rights} of {self.type}.{self.field} in {PERMISSION_SET}"
            case _:
                return f"create field {self.type}.{self.field} as {spell(self.create)}"

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
    """The steps in the order in which they are taken; none may be taken while there is a refusal."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()

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

    def raise_if_refused(self) -> None:
        """Misconfigured with every refusal at once."""
        if self.refusals:
            said = "\n".join(f"- {refusal.words}" for refusal in self.refusals)
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
