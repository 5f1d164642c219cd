"""Between Salesforce's CSV and ours: rows of a query job to Images, Writes to rows of an ingest job.

In a query's CSV blank is null, booleans are words and instants end in Z; in an ingest's CSV an empty cell leaves a field
alone and ``#N/A`` clears it (facts/salesforce.md 5.1, 5.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from crm_sync.model import Image, Value
from crm_sync.stores.salesforce_records import Records, instant_of
from crm_sync.stores.salesforce_soql import SERVICE_FIELDS

__all__ = ["CLEAR", "CsvRecords", "cell"]

CLEAR = "#N/A"
"""In a cell of an ingest: set to null.  A text that reads so can't be sent by a job."""


class CsvRecords:
    """The rows of one result, by its column names; each becomes the Image that its JSON would have become.

    A cell is text or blank, so nothing has to be looked at twice: the columns' places are found once.
    """

    def __init__(self, records: Records, names: Sequence[str]) -> None:
        self._records = records
        self._names = tuple(names)
        fields = records.mapping.fields
        self._words = {"isdeleted", *(f.theirs.lower() for f in fields if f.type == "boolean")}
        self._instants = {"systemmodstamp", *(f.theirs.lower() for f in fields if f.type == "datetime")}
        try:
            self.image = self._by_places({name: place for place, name in enumerate(names)})
        except KeyError:  # a field is not there, or spelt otherwise
            self.image = self._by_names

    def _by_places(self, places: Mapping[str, int]) -> Callable[[Sequence[str]], Image]:
        records = self._records
        service = itemgetter(*(places[name] for name in records.service))
        # At least two places: itemgetter of a single one gives no tuple.
        plain = itemgetter(*(places[f.theirs] for f in records.plain), places["Id"], places["Id"])
        columns = tuple(f.ours for f in records.plain)
        typed = [
            (column, places[name], self._cells(name, convert)) for column, name, convert in records.typed
        ]
        stamp_of = self._cells(SERVICE_FIELDS[1], instant_of)
        became = places[records.became] if records.became else None
        our_user = records.our_user

        def image(row: Sequence[str]) -> Image:
            stored_id, stamp, by, deleted, winner, our_id, marker = service(row)
            values: dict[str, Value] = dict(zip(columns, [cell or None for cell in plain(row)]))  # noqa: B905  # the id at the end
            for column, place, convert in typed:
                values[column] = convert(row[place])
            return Image(
                stored_id, values, stamp_of(stamp), our_id or None, marker or None, by[:15] == our_user, deleted == "true",
                winner or None, None if became is None else row[became] or None,
            )  # fmt: skip

        return image

    def _cells(self, name: str, convert: Callable[[Any], Any]) -> Callable[[str], Any]:
        """The converter of one column; many cells are alike, and looking one up is ten times as fast."""
        return lru_cache(maxsize=4096)(lambda cell: convert(self._json(name, cell)))

    def _by_names(self, row: Sequence[str]) -> Image:
        return self._records.image(
            {name: self._json(name, cell) for name, cell in zip(self._names, row, strict=True)}
        )

    def _json(self, name: str, cell: str) -> str | bool | None:
        """What stands for this cell in JSON."""
        if name.lower() in self._words:
            return cell == "true"
        if name.lower() in self._instants and cell.endswith("Z"):
            return f"{cell[:-1]}+0000"
        return cell or None


def cell(value: Value) -> str:
    """A value as a cell of an ingest; None clears."""
    if value is None:
        return CLEAR
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
