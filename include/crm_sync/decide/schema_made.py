"""What provisioning made in the CRM, kept per connection: the measure for drift, and the limit of a removal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from crm_sync.decide.schema import PERMISSION_SET, SALES_SET, FoundSchema
from crm_sync.decide.schema_steps import SchemaPlan, Step, StepKind, spell

__all__ = ["Made", "drift_of", "made_by"]

_SETS = {"create_permission_set": PERMISSION_SET, "create_sales_set": SALES_SET}
_GONE: dict[StepKind, str] = {
    "create_permission_set": "permission set {name} was deleted",
    "create_sales_set": "permission set {name} was deleted",
    "grant_object": f"the permission on {{name}} was taken out of {PERMISSION_SET}",
    "assign": f"{PERMISSION_SET} was taken from the integration user",
    "create_field": "field {name} was deleted",
    "grant_field": f"the permission on {{name}} was taken out of {PERMISSION_SET}",
    "show_field": f"the permission on {{name}} was taken out of {SALES_SET}",
    "assign_user": f"{SALES_SET} was taken from {{label}}",
    "place_fields": "{fields} was taken off layout {label}",
}
# What goes with its permission set needs no line of its own.
_WITHIN: dict[StepKind, StepKind] = {
    "grant_object": "create_permission_set",
    "grant_field": "create_permission_set",
    "assign": "create_permission_set",
    "show_field": "create_sales_set",
    "assign_user": "create_sales_set",
}

_SHORT_ID = 15  # the part of an id that both its spellings share
_NOW_AND_HERE = datetime.max.replace(tzinfo=UTC)  # until the ledger says when


@dataclass(frozen=True, slots=True)
class Made:
    """One thing that provisioning made, by the step that made it.

    ``name`` is how the CRM calls it, ``label`` how people do; ``details``: of a layout the fields that were put on it,
    of a field its type.  Not ``certain``: the reply was lost, and somebody else may have made it in that moment; then
    its id is not known either.
    """

    kind: StepKind
    name: str
    label: str
    details: tuple[str, ...] = ()
    certain: bool = True
    their_id: str | None = None
    at: datetime = _NOW_AND_HERE

    @property
    def key(self) -> tuple[StepKind, str]:
        """What it is, the same however often it was made."""
        return self.kind, self.name

    def is_still(self, id_: str) -> bool:
        """Whether what has this id now is what we made, and not another of the same name."""
        return self.their_id is None or self.their_id[:_SHORT_ID] == id_[:_SHORT_ID]


def made_by(step: Step, their_id: str | None = None, *, certain: bool = True) -> Made:
    """What a step makes."""
    place = f"{step.type}.{step.field}".rstrip(".")
    name = _SETS.get(step.kind) or step.target or place
    details = step.fields if step.kind == "place_fields" else ((spell(step.create),) if step.create else ())
    return Made(step.kind, name, step.label or name, details, certain, their_id)


def drift_of(plan: SchemaPlan, found: FoundSchema, made: Sequence[Made]) -> tuple[tuple[Made, str], ...]:
    """What is no longer as provisioning made it, in words that say since when."""
    known = {each.key: each for each in made}
    drifted = [*_gone(plan, known), *_changed(plan, known)]
    kinds = {each.kind for each, _ in drifted}
    told = [(each, words) for each, words in drifted if _WITHIN.get(each.kind) not in kinds]
    return tuple(
        (each, f"Drifted since {each.at:%Y-%m-%d %H:%M} UTC: {words}.")
        for each, words in (*told, *_unwanted(found, made))
    )


def _gone(plan: SchemaPlan, known: dict[tuple[StepKind, str], Made]) -> Iterator[tuple[Made, str]]:
    # A field that was deleted took its permissions and its places with it.
    deleted = {f"{step.type}.{step.field}" for step in plan.steps if step.kind == "create_field"}
    for step in plan.steps:
        before = known.get(made_by(step).key)
        if before is None or (step.kind in {"grant_field", "show_field"} and before.name in deleted):
            continue
        fields = [n for n in step.fields if n in before.details and f"{step.type}.{n}" not in deleted]
        if fields or not step.fields:
            words = _GONE[step.kind].format(name=before.name, label=before.label, fields=", ".join(fields))
            yield before, words


def _changed(plan: SchemaPlan, known: dict[tuple[StepKind, str], Made]) -> Iterator[tuple[Made, str]]:
    for refusal in plan.refusals:
        if before := known.get(("create_field", refusal.where)):
            as_made = ", ".join(before.details)
            yield before, f"field {refusal.where} is {refusal.found} now, it was made as {as_made}"


def _unwanted(found: FoundSchema, made: Sequence[Made]) -> Iterator[tuple[Made, str]]:
    chosen = {person.id for person in found.sales.chosen}
    for each in made:
        assignment = found.sales.assigned.get(each.name) if each.kind == "assign_user" else None
        if assignment and each.is_still(assignment) and each.name not in chosen:
            words = f"{each.label} still has {SALES_SET} but is no longer chosen in the settings"
            yield each, f"{words}; take it away in Setup, or choose the user again"
