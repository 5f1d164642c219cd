"""WHERE: from the tree of conditions to a function that says whether a row meets them."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import Any

from salesforce_standin import ids
from salesforce_standin.errors import ApiError
from salesforce_standin.fields import KEYS, NUMBERS, TEXTS, Field
from salesforce_standin.soql import dates
from salesforce_standin.soql.binding import Getter, Scope
from salesforce_standin.soql.tree import (
    Aggregate,
    Comparison,
    Condition,
    Group,
    Literal,
    Membership,
    Path,
    Query,
)
from salesforce_standin.tables import Row

Predicate = Callable[[Row], bool]
# Runs a semi-join: (query) -> the values of its only column.
Subselect = Callable[[Query], frozenset[Any]]

_COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_KIND_OF = {"int": "integer", "boolean": "boolean", "date": "date", "datetime": "dateTime"}
_WANTED = {"boolean": {"boolean"}, "date": {"date", "range"}, "datetime": {"datetime", "range"}}


class Conditions:
    """Turns conditions into predicates within one scope."""

    def __init__(self, scope: Scope, subselect: Subselect) -> None:
        self.scope = scope
        self.subselect = subselect

    def predicate(self, condition: Condition) -> Predicate:
        """Return the test of a whole condition."""
        if isinstance(condition, Group):
            tests = [self.predicate(part) for part in condition.parts]
            if condition.operator == "and":
                return lambda row: all(test(row) for test in tests)
            if condition.operator == "or":
                return lambda row: any(test(row) for test in tests)
            return lambda row: not tests[0](row)
        if isinstance(condition, Membership):
            return self._membership(condition)
        if isinstance(condition.left, Aggregate):
            raise self.scope.source.malformed(
                condition.left.at, "Aggregate functions are not allowed in WHERE"
            )
        field, get = self._filterable(condition.left)
        return compare(self, field, get, condition)

    def _filterable(self, path: Path) -> tuple[Field, Getter]:
        bound = self.scope.bind(path)
        if not bound.field.attributes["filterable"]:
            message = f"field '{path.names[-1]}' can not be filtered in a query call"
            raise self.scope.source.error(path.at, "INVALID_FIELD", message)
        return bound.field, bound.get

    def _membership(self, condition: Membership) -> Predicate:
        field, get = self._filterable(condition.path)
        if condition.operator in {"includes", "excludes"}:
            return self._multi(condition, field, get)
        if isinstance(condition.values, Query):
            values = self.subselect(condition.values)
        else:
            values = frozenset(self.value(field, literal, condition.path) for literal in condition.values)
        fold = folding(field)
        wanted = frozenset(fold(value) for value in values)
        if condition.operator == "in":
            return lambda row: fold(get(row)) in wanted
        return lambda row: fold(get(row)) not in wanted

    def _multi(self, condition: Membership, field: Field, get: Getter) -> Predicate:
        if field.type != "multipicklist" or isinstance(condition.values, Query):
            message = "includes/excludes operator only valid on multipicklist"
            raise self.scope.source.error(condition.path.at, "INVALID_QUERY_FILTER_OPERATOR", message)
        wanted = [set(str(literal.value).lower().split(";")) for literal in condition.values]
        includes = condition.operator == "includes"

        def test(row: Row) -> bool:
            chosen = set(str(get(row) or "").lower().split(";"))
            return any(each <= chosen for each in wanted) is includes

        return test

    def value(self, field: Field, literal: Literal, path: Path) -> Any:
        """Return the constant in the form in which rows hold values, or refuse one of the wrong kind."""
        if literal.kind == "null":
            return None
        if field.type in KEYS:
            return self._id(literal, path, field)
        wanted = {"number"} if field.type in NUMBERS else _WANTED.get(field.type, {"string"})
        if literal.kind not in wanted:
            raise self._wrong_kind(field, literal, path)
        return literal.value

    def _id(self, literal: Literal, path: Path, field: Field) -> str | None:
        if literal.kind != "string":
            raise self._wrong_kind(field, literal, path)
        if literal.value == "":
            return None
        id18 = ids.normalise(literal.value)
        if id18 is None:
            message = f"invalid ID field: {literal.value}"
            raise self.scope.source.error(path.at, "INVALID_QUERY_FILTER_OPERATOR", message)
        return id18

    def _wrong_kind(self, field: Field, literal: Literal, path: Path) -> ApiError:
        kind = _KIND_OF.get(field.type, "double" if field.type in NUMBERS else "string")
        text = f"value of filter criterion for field '{path.names[-1]}' must be of type {kind}"
        if literal.kind == "string":
            text += " and should not be enclosed in quotes"
        elif kind == "string":
            text += " and should be enclosed in quotes"
        return self.scope.source.error(path.at, "INVALID_FIELD", text)

    def span(self, literal: Literal) -> tuple[date, date]:
        """Return the days that a date literal stands for."""
        word, count = literal.value
        return dates.span(word, count, self.scope.org.clock.moment().date())


def folding(field: Field) -> Callable[[Any], Any]:
    """Return what makes two spellings of a value equal: texts know no case, except case-sensitive keys."""
    if (
        field.type in KEYS
        or field.type in NUMBERS
        or field.type in {"boolean", "date", "datetime"}
        or field.case_sensitive
    ):
        return lambda value: value
    return lambda value: value.lower() if value else None


def ordering(field: Field) -> Callable[[Any], Any]:
    """Return the sort key of a field's values: letters with marks stand beside the plain ones, as in en_US."""
    if field.type not in TEXTS:
        return lambda value: value

    def key(value: str | None) -> tuple[str, str] | None:
        if not value:
            return None
        lower = value.lower()
        if lower.isascii():
            return lower, ""
        plain = "".join(
            char for char in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(char)
        )
        return plain, lower

    return key


