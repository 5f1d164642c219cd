"""A query's result: which rows may meet it, which do, in which order, and how each is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.errors import fail
from salesforce_standin.soql import grouping
from salesforce_standin.soql.binding import Scope, children, entity
from salesforce_standin.soql.conditions import Conditions, ordering
from salesforce_standin.soql.projection import Project, Projection
from salesforce_standin.soql.tree import (
    Aggregate,
    Column,
    Comparison,
    Condition,
    Literal,
    Membership,
    Order,
    Path,
    Query,
    conjuncts,
)
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org


@dataclass(frozen=True, slots=True)
class Result:
    """What a query found: rows, shown page by page, or the records themselves if they are few and made up."""

    total: int
    rows: list[Row]
    show: Project
    entity: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Runs queries for one user."""

    org: Org
    user_id: str
    root: str
    deleted: bool = False
    tooling: bool = False

    def run(self, query: Query) -> Result:
        """Return what a query finds."""
        access = entity(self.org, self.user_id, query, tooling=self.tooling)
        scope = Scope(self.org, self.user_id, query, access)
        first = query.select[0]
        if (
            isinstance(first, Aggregate)
            and first.path is None
            and first.function == "count"
            and not query.group_by
        ):
            if len(query.select) > 1 or query.order_by:
                raise scope.source.malformed(first.at, "COUNT() must be the only element in the SELECT list")
            rows = self._limit(query, self._matching(scope, query))
            return Result(len(rows), [], dict, access.sobject.name)
        if grouping.is_grouped(query):
            if query.limit is not None and not query.group_by:
                message = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
                raise scope.source.malformed(query.at, message)
            found = grouping.aggregate(scope, query, self._matching(scope, query))
            found = self._limit(query, found)
            return Result(len(found), found, dict, "AggregateResult")
        show = Projection(scope, self.root, self._children_of(scope)).build(query)
        for item in query.select:
            if isinstance(item, Column) and item.alias and not item.path.function:
                raise scope.source.malformed(item.path.at, "only aggregate expressions use field aliasing")
        rows = self._limit(query, self._sorted(scope, query.order_by, self._matching(scope, query)))
        return Result(len(rows), rows, show, access.sobject.name)

    def _matching(self, scope: Scope, query: Query) -> list[Row]:
        rows = self._candidates(scope, query.where)
        if not self.deleted and scope.access.sobject.soft_deletes:
            rows = (row for row in rows if not row["IsDeleted"])
        owner = self._owner(scope, query.among)
        if owner is not None:
            rows = (row for row in rows if row["OwnerId"] == owner)
        sees = scope.access.sees
        if sees is not None:
            rows = (row for row in rows if sees(row))
        if query.where is not None:
            meets = Conditions(scope, self._subselect).predicate(query.where)
            rows = (row for row in rows if meets(row))
        return list(rows)

    def _owner(self, scope: Scope, among: str) -> str | None:
        """Return whose records USING SCOPE asks for; nobody is in a team with anybody here."""
        if among in {"", "everything"}:
            return None
        if among in {"mine", "team"} and "OwnerId" in scope.access.sobject.fields:
            return self.user_id
        message = f"The scope {among} is not supported by {scope.access.sobject.name}"
        raise fail(400, "INVALID_QUERY_SCOPE", message)

    def _candidates(self, scope: Scope, where: Condition | None) -> Iterable[Row]:
        """Return few rows among which all that match are, by the first condition that an index answers."""
        table = scope.access.table
        held = self.org.held.get(table.sobject.name)
        if held:
            return [row for row in {**table.rows, **held.before}.values() if row is not None]
        for part in conjuncts(where):
            path = part.left if isinstance(part, Comparison) else part.path
            if not isinstance(path, Path) or path.function:
                continue
            bound = scope.bind(path)
            if not bound.direct:
                continue
            values = _constants(part)
            if values and bound.field.type == "id":
                keys = dict.fromkeys(ids.normalise(value) for value in values)
                return [table.rows[key] for key in keys if key in table.rows]
            if (
                values
                and bound.field.type in {"string", "email", "reference"}
                and table.indexed(bound.field.name)
            ):
                wanted = (
                    [ids.normalise(v) or v for v in values] if bound.field.type == "reference" else values
                )
                found = [row for value in wanted for row in table.by_value(bound.field, value)]
                return {row["Id"]: row for row in found}.values()
            if (
                isinstance(part, Comparison)
                and bound.field.name == "SystemModstamp"
                and part.operator in {">", ">=", "="}
                and part.right.kind == "datetime"
            ):
                return table.changed_since(part.right.value)
        return table.rows.values()

    def _subselect(self, query: Query) -> frozenset[Any]:
        """Return the values of a semi-join's only column."""
        item = query.select[0]
        if len(query.select) != 1 or not isinstance(item, Column):
            raise query.source.malformed(query.at, "Semi join sub-selects must select exactly one field")
        scope = Scope(
            self.org, self.user_id, query, entity(self.org, self.user_id, query, tooling=self.tooling)
        )
        get = scope.bind(item.path).get
        return frozenset(value for row in self._matching(scope, query) if (value := get(row)) is not None)

    def _children_of(self, scope: Scope) -> Callable[[Query, Row], dict[str, Any] | None]:
        prepared: dict[int, tuple[Scope, Any, Project, Any]] = {}

        def run(query: Query, row: Row) -> dict[str, Any] | None:
            if id(query) not in prepared:
                prepared[id(query)] = self._prepare_children(scope, query)
            inner, reference, show, meets = prepared[id(query)]
            table = inner.access.table
            if table.indexed(reference.name):
                mine: Iterable[Row] = table.by_value(reference, row["Id"])
            else:
                mine = (r for r in table.rows.values() if r.get(reference.name) == row["Id"])
            kept = [
                r
                for r in mine
                if (self.deleted or not r.get("IsDeleted"))
                and inner.access.shows(r)
                and (meets is None or meets(r))
            ]
            rows = self._limit(query, self._sorted(inner, query.order_by, kept))
            return (
                {"totalSize": len(rows), "done": True, "records": [show(r) for r in rows]} if rows else None
            )

        return run

    def _prepare_children(self, scope: Scope, query: Query) -> tuple[Scope, Any, Project, Any]:
        name, reference = children(scope, query)
        inner = Scope(self.org, self.user_id, query, self.org.access(self.user_id, name))
        meets = Conditions(inner, self._subselect).predicate(query.where) if query.where else None
        return inner, reference, Projection(inner, self.root, self._children_of(inner)).build(query), meets

    def _sorted(self, scope: Scope, orders: tuple[Order, ...], rows: list[Row]) -> list[Row]:
        """Sort by the last key first: stable sorts add up."""
        plain = not any(order.descending or order.nulls_last for order in orders)
        if plain and [str(order.key).lower() for order in orders] == ["systemmodstamp", "id"]:
            return sorted(rows, key=lambda row: (row["SystemModstamp"], row["Id"]))
        for order in reversed(orders):
            if isinstance(order.key, Aggregate):
                raise scope.source.malformed(order.key.at, "ORDER BY an aggregate needs GROUP BY")
            bound = scope.bind(order.key)
            if not bound.field.attributes["sortable"]:
                message = f"field '{order.key.names[-1]}' can not be sorted in a query call"
                raise scope.source.error(order.key.at, "INVALID_FIELD", message)
            fold, get = ordering(bound.field), bound.get
            keyed = [(fold(get(row)), row) for row in rows]
            empty = [row for key, row in keyed if key is None]
            full = [pair for pair in keyed if pair[0] is not None]
            full.sort(key=lambda pair: pair[0], reverse=order.descending)
            ordered = [row for _, row in full]
            rows = ordered + empty if order.nulls_last else empty + ordered
        return rows

    def _limit(self, query: Query, rows: list[Row]) -> list[Row]:
        if query.offset > 2000:
            raise fail(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if query.offset or query.limit is not None:
            end = None if query.limit is None else query.offset + query.limit
            return rows[query.offset : end]
        return rows


def _constants(part: Comparison | Membership) -> list[str]:
    """Return the texts of ``= 'x'`` or ``IN ('x', 'y')``."""
    literals: tuple[Literal, ...]
    if isinstance(part, Comparison):
        literals = (part.right,) if part.operator == "=" else ()
    else:
        literals = part.values if part.operator == "in" and not isinstance(part.values, Query) else ()
    texts = [literal.value for literal in literals if literal.kind == "string" and literal.value]
    return texts if len(texts) == len(literals) else []
