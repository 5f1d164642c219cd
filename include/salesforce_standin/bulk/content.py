"""What a client uploaded, row by row: CSV with all its conventions, JSON, XML (facts/salesforce.md 5.1)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import orjson

from salesforce_standin import xml_text
from salesforce_standin.bulk.jobs import CLASSIC, Job
from salesforce_standin.permissions import Access

# A cell that clears its field; an empty one leaves it as it is.
_CLEAR = "#N/A"
_BY_ID = frozenset({"delete", "hardDelete"})
_MOST_HEADER, _MOST_COLUMNS = 32_000, 5_000
MOST_CLASSIC_ROWS = 10_000

# The words of the parser that Salesforce's own Java client shares with the platform.
_OPEN_QUOTE = "EOF reached before closing an opened quote"
_STRAY_QUOTE = "Found unescaped quote. A value with quote should be within a quote"

Values = dict[str, Any]


class BadContent(Exception):
    """An upload that can't be worked off, with what the job will say."""


def rows(job: Job, access: Access, path: Path) -> Iterator[Values]:
    """Yield the rows of an upload as the REST API would have got them."""
    if job.content_type == "CSV":
        yield from _csv_rows(job, access, path)
        return
    content = path.read_bytes()
    found = _json_rows(content) if job.content_type == "JSON" else _xml_rows(content)
    if len(found) > MOST_CLASSIC_ROWS:
        raise BadContent(f"InvalidBatch : Maximum of {MOST_CLASSIC_ROWS} records exceeded")
    yield from found


def raw_rows(path: Path, separator: str) -> Iterator[list[str]]:
    """Yield the lines of a CSV upload as lists of texts, the header first, empty lines left out.

    What can't be read is shown as well as may be, for the results of a job that failed because of it.
    """
    with path.open(encoding="utf-8", errors="replace", newline="") as file, suppress(csv.Error):
        yield from (line for line in csv.reader(file, delimiter=separator) if line)


def _checked_rows(path: Path, separator: str) -> Iterator[list[str]]:
    """Yield the same, or say why a job fails."""
    with path.open(encoding="utf-8", newline="") as file:
        try:
            yield from (line for line in csv.reader(file, delimiter=separator, strict=True) if line)
        except csv.Error as error:
            raise _no_csv(_OPEN_QUOTE if "end of data" in str(error) else _STRAY_QUOTE) from None
        except UnicodeDecodeError:
            raise BadContent("InvalidBatch : Failed to parse CSV: the data is not UTF-8") from None


def _no_csv(why: str) -> BadContent:
    return BadContent(f"InvalidBatch : Failed to parse CSV. {why}")


def _csv_rows(job: Job, access: Access, path: Path) -> Iterator[Values]:
    if job.kind != CLASSIC:
        _check_ending(job, path)
    lines = _checked_rows(path, job.separator)
    header = next(lines, None)
    if header is None and job.kind != CLASSIC:  # jsforce's own tests see such jobs complete
        return
    _check_header(job, header)
    setters = [_setter(access, name) for name in header or ()]
    for line in lines:
        if len(line) > len(setters):
            raise BadContent("InvalidBatch : A row has more columns than the header")
        row: Values = {}
        for set_, text in zip(setters, line, strict=False):
            if text:
                set_(row, None if text == _CLEAR else text)
        yield row


def _check_header(job: Job, header: list[str] | None) -> None:
    """Refuse a header that no row can be read by."""
    if header is None:
        raise BadContent("InvalidBatch : Field name not found : ")
    if len(header) > _MOST_COLUMNS or sum(map(len, header)) > _MOST_HEADER:
        raise BadContent("InvalidBatch : The header row is too long")
    if any('"' in name for name in header):  # as behind a byte order mark
        raise _no_csv(_STRAY_QUOTE)
    if job.operation in _BY_ID and [name.lower() for name in header] != ["id"]:
        raise BadContent(f"InvalidBatch : The '{job.operation}' batch must contain only ids")


def _check_ending(job: Job, path: Path) -> None:
    """Refuse data whose first line ends otherwise than the job says."""
    with path.open("rb") as file:
        line = file.readline()
    if line.endswith(b"\n") and line.endswith(b"\r\n") is not (job.line_ending == "CRLF"):
        text = f"LineEnding is invalid on user data. Current LineEnding setting is {job.line_ending}"
        raise BadContent(f"ClientInputError : {text}")


def _setter(access: Access, name: str) -> Callable[[Values, Any], None]:
    """Return what a cell of a column does to its row; the column may be ``Account.Key__c`` or ``User:Owner.Id``."""
    field = access.find(name)
    if field is not None:
        return lambda row, value: row.__setitem__(field.name, value)
    path = name.rpartition(":")[2].split(".")
    reference = access.relationships.get(path[0].lower()) if len(path) == 2 else None
    if reference is None:
        raise BadContent(f"InvalidBatch : Field name not found : {name}")
    relationship, key = path

    def set_parent(row: Values, value: Any) -> None:
        if value is None:
            row[reference.name] = None
        else:
            row[relationship] = {key: value}

    return set_parent


def _json_rows(content: bytes) -> list[Values]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadContent(f"InvalidBatch : Failed to parse JSON: {error.msg}") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadContent("InvalidBatch : Records not found")
    return found


def _xml_rows(content: bytes) -> list[Values]:
    document = xml_text.read(content)
    if document is None:
        raise BadContent("InvalidBatch : Failed to parse XML")
    if xml_text.local(document.tag) != "sObjects":
        raise BadContent("InvalidBatch : Records not found")
    return [_xml_row(one) for one in document if xml_text.local(one.tag) == "sObject"]


def _xml_row(element: Element) -> Values:
    """Read a record: nil clears, an empty element says nothing, a nested sObject is a parent by its key."""
    row: Values = {}
    for one in element:
        name, parent = xml_text.local(one.tag), xml_text.child(one, "sObject")
        if name == "type":
            continue
        if parent is not None:
            row[name] = _xml_row(parent)
        elif xml_text.is_nil(one):
            row[name] = None
        elif one.text:
            row[name] = one.text
    return row
