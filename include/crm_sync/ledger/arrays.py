"""Lists as Postgres arrays, type by type: psycopg looks at each element several times, a fifth of our CPU in a first sync."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
from psycopg.adapt import Dumper

__all__ = ["ArrayDumper"]


class ArrayDumper(Dumper):
    """A flat list as the text of an array; what it is an array of, the statement says by a cast or a comparison."""

    def dump(self, obj: list[Any]) -> bytes:
        """The array's text, such as ``{1,2}`` or ``{"a",null}``."""
        kinds = set(map(type, obj))
        text = _plain_texts(obj) if kinds == {str} else None
        if text is None:
            spell = _SPELLINGS.get(kinds.pop(), _any) if len(kinds) == 1 else _any
            text = ",".join(map(spell, obj))
        if "\0" in text:
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return f"{{{text}}}".encode(self.connection.info.encoding if self.connection else "utf-8")


def _plain_texts(values: list[str]) -> str | None:
    """The same for texts of which none needs escaping: ids mostly, thousands at once."""
    text = '","'.join(values)
    return None if "\\" in text or text.count('"') > 2 * len(values) - 2 else f'"{text}"'


def _text(value: str) -> str:
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _bytes(value: bytes) -> str:
    return f'"\\\\x{value.hex()}"'


def _moment(value: datetime) -> str:
    return f'"{value.isoformat()}"'


_SPELLINGS: dict[type, Callable[[Any], str]] = {
    int: str, float: str, bool: str, str: _text, bytes: _bytes, datetime: _moment, type(None): lambda _: "null",
}  # fmt: skip


def _any(value: object) -> str:
    spell = _SPELLINGS.get(type(value))
    if spell is None:
        raise psycopg.ProgrammingError(f"an array of {type(value).__name__} is not provided for")
    return spell(value)
