"""Records that a bulk query found, spelled as CSV, JSON or XML: bytes before, between, after and of each record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from salesforce_standin import clock, xml_text
from salesforce_standin.fields import Field
from salesforce_standin.replies import pretty
from salesforce_standin.soql.binding import Bound
from salesforce_standin.soql.projection import Project
from salesforce_standin.tables import Row

SPACE = "http://www.force.com/2009/06/asyncapi/dataload"


class Spelling(Protocol):
    """A way to write records down."""

    begin: bytes
    between: bytes
    end: bytes

    def spell(self, row: Row) -> bytes:
        """Return one record."""


class CsvSpelling:
    """Every value in quotes, columns in the order of the query."""

    between = end = b""

    def __init__(self, columns: list[Bound], separator: str, ending: str) -> None:
        titles = [".".join([*(hop.relationship or "" for hop in c.hops), c.field.name]) for c in columns]
        self._cells = [(column.get, _text_of(column.field)) for column in columns]
        self._joint, self._ending = f'"{separator}"', f'"{ending}'
        self.begin = f'"{self._joint.join(titles)}{self._ending}'.encode()

    def spell(self, row: Row) -> bytes:
        """Return a line."""
        texts = ["" if (value := get(row)) is None else text(value) for get, text in self._cells]
        return f'"{self._joint.join(texts)}{self._ending}'.encode()


def csv_line(texts: list[str], separator: str, ending: str) -> bytes:
    """Return a line of texts, every one in quotes."""
    joint = f'"{separator}"'
    return f'"{joint.join(text.replace(chr(34), chr(34) * 2) for text in texts)}"{ending}'.encode()


def _text_of(field: Field) -> Callable[[Any], str]:
    if field.type == "boolean":
        return lambda value: "true" if value else "false"
    if field.type == "datetime":
        return lambda value: f"{value[:-5]}Z"
    return lambda value: str(value).replace('"', '""')


class JsonSpelling:
    """A list of records, pretty as recorded; Bulk API 1.0 spells every moment as milliseconds since 1970."""

    begin, between, end = b"[", b",", b" ]"

    def __init__(self, show: Project, readable: dict[str, Field]) -> None:
        self._show = show
        self._moments = {
            name: _milliseconds if field.type == "datetime" else _day_milliseconds
            for name, field in readable.items()
            if field.type in {"date", "datetime"}
        }

    def spell(self, row: Row) -> bytes:
        """Return a record."""
        moments = self._moments
        record = {
            key: moments[key](value) if value is not None and key in moments else value
            for key, value in self._show(row).items()
        }
        return f" {pretty(record)}".encode()


def _milliseconds(stamp: str) -> int:
    return int(clock.epoch_of(stamp) * 1000)


def _day_milliseconds(day: str) -> int:
    return _milliseconds(f"{day}T00:00:00.000+0000")


class XmlSpelling:
    """A queryResult of sObjects."""

    between = b""
    begin = (
        f'<?xml version="1.0" encoding="UTF-8"?><queryResult xmlns="{SPACE}" xmlns:xsi="{xml_text.INSTANCE}">'
    ).encode()
    end = b"</queryResult>"

    def __init__(self, show: Project, fields: dict[str, Field]) -> None:
        self._show = show
        self._stamps = {name for name, field in fields.items() if field.type == "datetime"}

    def spell(self, row: Row) -> bytes:
        """Return a record."""
        return f'<records xsi:type="sObject">{self._inside(self._show(row))}</records>'.encode()

    def _inside(self, record: dict[str, Any]) -> str:
        parts = [xml_text.spell("type", record["attributes"]["type"])]
        if "Id" not in record:
            parts.append('<Id xsi:nil="true"/>')
        for name, value in record.items():
            if name == "attributes":
                continue
            if value is None:
                parts.append(f'<{name} xsi:nil="true"/>')
            elif isinstance(value, dict):
                parts.append(f'<{name} xsi:type="sObject">{self._inside(value)}</{name}>')
            else:
                plain = f"{value[:-5]}Z" if name in self._stamps else value
                parts.append(xml_text.spell(name, plain))
        return "".join(parts)
