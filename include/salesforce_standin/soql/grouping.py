"""Aggregates: COUNT, MIN, MAX, SUM and AVG over all rows or groups of them, with subtotals, HAVING and ORDER BY."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from salesforce_standin.soql import functions
from salesforce_standin.soql.binding import Scope
from salesforce_standin.soql.conditions import folding
from salesforce_standin.soql.projection import not_grouped
from salesforce_standin.soql.tree import Aggregate, Column, Comparison, Condition, Group, Path, Query
from salesforce_standin.tables import Row

Record = dict[str, Any]
Rows = list[Row]


@dataclass(frozen=True, slots=True)
class Members:
    """The rows of a group; a subtotal goes over every value of the keys that it names."""

    rows: Rows
    over: frozenset[str] = frozenset()


_FOLD: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "count_distinct": lambda values: len(set(values)),
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "sum": lambda values: sum(values) if values else None,
    "avg": lambda values: sum(values) / len(values) if values else None,
}


def is_grouped(query: Query) -> bool:
    """Whether a query yields aggregates (a bare COUNT() is a case of its own)."""
    return bool(query.group_by) or any(
        isinstance(item, Aggregate)
        or (isinstance(item, Column) and functions.needs_group(item.path.function))
        for item in query.select
    )


def aggregate(scope: Scope, query: Query, rows: Rows) -> list[Record]:
    """Return one record per group."""
    return _Grouping(scope, query).run(rows)


class _Grouping:
    def __init__(self, scope: Scope, query: Query) -> None:
        self.scope = scope
        self.query = query
        self.keys = [self._key(path) for path in query.group_by]
        self.columns = self._columns()

    def _levels(self) -> Iterator[tuple[bool, ...]]:
        """Yield for each level of subtotals which keys it goes over, the groups themselves first."""
        count = len(self.keys)
        if self.query.totals == "cube":
            yield from product((False, True), repeat=count)
        else:
            for left in range(count, -1 if self.query.totals else count - 1, -1):
                yield tuple(place >= left for place in range(count))

    def _key(self, path: Path) -> tuple[str, Callable[[Row], Any], Callable[[Any], Any]]:
        bound = self.scope.bind(path)
        if not bound.field.attributes["groupable"]:
            message = f"field '{path.names[-1]}' can not be grouped in a query call"
            raise self.scope.source.error(path.at, "INVALID_FIELD", message)
        return str(path).lower(), bound.get, folding(bound.field)

    def _columns(self) -> list[tuple[str, Callable[[Members], Any]]]:
        columns: list[tuple[str, Callable[[Members], Any]]] = []
        grouped = {name for name, _, _ in self.keys}
        nameless = 0
        for item in self.query.select:
            if isinstance(item, Aggregate):
                alias = item.alias or f"expr{nameless}"
                nameless += item.alias is None
                columns.append((alias, self._fold(item)))
            elif isinstance(item, Column):
                if str(item.path).lower() not in grouped:
                    raise not_grouped(self.scope, item.path)
                bound = self.scope.bind(item.path)
                name = item.alias or bound.field.name
                if functions.needs_group(item.path.function) and not item.alias:
                    name, nameless = f"expr{nameless}", nameless + 1
                columns.append((name, self._of_key(item.path)))
            else:
                raise self.scope.source.malformed(
                    self.query.at, "Grouped query cannot use subqueries or FIELDS()"
                )
        return columns

    def _of_key(self, path: Path) -> Callable[[Members], Any]:
        """Return the value that the members of a group share; a subtotal over it has none."""
        get, key = self.scope.bind(path).get, str(path).lower()
        return lambda members: None if key in members.over else get(members.rows[0])

    def _grouping(self, item: Aggregate) -> Callable[[Members], int]:
        key = str(item.path).lower()
        if not self.query.totals or key not in {name for name, _, _ in self.keys}:
            message = f"GROUPING needs a field of GROUP BY ROLLUP or CUBE: {item.path}"
            raise self.scope.source.malformed(item.at, message)
        return lambda members: int(key in members.over)

    def _fold(self, item: Aggregate) -> Callable[[Members], Any]:
        if item.function == "grouping":
            return self._grouping(item)
        fold = _FOLD[item.function]
        if item.path is None:
            if item.function != "count":
                raise self.scope.source.malformed(item.at, "unexpected token: ')'")
            return lambda members: len(members.rows)
        bound = self.scope.bind(item.path)
        if not bound.field.attributes["aggregatable"] and item.function != "count":
            message = (
                f"field {item.path.names[-1]} does not support aggregate operator {item.function.upper()}"
            )
            raise self.scope.source.malformed(item.path.at, message)
        get = bound.get
        return lambda members: fold([value for row in members.rows if (value := get(row)) is not None])

    def run(self, rows: Rows) -> list[Record]:
        kept = [members for members in self._groups(rows) if self._having(self.query.having, members)]
        for order in reversed(self.query.order_by):
            value = self._sort_key(order.key)
            empty = [members for members in kept if value(members) is None]
            full = sorted((m for m in kept if value(m) is not None), key=value, reverse=order.descending)
            kept = full + empty if order.nulls_last else empty + full
        return [
            {
                "attributes": {"type": "AggregateResult"},
                **{name: fold(members) for name, fold in self.columns},
            }
            for members in kept
        ]

    def _groups(self, rows: Rows) -> list[Members]:
        """Return the groups, each subtotal behind the groups that it adds up."""
        groups: dict[tuple[Any, ...], Rows] = {}
        for row in rows:
            groups.setdefault(tuple(fold(get(row)) for _, get, fold in self.keys), []).append(row)
        if not self.keys and not groups:
            return [Members([])]
        # Where a value was met first, key by key, is where its groups stand; a subtotal stands last.
        seen: list[dict[Any, int]] = [{} for _ in self.keys]
        for found in groups:
            for places, value in zip(seen, found, strict=True):
                places.setdefault(value, len(places))
        made: dict[tuple[float, ...], Members] = {}
        for over in self._levels():
            names = frozenset(name for (name, _, _), yes in zip(self.keys, over, strict=True) if yes)
            for found, members in groups.items():
                place = tuple(
                    math.inf if yes else places[value]
                    for yes, places, value in zip(over, seen, found, strict=True)
                )
                made.setdefault(place, Members([], names)).rows.extend(members)
        return [made[place] for place in (sorted(made) if self.query.totals else made)]

    def _sort_key(self, key: Path | Aggregate) -> Callable[[Members], Any]:
        if isinstance(key, Aggregate):
            return self._fold(key)
        if str(key).lower() not in {name for name, _, _ in self.keys}:
            message = f"Ordered field must be grouped or aggregated: {key.names[-1]}"
            raise self.scope.source.malformed(key.at, message)
        return self._of_key(key)

    def _having(self, condition: Condition | None, members: Members) -> bool:
        if condition is None:
            return True
        if isinstance(condition, Group):
            results = [self._having(part, members) for part in condition.parts]
            return {"and": all(results), "or": any(results), "not": not results[0]}[condition.operator]
        if not isinstance(condition, Comparison) or not isinstance(condition.left, Aggregate):
            raise self.scope.source.malformed(self.query.at, "HAVING needs an aggregate function")
        found, wanted = self._fold(condition.left)(members), condition.right.value
        if found is None:
            return False
        tests: dict[str, bool] = {
            "=": found == wanted,
            "!=": found != wanted,
            "<": found < wanted,
            "<=": found <= wanted,
            ">": found > wanted,
            ">=": found >= wanted,
        }
        return tests[condition.operator]
