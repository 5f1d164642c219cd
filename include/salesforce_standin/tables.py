"""The working set: one table of immutable rows per object, its indexes, and the order in which rows changed.

A row is never altered in place: a write puts a new dict in its stead. So an open query cursor can hold rows as
they were, and undoing a write is putting the old dict back.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Any

from salesforce_standin.fields import Field
from salesforce_standin.schema import SObject

Row = dict[str, Any]

# The references by which children are looked up; an index on every OwnerId would only cost.
_PARENTS = frozenset(
    {"AccountId", "ParentId", "AssigneeId", "PermissionSetId", "ReportsToId", "MasterRecordId"}
)


class Table:
    """All rows of one object by id, deleted ones included."""

    def __init__(self, sobject: SObject) -> None:
        self.sobject = sobject
        self.rows: dict[str, Row] = {}
        self._changes: list[tuple[str, str]] = []
        self._indexes: dict[str, dict[str, str | dict[str, None]]] = {}
        for field in sobject.fields.values():
            self.watch(field)

    def watch(self, field: Field) -> None:
        """Keep an index for a field that is looked up by value."""
        if (field.indexed or field.name in _PARENTS) and field.name not in self._indexes:
            self._indexes[field.name] = {}
            for row in self.rows.values():
                self._enter(field.name, row)

    def unwatch(self, name: str) -> None:
        """Drop the index of a field that is gone."""
        self._indexes.pop(name, None)

    def put(self, id18: str, row: Row | None) -> Row | None:
        """Store a row (None removes it) and return the one that it replaces."""
        old = self.rows.get(id18)
        for name in self._indexes:
            before = old.get(name) if old else None
            after = row.get(name) if row else None
            if before != after:
                if before is not None and old:
                    self._leave(name, old)
                if after is not None and row:
                    self._enter(name, row)
        if row is None:
            self.rows.pop(id18, None)
        else:
            self.rows[id18] = row
            stamp = row.get("SystemModstamp")
            if stamp and (old is None or old.get("SystemModstamp") != stamp):
                self._note_change(stamp, id18)
        return old

    def _note_change(self, stamp: str, id18: str) -> None:
        changes = self._changes
        if changes and changes[-1][0] > stamp:  # the clock was set back
            insort(changes, (stamp, id18))
        else:
            changes.append((stamp, id18))
        if len(changes) > 1000 and len(changes) > 2 * len(self.rows):
            rows = self.rows
            self._changes = [
                c for c in dict.fromkeys(changes) if c[1] in rows and rows[c[1]]["SystemModstamp"] == c[0]
            ]

    def changed_since(self, stamp: str) -> list[Row]:
        """Return the rows whose SystemModstamp is not before the stamp, in order of change."""
        rows, changes = self.rows, self._changes
        start = bisect_left(changes, (stamp, ""))
        found: list[Row] = []
        for at, id18 in dict.fromkeys(changes[start:]):
            row = rows.get(id18)
            if row is not None and row["SystemModstamp"] == at:
                found.append(row)
        return found

    def by_value(self, field: Field, value: str) -> list[Row]:
        """Return the rows whose indexed field has the value, deleted ones too."""
        ids = self._indexes[field.name].get(self._key(field.name, value), ())
        return [self.rows[ids]] if isinstance(ids, str) else [self.rows[id18] for id18 in ids]

    def indexed(self, name: str) -> bool:
        """Whether by_value answers for this field."""
        return name in self._indexes

    def live(self) -> Iterator[Row]:
        """Yield the rows that are not deleted."""
        return (row for row in self.rows.values() if not row.get("IsDeleted"))

    def _key(self, name: str, value: Any) -> str:
        return str(value) if self.sobject.fields[name].case_sensitive else str(value).lower()

    def _enter(self, name: str, row: Row) -> None:
        value = row.get(name)
        if value is None:
            return
        index, key = self._indexes[name], self._key(name, value)
        ids = index.get(key)
        if ids is None:  # nearly every key has one row: a bare id instead of a set saves 200 bytes
            index[key] = row["Id"]
        elif isinstance(ids, str):
            index[key] = dict.fromkeys((ids, row["Id"]))
        else:
            ids[row["Id"]] = None

    def _leave(self, name: str, row: Row) -> None:
        index, key = self._indexes[name], self._key(name, row[name])
        ids = index.get(key)
        if isinstance(ids, str):
            del index[key]
        elif ids is not None:
            ids.pop(row["Id"], None)
            if not ids:
                del index[key]


class Work:
    """The writes of one request: what to undo if they fail, what to store if they stand."""

    def __init__(self) -> None:
        self._undo: list[tuple[Table, str, Row | None]] = []

    def put(self, table: Table, id18: str, row: Row | None) -> None:
        """Write a row and remember how to take that back."""
        self._undo.append((table, id18, table.put(id18, row)))

    def mark(self) -> int:
        """Return a place to roll back to."""
        return len(self._undo)

    def roll_back(self, mark: int = 0) -> Iterable[Table]:
        """Take back every write since the mark; return the tables it touched."""
        touched: dict[str, Table] = {}
        while len(self._undo) > mark:
            table, id18, old = self._undo.pop()
            table.put(id18, old)
            touched[table.sobject.name] = table
        return touched.values()

    def changes(self) -> list[tuple[str, str, Row | None]]:
        """Return (object, id, row or None) once for every row written."""
        seen: dict[tuple[str, str], Table] = {}
        for table, id18, _ in self._undo:
            seen[(table.sobject.name, id18)] = table
        return [(name, id18, table.rows.get(id18)) for (name, id18), table in seen.items()]
