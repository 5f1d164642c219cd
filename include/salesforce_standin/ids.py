"""Record ids: 15 case-sensitive characters, and the 18-character form whose last three check the case of the first."""

from __future__ import annotations

import re

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?\Z")
_POD = "5g0"

# Counters start in the middle of the range, so that ids look like those of an org with a history.
_FIRST = 62**5 + 8 * 62**4


def checksum(id15: str) -> str:
    """Return the three characters that tell which of the fifteen are capitals."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, char in enumerate(id15[start : start + 5]) if "A" <= char <= "Z")
        suffix += _CHECK[bits]
    return suffix


def to18(id15: str) -> str:
    """Return the 18-character form of a 15-character id."""
    return id15 + checksum(id15)


def normalise(value: object) -> str | None:
    """Return the 18-character form of any valid id, or None if it is no id (wrong shape or wrong case)."""
    if not isinstance(value, str) or not _SHAPE.match(value):
        return None
    if len(value) == 15:
        return to18(value)
    return value if value[15:] == checksum(value[:15]) else None


def base62(number: int, width: int) -> str:
    """Write a number in the alphabet of ids, which sorts as the numbers do."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    return digits.rjust(width, "0")


class IdSequence:
    """Hands out ids per key prefix, one after the other."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def next(self, prefix: str) -> str:
        """Return a new 18-character id."""
        number = self._next.get(prefix, _FIRST)
        self._next[prefix] = number + 1
        return to18(prefix + _POD + base62(number, 9))

    def saw(self, id18: str) -> None:
        """Make sure that an id that exists already is never handed out again."""
        number = 0
        for char in id18[6:15]:
            number = number * 62 + ALPHABET.index(char)
        if id18[3:6] == _POD and number >= self._next.get(id18[:3], _FIRST):
            self._next[id18[:3]] = number + 1
