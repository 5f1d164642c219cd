"""Between Salesforce's CSV and ours: rows of a query job to Images, Writes to rows of an ingest job.

In a query's CSV blank is null, booleans are words and instants end in Z; in an ingest's CSV an empty cell leaves a field
alone and ``#N/A`` clears it (facts/salesforce.md 5.1, 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crm_sync.model import Image, Value
from crm_sync.stores.salesforce_records import Records

__all__ = ["CLEAR", "CsvRecords", "cell"]

CLEAR = "#N/A"
"""In a cell of an ingest: set to null.  A text that reads so can't be sent by a job."""


class CsvRecords:
    """The rows of one result, by its column names; each becomes the Image that its JSON would have become."""

    def __init__(self, records: Records, names: Sequence[str]) -> None:
        self._image = records.image
        self._names = tuple(names)
        words = {"isdeleted", *(f.theirs.lower() for f in records.mapping.fields if f.type == "boolean")}
        instants = {
            "systemmodstamp",
            *(f.theirs.lower() for f in records.mapping.fields if f.type == "datetime"),
        }
        self._words = [name for name in names if name.lower() in words]
        self._instants = [name for name in names if name.lower() in instants]

    def image(self, row: Sequence[str]) -> Image:
        """One row."""
        record: dict[str, Any] = {name: cell or None for name, cell in zip(self._names, row, strict=True)}
        for name in self._words:
            record[name] = record[name] == "true"
        for name in self._instants:
            if record[name]:
                record[name] = f"{record[name][:-1]}+0000" if record[name].endswith("Z") else record[name]
        return self._image(record)


def cell(value: Value) -> str:
    """A value as a cell of an ingest; None clears."""
    if value is None:
        return CLEAR
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
