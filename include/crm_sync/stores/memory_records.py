"""One record of the CRM in memory, and which reads find it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.model import ById, ByMatchKey, ByOurKey, ChangedSince, Image, Object, Read, Value

__all__ = ["PREFIX", "Record", "matches"]

PREFIX: dict[Object, str] = {"account": "001", "contact": "003", "lead": "00Q"}
"""Of ids, as in Salesforce."""


@dataclass(slots=True)
class Record:
    """A record as the CRM holds it."""

    id: str
    object: Object
    values: dict[str, Value]
    stamp: datetime
    our_id: str | None = None
    marker: str | None = None
    modified_by_us: bool = False
    deleted: bool = False
    merged_into: str | None = None
    converted_to: str | None = None

    def image(self, hidden: Collection[str]) -> Image:
        """The record as a read shows it; hidden columns are absent."""
        return Image(
            self.id,
            {column: value for column, value in self.values.items() if column not in hidden},
            self.stamp,
            self.our_id,
            self.marker,
            self.modified_by_us,
            self.deleted,
            self.merged_into,
            self.converted_to,
        )


def matches(read: Read, record: Record, mapping: ObjectMapping) -> bool:
    """Whether a read finds the record."""
    if record.object != read.object:
        return False
    match read:
        case ChangedSince():
            started = read.since is None or record.stamp >= read.since
            return started and (read.until is None or record.stamp < read.until)
        case ById():
            return record.id in read.ids
        case ByOurKey():
            return record.our_id in read.our_ids
        case ByMatchKey():
            keys = {key.casefold() for key in read.keys}
            held = (record.values.get(column) for column in mapping.match)
            return not record.deleted and any(_spellings(value) & keys for value in held)


def _spellings(value: Value) -> set[str]:
    """The match keys that a value answers to: itself, and for the address of a website its domain."""
    if not isinstance(value, str):
        return set()
    text = value.strip().casefold()
    return {text, text.split("://")[-1].split("/")[0].removeprefix("www.")}