def compare(conditions: Conditions, field: Field, get: Getter, condition: Comparison) -> Predicate:
    """Return the test of one comparison."""
    sign, literal = condition.operator, condition.right
    path = condition.left if isinstance(condition.left, Path) else Path(("expr0",), condition.left.at)
    if sign == "like":
        return _like(conditions, field, get, str(literal.value), path)
    value = conditions.value(field, literal, path)
    if literal.kind == "range":
        return _in_span(field, get, sign, conditions.span(literal))
    if field.type == "boolean" and value is None:
        value = False  # a boolean is never null, and null counts as false (facts/salesforce.md 8)
    fold = folding(field)
    wanted = fold(value)
    if sign == "=":
        return lambda row: fold(get(row)) == wanted
    if sign == "!=":
        return lambda row: fold(get(row)) != wanted
    if wanted is None:
        return lambda row: False
    test = _COMPARE[sign]

    def ordered(row: Row) -> bool:
        found = fold(get(row))
        return found is not None and test(found, wanted)

    return ordered


def _in_span(field: Field, get: Getter, sign: str, span: tuple[date, date]) -> Predicate:
    tail = "T00:00:00.000+0000" if field.type == "datetime" else ""
    first, after = (day.isoformat() + tail for day in span)
    tests: dict[str, Callable[[str], bool]] = {
        "=": lambda v: first <= v < after,
        "!=": lambda v: not first <= v < after,
        "<": lambda v: v < first,
        "<=": lambda v: v < after,
        ">": lambda v: v >= after,
        ">=": lambda v: v >= first,
    }
    test = tests[sign]
    missing = sign == "!="

    def within(row: Row) -> bool:
        value = get(row)
        return missing if value is None else test(value)

    return within


def _like(conditions: Conditions, field: Field, get: Getter, pattern: str, path: Path) -> Predicate:
    if field.type in KEYS or field.type in NUMBERS or field.type in {"boolean", "date", "datetime"}:
        message = (
            "invalid operator on id field"
            if field.type in KEYS
            else f"invalid operator on {field.type} field"
        )
        raise conditions.scope.source.error(path.at, "INVALID_QUERY_FILTER_OPERATOR", message)
    regex = ""
    for piece in re.findall(r"\\.|.", pattern, re.DOTALL):
        regex += {"%": ".*", "_": "."}.get(piece) or re.escape(
            piece[1:] if piece[0] == "\\" and len(piece) > 1 else piece
        )
    matches = re.compile(regex + r"\Z", re.DOTALL | re.IGNORECASE).match
    return lambda row: matches(get(row) or "") is not None and get(row) is not None
