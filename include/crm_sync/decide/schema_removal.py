"""Taking provisioning back: what of the things that it made is still there, as a plan that a person approves. Pure.

Only what is kept as made is ever in the plan.  A permission set that somebody else gave to people stays, and so does
a field that was there before us.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crm_sync.decide.schema import PERMISSION_SET, SALES_SET, SECTION
from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_steps import StepKind

__all__ = ["FoundOurs", "RemovalPlan", "Removing", "plan_removal", "with_it"]

_SET_OF: dict[StepKind, str] = {
    "create_permission_set": PERMISSION_SET,
    "grant_object": PERMISSION_SET,
    "grant_field": PERMISSION_SET,
    "assign": PERMISSION_SET,
    "create_sales_set": SALES_SET,
    "show_field": SALES_SET,
    "assign_user": SALES_SET,
}
_WHAT: dict[StepKind, str] = {
    "create_field": "field",
    "create_permission_set": "permission set",
    "create_sales_set": "permission set",
    "assign": f"the assignment of {PERMISSION_SET} to",
    "assign_user": f"the assignment of {SALES_SET} to",
}
_SETS: tuple[StepKind, ...] = ("create_sales_set", "create_permission_set")
_ASSIGNMENTS: tuple[StepKind, ...] = ("assign_user", "assign")
# The integration user's own permissions go last: it does all of this.
_ORDER: tuple[StepKind, ...] = (
    "place_fields",
    "assign_user",
    "create_sales_set",
    "create_field",
    "assign",
    "create_permission_set",
)


@dataclass(frozen=True, slots=True)
class FoundOurs:
    """What the org still has of what was made.

    ``fields``: id by name, ``values``: how many records hold a value in each, None where that can't be counted;
    ``sets``: id by name; ``assignments``: of each set, the assignment's id by user; ``layouts``: the fields in our
    section of each.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, int | None] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    assignments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layouts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Removing:
    """One thing to remove; ``fields``: those that are taken off a layout; ``warning``: what goes with it."""

    made: Made
    their_id: str = ""
    fields: tuple[str, ...] = ()
    warning: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The step for a person, with what is lost."""
        name, label = self.made.name, self.made.label
        match self.made.kind:
            case "place_fields":
                said = f"take {', '.join(self.fields)} out of section '{SECTION}' of layout {label}"
            case "create_field":
                said = f"delete field {name}"
            case "create_permission_set" | "create_sales_set":
                said = f"delete permission set {name}"
            case _:
                who = "the integration user" if self.made.kind == "assign" else label
                said = f"take permission set {_SET_OF[self.made.kind]} from {who}"
        doubt = (
            "" if self.made.certain else "; the reply to its creation was lost, so it may be somebody else's"
        )
        return f"{said}{self.warning and '; ' + self.warning}{doubt}"


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """What is removed, in this order; ``kept``: what stays although it was made, and why."""

    steps: tuple[Removing, ...] = ()
    kept: tuple[tuple[Made, str], ...] = ()

    @property
    def digest(self) -> str:
        """The same for the same list of things, whatever they hold by now."""
        listed = [(*each.made.key, each.fields) for each in self.steps]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:12]

    def lines(self) -> Iterator[str]:
        """The plan for a person, a line each."""
        yield from (each.words for each in self.steps)
        yield from (f"stays: {words}" for _, words in self.kept)


def plan_removal(made: Sequence[Made], found: FoundOurs) -> RemovalPlan:
    """What there is to remove of what was made; the same for the same two, in any order."""
    strangers = _strangers(made, found)
    steps, kept = [], []
    for each in sorted(made, key=lambda each: (each.kind, each.name)):
        id_ = _id(each, found)
        if id_ and not each.is_still(id_):
            kept.append((each, f"{_WHAT[each.kind]} {each.label}, which somebody else made anew"))
        elif each.kind in _SETS and id_ and (others := strangers[each.name]):
            words = (
                f"permission set {each.name}, which others gave to {others} users: take it from them in Setup"
            )
            kept.append((each, f"{words}, then remove again"))
        elif each.kind == "place_fields":
            placed = {name.lower() for name in found.layouts.get(each.name, ())}
            if fields := tuple(name for name in each.details if name.lower() in placed):
                steps.append(Removing(each, fields=fields))
        elif id_:
            warning = _held(found.values.get(each.name)) if each.kind == "create_field" else ""
            steps.append(Removing(each, id_, warning=warning))
    steps.sort(key=lambda step: (_ORDER.index(step.made.kind), step.made.name))
    return RemovalPlan(tuple(steps), tuple(kept))


def with_it(one: Made, made: Sequence[Made]) -> list[Made]:
    """A thing and what goes with it: a set's rows with the set, a field's permissions with the field."""
    if one.kind in _SETS:
        return [each for each in made if each == one or _is_row_of(each, one.name)]
    if one.kind == "create_field":
        return [each for each in made if each.name == one.name]
    return [one]


def _is_row_of(made: Made, permission_set: str) -> bool:
    return made.kind not in (*_SETS, *_ASSIGNMENTS) and _SET_OF.get(made.kind) == permission_set


def _strangers(made: Sequence[Made], found: FoundOurs) -> dict[str, int]:
    """How many users have each set without our doing."""
    ours = {(_SET_OF[each.kind], each.name): each for each in made if each.kind in _ASSIGNMENTS}
    return {
        name: sum(
            not ((one := ours.get((name, user))) and one.is_still(id_))
            for user, id_ in found.assignments.get(name, {}).items()
        )
        for name in (PERMISSION_SET, SALES_SET)
    }


def _id(made: Made, found: FoundOurs) -> str | None:
    """What carries the name now; rows of a set go with it and are not looked for."""
    match made.kind:
        case "create_field":
            return found.fields.get(made.name)
        case "assign" | "assign_user":
            return found.assignments.get(_SET_OF[made.kind], {}).get(made.name)
        case "create_permission_set" | "create_sales_set":
            return found.sets.get(made.name)
        case _:
            return None


def _held(count: int | None) -> str:
    if count is None:
        return "WARNING: whether records hold values in it could not be counted"
    return f"WARNING: {count:,} records hold a value in it, which is lost" if count else ""
