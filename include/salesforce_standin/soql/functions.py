"""Functions of a field: the parts of a date (in GMT, as over the API), and how people see a value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from salesforce_standin.fields import Field, describe

# The fiscal year of the org is the calendar year.
_PARTS: dict[str, Callable[[date], int]] = {
    "calendar_month": lambda day: day.month,
    "calendar_quarter": lambda day: (day.month + 2) // 3,
    "calendar_year": lambda day: day.year,
    "day_in_month": lambda day: day.day,
    "day_in_week": lambda day: day.isoweekday() % 7 + 1,
    "day_in_year": lambda day: day.timetuple().tm_yday,
    "fiscal_month": lambda day: day.month,
    "fiscal_quarter": lambda day: (day.month + 2) // 3,
    "fiscal_year": lambda day: day.year,
    "week_in_month": lambda day: (day.day + 6) // 7,
    "week_in_year": lambda day: (day.timetuple().tm_yday + 6) // 7,
}
# Every picklist value is its own label here, and there is one currency to show amounts in.
_SHOWN = frozenset({"tolabel", "convertcurrency"})
_DATES = frozenset({*_PARTS, "day_only", "hour_in_day"})


def known(word: str) -> bool:
    """Whether a word is the name of such a function."""
    return word in _DATES or word in _SHOWN


def needs_group(word: str) -> bool:
    """Whether a function may be selected only where rows are grouped by it."""
    return word in _DATES


def accepts(word: str, field: Field) -> bool:
    """Whether a function can be had of a field."""
    if word in {"day_only", "hour_in_day"}:
        return field.type == "datetime"
    return field.type in {"date", "datetime"} if word in _DATES else True


def result(word: str, field: Field) -> Field:
    """Return the description of what comes out."""
    if word in _SHOWN:
        return field
    kind = "date" if word == "day_only" else "int"
    return Field(describe(name=field.name, label=field.label, type=kind))


def apply(word: str, value: Any) -> Any:
    """Return the function of a value as rows hold it: dates and moments in ISO 8601, GMT."""
    if value is None or word in _SHOWN:
        return value
    if word == "day_only":
        return value[:10]
    if word == "hour_in_day":
        return int(value[11:13])
    return _PARTS[word](date.fromisoformat(value[:10]))
