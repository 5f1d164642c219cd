"""What a query's columns are, as ``/query?columns=true`` tells: command lines lay their tables out by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from salesforce_standin.fields import NUMBERS, TEXTS, Field
from salesforce_standin.soql import grouping
from salesforce_standin.soql.binding import Bound, Scope, children, entity
from salesforce_standin.soql.tree import Aggregate, Column, FieldsOf, Path, Query

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_APEX = {
    "id": "Id", "reference": "Id", "boolean": "Boolean", "int": "Integer", "date": "Date", "datetime": "Datetime",
    "address": "Address",
}  # fmt: skip


def describe(org: Org, user_id: str, query: Query, *, tooling: bool) -> dict[str, Any]:
    """Return the description of a query's result; the shape is the one that salesforcecli/plugin-data reads."""
    access = entity(org, user_id, query, tooling=tooling)
    scope = Scope(org, user_id, query, access)
    columns = _columns(org, user_id, scope, query)
    return {
        "columnMetadata": columns,
        "entityName": access.sobject.name,
        "groupBy": grouping.is_grouped(query),
        "idSelected": any(column["columnName"] == "Id" for column in columns),
        "keyPrefix": access.sobject.prefix,
    }


def _columns(org: Org, user_id: str, scope: Scope, query: Query) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    nameless = 0
    for item in query.select:
        if isinstance(item, Aggregate):
            found.append(_folded(scope, item, item.alias or f"expr{nameless}"))
            nameless += item.alias is None
        elif isinstance(item, Query):
            inner, _ = children(scope, item)
            below = Scope(org, user_id, item, org.access(user_id, inner))
            joined = _columns(org, user_id, below, item)
            found.append(_column(item.entity, aggregate=True, joinColumns=joined))
        elif isinstance(item, FieldsOf):
            wanted = {"all": (True, False), "custom": (True,), "standard": (False,)}[item.which]
            readable = scope.access.readable.values()
            found += [_of_field(field) for field in readable if field.custom in wanted]
        elif isinstance(item, Column):
            _add(found, _named(scope, item.path, item.alias), 0)
    return found


def _named(scope: Scope, path: Path, alias: str | None) -> Bound:
    return replace(scope.bind(path), alias=alias)


def _add(found: list[dict[str, Any]], bound: Bound, depth: int) -> None:
    """Add a column; those of one parent stand together below its relationship."""
    if len(bound.hops) == depth:
        found.append(_of_field(bound.field, bound.name))
        return
    hop = bound.hops[depth]
    name = hop.relationship or ""
    parent = next((one for one in found if one["columnName"] == name), None)
    if parent is None:
        parent = _column(name, foreignKeyName=hop.name)
        found.append(parent)
    _add(parent["joinColumns"], bound, depth + 1)


def _folded(scope: Scope, item: Aggregate, name: str) -> dict[str, Any]:
    shown = f"{item.function}({item.path or ''})"
    number = item.function not in {"min", "max"}
    if item.path is not None and not number:
        number = scope.bind(item.path).field.type in NUMBERS
    return _column(name, aggregate=True, displayName=shown, numberType=number)


def _of_field(field: Field, name: str | None = None) -> dict[str, Any]:
    return _column(
        name or field.name,
        apexType=_APEX.get(field.type, "Double" if field.type in NUMBERS else "String"),
        booleanType=field.type == "boolean",
        custom=field.custom,
        insertable=field.createable,
        numberType=field.type in NUMBERS,
        textType=field.type in TEXTS,
        updatable=field.updateable,
    )


def _column(name: str, **values: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "aggregate": False,
        "apexType": None,
        "booleanType": False,
        "columnName": name,
        "custom": False,
        "displayName": name,
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": [],
        "numberType": False,
        "textType": False,
        "updatable": False,
    }
    return {**usual, **values}
