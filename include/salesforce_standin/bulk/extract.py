"""A bulk query: what it finds goes to a file, a few thousand records at a time."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from salesforce_standin.bulk.jobs import CLASSIC, Batch, Job
from salesforce_standin.bulk.spelling import CsvSpelling, JsonSpelling, Spelling, XmlSpelling
from salesforce_standin.errors import ApiError, fail
from salesforce_standin.soql.binding import Bound, Scope, entity
from salesforce_standin.soql.evaluate import Reader, Result
from salesforce_standin.soql.parser import parse
from salesforce_standin.soql.tree import Aggregate, Column, FieldsOf, Query, TypeOf

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_STEP = 2_000
_NOTHING = b"Records not found for this query"


def columns_of(org: Org, user_id: str, query: Query, *, nested: bool = False) -> tuple[str, list[Bound]]:
    """Return the object and the columns of a query, or refuse one that the bulk APIs don't take (facts 5.2).

    TYPEOF is answered where records nest: a cassette of CumulusCI has it in Bulk API 1.0 with JSON, whatever the guide says.
    """
    scope = Scope(org, user_id, query, entity(org, user_id, query, tooling=False))
    if query.group_by or any(isinstance(item, Aggregate) for item in query.select):
        raise _unsupported("Aggregate Relationships not supported in Bulk Query")
    if query.offset:
        raise _unsupported("OFFSET clause not supported in Bulk Query")
    if any(isinstance(item, Query) for item in query.select):
        raise _unsupported("Nested queries not supported in Bulk Query")
    if any(isinstance(item, FieldsOf) for item in query.select):
        raise _unsupported("FIELDS function not supported in Bulk Query")
    if not nested and any(isinstance(item, TypeOf) for item in query.select):
        raise _unsupported("TYPEOF not supported in Bulk Query")
    columns = [scope.bind(item.path) for item in query.select if isinstance(item, Column)]
    if any(column.field.parts for column in columns):
        raise _unsupported("Selecting compound data not supported in Bulk Query")
    return scope.access.sobject.name, columns


def _unsupported(message: str) -> ApiError:
    return fail(400, "FUNCTIONALITY_NOT_ENABLED", message)


class Extract:
    """A query while it is worked off."""

    def __init__(self, org: Org, job: Job, batch: Batch, content: Path, result: Path, index: Path) -> None:
        text = content.read_text(encoding="utf-8")
        tree = parse(text)
        name, columns = columns_of(org, job.user_id, tree, nested=job.content_type == "JSON")
        if name != job.object:
            message = (
                f"The root entity of the requested query ({name}) does not match the entity of the requested Bulk API"
                f" Job ({job.object})."
            )
            raise fail(400, "INVALID_TYPE_FOR_OPERATION", message)
        reader = Reader(org, job.user_id, f"/services/data/v{job.version}.0", job.operation == "queryAll")
        found = reader.run(tree)
        rows = found.rows
        if batch.high:
            rows = [row for row in rows if batch.low <= row["Id"] < batch.high]
        self._rows = rows
        self._spelling = _spelling(org, job, found, columns)
        self._starts = array("Q")
        self._result, self._index = result, index
        self.done = 0
        begin = _NOTHING if job.kind == CLASSIC and job.content_type == "CSV" and not rows else None
        with result.open("wb") as file:
            file.write(self._spelling.begin if begin is None else begin)
            self._size = file.tell()

    def step(self) -> bool:
        """Write down some more records; say whether those were the last."""
        spell, between = self._spelling.spell, self._spelling.between
        lines = [spell(row) for row in self._rows[self.done : self.done + _STEP]]
        for line in lines:
            self._starts.append(self._size)
            self._size += len(line) + len(between)
        last = self.done + len(lines) >= len(self._rows)
        with self._result.open("ab") as file:
            if between and self.done and lines:
                file.write(between)
            file.write(between.join(lines))
            if last:
                file.write(self._spelling.end)
        self.done += len(lines)
        if last:
            self._starts.append(self._size)
            self._index.write_bytes(self._starts.tobytes())
        return last


def _spelling(org: Org, job: Job, found: Result, columns: list[Bound]) -> Spelling:
    readable = org.access(job.user_id, job.object).readable
    if job.content_type == "CSV":
        return CsvSpelling(columns, job.separator, job.ending)
    if job.content_type == "JSON":
        return JsonSpelling(found.show, readable)
    return XmlSpelling(found.show, readable)


def slice_of(result: Path, index: Path, start: int, count: int) -> tuple[bytes, int, int]:
    """Return (header and records, how many records, how many there are in all) of a CSV result."""
    starts = array("Q")
    total = index.stat().st_size // starts.itemsize - 1
    end = min(start + count, total)
    with index.open("rb") as file:
        starts.fromfile(file, 1)
        file.seek(min(start, total) * starts.itemsize)
        starts.fromfile(file, max(end - start, 0) + 1)
    head, *begins = starts
    with result.open("rb") as file:
        header = file.read(head)
        file.seek(begins[0])
        return header + file.read(begins[-1] - begins[0]), max(end - start, 0), total
