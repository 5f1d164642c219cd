"""Functions of a field: the parts of a date (in GMT, as over the API), and how people see a value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from salesforce_standin.fields import NUMBERS, Field, describe

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
_ZONED = "converttimezone"


def known(word: str) -> bool:
    """Whether a word is the name of such a function."""
    return word in _DATES or word in _SHOWN or word == "format"


def nests(word: str, inner: str) -> bool:
    """Whether a function may stand inside of another: FORMAT(convertCurrency(x)), HOUR_IN_DAY(convertTimezone(x))."""
    return inner == _ZONED if word in _DATES else word == "format" and inner in _SHOWN


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
    kind = {"day_only": "date", "format": "string"}.get(word, "int")
    return Field(describe(name=field.name, label=field.label, type=kind))


def is_local(word: str, inner: str, field: Field) -> bool:
    """Whether a function looks at a moment as the clock on the user's wall shows it."""
    return field.type == "datetime" and (inner == _ZONED or word == "format")


def local(stamp: str | None, zone: ZoneInfo) -> str | None:
    """Return a moment in GMT as the clock of a zone shows it."""
    return datetime.fromisoformat(stamp).astimezone(zone).isoformat() if stamp else None


def apply(word: str, field: Field, value: Any) -> Any:
    """Return the function of a field's value as rows hold it: dates and moments in ISO 8601."""
    if value is None or word in _SHOWN:
        return value
    if word == "format":
        return _written(field, value)
    if word == "day_only":
        return value[:10]
    if word == "hour_in_day":
        return int(value[11:13])
    return _PARTS[word](date.fromisoformat(value[:10]))


def _written(field: Field, value: Any) -> str:
    """Write a value as people in the United States do, which is every user's locale here."""
    if field.type == "date":
        return f"{date.fromisoformat(value):%-m/%-d/%Y}"
    if field.type == "datetime":
        return f"{datetime.fromisoformat(value):%-m/%-d/%Y, %-I:%M %p}"
    if field.type not in NUMBERS:
        return str(value)
    number = f"{abs(value):,.{field.attributes['scale']}f}"
    sign = "-" if value < 0 else ""
    return sign + {"currency": f"${number}", "percent": f"{number}%"}.get(field.type, number)
