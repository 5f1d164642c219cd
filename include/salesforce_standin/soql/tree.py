"""The shape of a query once it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Path:
    """A field, perhaps of a parent: ``Account.Owner.Name``, or a function of it: ``CALENDAR_YEAR(CreatedDate)``.

    ``inner`` is what stands inside of the function: convertCurrency, toLabel or convertTimezone.
    """

    names: tuple[str, ...]
    at: int
    function: str = ""
    inner: str = ""

    def __str__(self) -> str:
        """Write it as it stood."""
        field = ".".join(self.names)
        field = f"{self.inner}({field})" if self.inner else field
        return f"{self.function}({field})" if self.function else field


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT(), MIN(x) and their like; also GROUPING(x)."""

    function: str
    path: Path | None
    alias: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Column:
    """A selected field."""

    path: Path
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class TypeOf:
    """TYPEOF Owner WHEN User THEN Email ELSE Name END: fields that depend on what a reference refers to."""

    relationship: Path
    when: tuple[tuple[str, tuple[Path, ...]], ...]
    otherwise: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """FIELDS(ALL), FIELDS(CUSTOM) or FIELDS(STANDARD)."""

    which: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: kind is string, number, boolean, null, date, datetime or range (a date literal such as TODAY)."""

    kind: str
    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a constant."""

    left: Path | Aggregate
    operator: str
    right: Literal


@dataclass(frozen=True, slots=True)
class Membership:
    """A field against a list or the result of a query; also INCLUDES and EXCLUDES."""

    path: Path
    operator: str
    values: tuple[Literal, ...] | Query


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by ``and``, ``or``, or one under ``not``."""

    operator: str
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    key: Path | Aggregate
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query; ``totals`` is ``rollup`` or ``cube`` where groups have subtotals, ``among`` what USING SCOPE names."""

    select: tuple[Selected, ...]
    entity: str
    entity_at: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Path, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    at: int = 0
    totals: str = ""
    among: str = ""
    source: Any = field(default=None, compare=False)


Condition = Comparison | Membership | Group
Selected = Column | Aggregate | FieldsOf | TypeOf | Query


def conjuncts(where: Condition | None) -> list[Comparison | Membership]:
    """Return the conditions that every matching row meets."""
    if isinstance(where, Group):
        parts = where.parts if where.operator == "and" else ()
        return [found for part in parts for found in conjuncts(part)]
    return [] if where is None else [where]
