"""Scope: which records of one side are worth making on the other; linked ones sync whatever they say.

Pure.  A small closed list of conditions, all of which must hold, evaluated on canonical values: nothing of it ever
becomes SQL or SOQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.values import canonical
from crm_sync.model import Object, Row, Side, Value

__all__ = [
    "Condition",
    "ObjectScope",
    "Op",
    "Scope",
    "admits",
    "choosable",
    "mapped_field",
    "operators",
    "problem",
    "problems",
]

Op = Literal["=", "!=", ">", ">=", "<", "<=", "in", "is blank", "is not blank"]
Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
"""JSON, in which a scope is kept, knows no other number."""
Scalar = StrictBool | StrictInt | Finite | Annotated[StrictStr, Field(min_length=1, max_length=255)]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_BLANK = ("is blank", "is not blank")
_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,), "number": (int, float), "boolean": (bool,), "datetime": (str,), "reference": (), "choices": (str,),
}  # fmt: skip
_EXAMPLES = {
    "text": "a text", "number": "a number", "boolean": "true or false",
    "datetime": "a time like 2026-01-31T00:00:00Z", "choices": "choices like A;B",
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Strict):
    """One condition on one mapped field, by its name on the side whose records are chosen."""

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...] | None = None

    @model_validator(mode="after")
    def _value_suits_the_operator(self) -> Condition:
        if self.op in _BLANK and self.value is not None:
            raise ValueError(f"{self.op!r} takes no value")
        if self.op == "in" and not (isinstance(self.value, tuple) and self.value):
            raise ValueError("'in' takes a list of values")
        if self.op not in (*_BLANK, "in") and (self.value is None or isinstance(self.value, tuple)):
            raise ValueError(f"{self.op!r} takes one value")
        return self

    @property
    def values(self) -> tuple[Scalar, ...]:
        """The values to compare with."""
        if self.value is None:
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)


class ObjectScope(_Strict):
    """``ours``: which of our records are made in the CRM; ``theirs``: which of theirs are made here."""

    ours: tuple[Condition, ...] = Field(default=(), max_length=20)
    theirs: tuple[Condition, ...] = Field(default=(), max_length=20)


Scope = Mapping[Object, ObjectScope]


def problems(scope: Scope, mappings: Mapping[Object, ObjectMapping]) -> list[str]:
    """Everything in which the scope does not suit the mapping, in words."""
    found = []
    for object, chosen in scope.items():
        sides: tuple[tuple[Side, tuple[Condition, ...]], ...] = (
            ("ours", chosen.ours), ("theirs", chosen.theirs),
        )  # fmt: skip
        for side, conditions in sides:
            for place, condition in enumerate(conditions):
                words = problem(mappings[object], side, condition)
                if words:
                    found.append(f"scope.{object}.{side}.{place}: {words}")
    return found


def admits(mapping: ObjectMapping, side: Side, conditions: Sequence[Condition], record: Row) -> bool:
    """Whether a record of ``side`` meets all conditions; ``record`` has our column names, and absent counts as blank."""
    return all(_holds(mapped_field(mapping, side, c.field), c, record) for c in conditions)


def choosable(mapping: ObjectMapping, side: Side) -> list[FieldMapping]:
    """The fields that a condition may ask for; theirs that only mirror a measure of ours are asked on our side."""
    return [field for field in mapping.fields if side == "ours" or field.direction != "out"]


def operators(field: FieldMapping) -> tuple[Op, ...]:
    """What may be asked of a field."""
    if field.type == "reference":
        return "is blank", "is not blank"
    if field.type == "boolean":
        return ("=",)
    ordered: tuple[Op, ...] = (">", ">=", "<", "<=") if field.type in ("number", "datetime") else ()
    return "=", "!=", *ordered, "in", "is blank", "is not blank"


def problem(mapping: ObjectMapping, side: Side, condition: Condition) -> str | None:
    """Why a condition says nothing about records of this side, in words."""
    try:
        mapped = mapped_field(mapping, side, condition.field)
    except KeyError:
        names = sorted(getattr(field, side) for field in choosable(mapping, side))
        return f"{condition.field} is not a mapped field; choose from {', '.join(names)}"
    if condition.op in _ORDER and mapped.type not in ("number", "datetime"):
        return f"{condition.field} is no number and no time, so {condition.op!r} says nothing about it"
    if mapped.type == "reference":
        known = "is blank or is not blank"
        return None if condition.op in _BLANK else f"{condition.field} is a reference; ask whether it {known}"
    wrong = [value for value in condition.values if not _suits(mapped, value)]
    return (
        f"{condition.field} is compared with {_EXAMPLES[mapped.type]}, not with {wrong[0]!r}"
        if wrong
        else None
    )


def _suits(mapped: FieldMapping, value: Scalar) -> bool:
    if isinstance(value, bool) != (mapped.type == "boolean") or not isinstance(value, _TYPES[mapped.type]):
        return False
    try:
        return canonical(mapped, value) is not None
    except (ValueError, ArithmeticError):
        return False


def mapped_field(mapping: ObjectMapping, side: Side, name: str) -> FieldMapping:
    """What a condition's field is mapped to; KeyError where it is not mapped, or where theirs only mirrors a measure of ours."""
    mapped = mapping.by_ours[name] if side == "ours" else mapping.by_theirs[name.lower()]
    if side == "theirs" and mapped.direction == "out":
        raise KeyError(name)
    return mapped


def _holds(mapped: FieldMapping, condition: Condition, record: Row) -> bool:
    held = record.get(mapped.ours)
    if condition.op in _BLANK:
        return (held is None) == (condition.op == "is blank")
    if condition.op == "!=":
        return not any(_equal(held, canonical(mapped, value)) for value in condition.values)
    if held is None:
        return False
    if condition.op in _ORDER:
        return _ORDER[condition.op](held, canonical(mapped, condition.values[0]))
    return any(_equal(held, canonical(mapped, value)) for value in condition.values)


def _equal(held: Value, value: Value) -> bool:
    """Texts are compared as the CRM compares them: without case and outer blanks."""
    if isinstance(held, str) and isinstance(value, str):
        return held.strip().casefold() == value.strip().casefold()
    return held == value
