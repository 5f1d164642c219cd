"""Date literals such as TODAY and LAST_N_DAYS:7, as the days from and up to (excluded) which they stand for."""

from __future__ import annotations

import re
from datetime import date, timedelta

_PLAIN = re.compile(r"(this|last|next)_(week|month|quarter|year|fiscal_quarter|fiscal_year)\Z")
_COUNTED = re.compile(r"(last|next)_n_(day|week|month|quarter|year|fiscal_quarter|fiscal_year)s\Z")
_AGO = re.compile(r"n_(day|week|month|quarter|year|fiscal_quarter|fiscal_year)s_ago\Z")
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def known(word: str) -> bool:
    """Whether a word is a date literal."""
    return (
        word in _DAYS or word in {"last_90_days", "next_90_days"} or bool(_PLAIN.match(word)) or counted(word)
    )


def counted(word: str) -> bool:
    """Whether a date literal is followed by a number."""
    return bool(_COUNTED.match(word) or _AGO.match(word))


def span(word: str, count: int, today: date) -> tuple[date, date]:
    """Return the first day and the day after the last one."""
    if word in _DAYS:
        start = today + timedelta(days=_DAYS[word])
        return start, start + timedelta(days=1)
    if word.endswith("_90_days"):
        word, count = word[:5] + "n_days", 90
    if match := _PLAIN.match(word):
        steps = {"this": 0, "last": -1, "next": 1}[match[1]]
        return _unit(match[2], steps, today), _unit(match[2], steps + 1, today)
    if match := _AGO.match(word):
        return _unit(match[1], -count, today), _unit(match[1], 1 - count, today)
    match = _COUNTED.match(word)
    if match is None:
        raise ValueError(word)
    if match[1] == "next":
        return _unit(match[2], 1, today), _unit(match[2], count + 1, today)
    if match[2] == "day":  # the one literal that reaches to now: it ends with today
        return today - timedelta(days=count), today + timedelta(days=1)
    return _unit(match[2], -count, today), _unit(match[2], 0, today)


def _unit(unit: str, steps: int, today: date) -> date:
    """Return the first day of the unit so many steps from the one that today lies in."""
    unit = unit.removeprefix("fiscal_")
    if unit == "day":
        return today + timedelta(days=steps)
    if unit == "week":  # weeks begin on Sunday in the locale en_US
        return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=steps)
    size = _MONTHS[unit]
    months = today.year * 12 + (today.month - 1) // size * size + steps * size
    return date(months // 12, months % 12 + 1, 1)
