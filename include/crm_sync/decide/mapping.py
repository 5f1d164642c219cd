"""Which field of ours is which field of theirs, as frozen values; ``crm_sync.mapping_files`` reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from operator import itemgetter
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from crm_sync.model import ConflictPolicy, Object

__all__ = [
    "FieldDirection",
    "FieldMapping",
    "FieldSpec",
    "FieldType",
    "Name",
    "ObjectMapping",
    "ServiceField",
    "Strict",
]

FieldType = Literal["text", "number", "boolean", "datetime", "reference", "choices"]
"""``choices``: any number of a picklist's values in one text, parted by semicolons; their order says nothing."""
FieldDirection = Literal["both", "out", "in"]
FieldRule = Literal["opt_out_wins"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=63)]

_INTERVAL = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _interval(text: object) -> object:
    if isinstance(text, timedelta):
        return text
    found = _INTERVAL.fullmatch(str(text))
    if found is None:
        raise ValueError("is not a time like 30s, 15m, 1h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _interval_text(interval: timedelta) -> str:
    """As ``_interval`` reads it, in the greatest unit that leaves nothing over."""
    seconds = int(interval.total_seconds())
    size, unit = next((size, unit) for size, unit in _SIZES if seconds % size == 0)
    return f"{seconds // size}{unit}"


Interval = Annotated[timedelta, BeforeValidator(_interval), PlainSerializer(_interval_text)]


class Strict(BaseModel):
    """What a person writes into a mapping: a word that nobody knows is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(Strict):
    """How provisioning creates a field in the CRM (facts/salesforce.md 7.1)."""

    type: Literal["Number", "Checkbox", "DateTime", "Text"]
    label: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    external_id: bool = False
    unique: bool = False

    @model_validator(mode="after")
    def _complete(self) -> FieldSpec:
        if self.type == "Number" and (self.precision is None or self.scale is None):
            raise ValueError("a Number needs precision and scale")
        if self.type == "Text" and self.length is None:
            raise ValueError("a Text needs length")
        return self


class FieldMapping(Strict):
    """One field.  ``direction`` out: GPTWeb owns it and an edit in the CRM is restored; in: the CRM owns it.

    ``rule`` opt_out_wins: in a conflict, and at a first link, true wins whatever the policy.  ``min_interval``: a
    measure of ours that changes often is sent to one record at most so often, unless something else is sent to it.
    """

    ours: Name
    theirs: Name
    type: FieldType = "text"
    scale: int = 0
    direction: FieldDirection = "both"
    references: Object | None = None
    policy: ConflictPolicy | None = None
    rule: FieldRule | None = None
    min_interval: Interval | None = None
    create: FieldSpec | None = None

    @model_validator(mode="after")
    def _reference_names_its_object(self) -> FieldMapping:
        if (self.type == "reference") != (self.references is not None):
            raise ValueError(
                "a field of type reference, and only such a field, says which object it references"
            )
        return self

    @model_validator(mode="after")
    def _consent_is_yes_or_no(self) -> FieldMapping:
        if self.opts_out and (self.type != "boolean" or self.direction != "both" or self.policy):
            raise ValueError(
                "opt_out_wins is the rule of a boolean that travels both ways, without a policy of its own"
            )
        return self

    @model_validator(mode="after")
    def _only_ours_is_paced(self) -> FieldMapping:
        if self.min_interval and self.direction != "out":
            raise ValueError("min_interval is for a field of direction out: an edit of a person never waits")
        return self

    @property
    def opts_out(self) -> bool:
        """Whether true takes back a person's consent, so that no policy may overrule it."""
        return self.rule == "opt_out_wins"


class ServiceField(Strict):
    """A field of ours on their records that carries no data of people: our key, the marker of the last write."""

    theirs: Name
    create: FieldSpec


@dataclass(frozen=True)
class ObjectMapping:
    """One object: our table, their type, the service fields and the mapped fields in the file's order.

    ``match``: the columns by which a first match is made, in order of preference.
    """

    object: Object
    theirs: str
    match: tuple[str, ...]
    key: ServiceField
    marker: ServiceField
    policy: ConflictPolicy | None
    fields: tuple[FieldMapping, ...]

    @property
    def table(self) -> str:
        """Our table in schema ``gptweb``."""
        return f"{self.object}s"

    @cached_property
    def by_ours(self) -> dict[str, FieldMapping]:
        """The fields by our column name."""
        return {f.ours: f for f in self.fields}

    @cached_property
    def by_theirs(self) -> dict[str, FieldMapping]:
        """The fields by the CRM's name, in lower case, because Salesforce names know no case."""
        return {f.theirs.lower(): f for f in self.fields}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Our column names, in the file's order."""
        return tuple(f.ours for f in self.fields)

    @cached_property
    def row(self) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        """Takes a record's values in the order of the columns; KeyError where one is absent."""
        # At least two names: itemgetter of a single one gives no tuple.
        return (
            itemgetter(*self.columns) if len(self.columns) > 1 else lambda values: (values[self.columns[0]],)
        )

    @cached_property
    def converted(self) -> tuple[tuple[int, FieldMapping], ...]:
        """The fields whose values our database holds in another form than the canonical one, with their places."""
        return tuple((i, f) for i, f in enumerate(self.fields) if f.type != "text")

    @cached_property
    def paced(self) -> frozenset[str]:
        """Our columns that are sent at most so often."""
        return frozenset(f.ours for f in self.fields if f.min_interval)

    @cached_property
    def reference(self) -> FieldMapping | None:
        """The field that points to another object of ours, if there is one."""
        return next((f for f in self.fields if f.references), None)
