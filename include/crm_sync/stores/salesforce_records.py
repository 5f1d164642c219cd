"""Between Salesforce's records and ours: JSON of the wire to Images, Writes to the records of a collection.

On the hot path (2,000 records a page): the plain fields are taken by one ``itemgetter``, only numbers, booleans and
instants pass a converter, and anything unusual goes the careful way through ``canonical``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.values import canonical, to_instant
from crm_sync.errors import IncompleteRead, Misconfigured
from crm_sync.model import Image, Value, Write
from crm_sync.stores.salesforce_soql import BECAME, SERVICE_FIELDS, fields_of

__all__ = ["Records", "instant_of"]

Json = Mapping[str, Any]

TEXT_OR_BLANK = frozenset({str, type(None)}).issuperset
EXACT = 2**53
"""Up to here a float holds every whole number."""


class Records:
    """The records of one object, as they are on the wire.  ``user_id`` tells our own writes from people's.

    ``service``: the names beside those of the fields; ``plain``: the fields that are text as it stands; ``typed``: column,
    name and converter of the others; ``became``: the name of what a lead became.
    """

    def __init__(self, mapping: ObjectMapping, user_id: str, owner_id: str | None) -> None:
        self.mapping = mapping
        self.our_user = user_id[:15]  # ids come with 15 or 18 characters, the first 15 decide
        self.owner = {"OwnerId": owner_id} if owner_id else {}
        self._key, self._marker = mapping.key.theirs, mapping.marker.theirs
        self._names = {f.ours: f.theirs for f in mapping.fields}
        self.plain = [f for f in mapping.fields if f.type in ("text", "reference")]
        typed = [f for f in mapping.fields if f.type not in ("text", "reference")]
        self.became = BECAME if mapping.object == "lead" else None
        self.service = (*SERVICE_FIELDS, self._key, self._marker)
        self._service = itemgetter(*self.service)
        # At least two names: itemgetter of a single one gives no tuple.
        self._plain = itemgetter(*(f.theirs for f in self.plain), "Id", "Id")
        self._columns = tuple(f.ours for f in self.plain)
        self.typed = [(f.ours, f.theirs, _converter(f)) for f in typed]

    def image(self, record: Json) -> Image:
        """A record of a query or a retrieve; a field that is not in it is absent, not blank."""
        try:
            stored_id, stamp, by, deleted, winner, our_id, marker = self._service(record)
            texts = self._plain(record)
            if "" in texts or not TEXT_OR_BLANK(map(type, texts)):
                return self._careful_image(record)
            values: dict[str, Value] = dict(zip(self._columns, texts))  # noqa: B905  # one tuple made both
            for column, name, convert in self.typed:
                values[column] = convert(record[name])
        except KeyError:
            return self._careful_image(record)
        return Image(
            stored_id, values, instant_of(stamp), our_id, marker, by[:15] == self.our_user, deleted, winner,
            record.get(self.became) if self.became else None,
        )  # fmt: skip

    def _careful_image(self, record: Json) -> Image:
        """The same for a record with fields that are missing, hidden or of an unexpected type or spelling."""
        by_name = {name.lower(): value for name, value in record.items()}
        try:
            stored_id, stamp = by_name["id"], instant_of(by_name["systemmodstamp"])
        except KeyError as missing:
            raise IncompleteRead(
                f"a {self.mapping.theirs} came without {missing}; the read begins again"
            ) from None
        return Image(
            stored_id,
            {
                f.ours: canonical(f, by_name[n])
                for f in self.mapping.fields
                if (n := f.theirs.lower()) in by_name
            },
            stamp,
            our_id=by_name.get(self._key.lower()) or None,
            marker=by_name.get(self._marker.lower()) or None,
            modified_by_us=(by_name.get("lastmodifiedbyid") or "")[:15] == self.our_user,
            deleted=by_name.get("isdeleted") is True,
            merged_into=by_name.get("masterrecordid"),
            converted_to=by_name.get(BECAME.lower()),
        )

    def retrieve(self, ids: Sequence[str | None]) -> dict[str, object]:
        """The body that retrieves all mapped fields of the records about to be written, or just written."""
        return {"ids": list(ids), "fields": fields_of(self.mapping)}

    def update(self, write: Write) -> dict[str, Value | dict[str, str]]:
        """The record of an update by Id."""
        record = self._record(write)
        record["id"] = write.id
        if write.stamp_key:
            record[self._key] = write.our_id
        return record

    def create(self, write: Write) -> dict[str, Value | dict[str, str]]:
        """The record of an upsert by our key."""
        record = self._record(write)
        record[self._key] = write.our_id
        for name, value in self.owner.items():
            record.setdefault(name, value)
        return record

    def _record(self, write: Write) -> dict[str, Value | dict[str, str]]:
        record: dict[str, Value | dict[str, str]] = {"attributes": {"type": self.mapping.theirs}}
        names = self._names
        try:
            for column, value in write.values.items():
                record[names[column]] = value
        except KeyError as missing:
            raise Misconfigured(
                f"{self.mapping.object}: column {missing} is planned but not mapped any more; plan again with the "
                "present mapping file"
            ) from None
        record[self._marker] = write.marker
        return record


@lru_cache(maxsize=4096)
def instant_of(text: str) -> datetime:
    """A stamp of theirs; they have whole seconds, so many records share one."""
    return to_instant(text)


def _converter(field: FieldMapping) -> Callable[[object], Value]:
    """``canonical`` for one field, with a short way where there is one."""
    match field.type:
        case "boolean":
            return bool
        case "datetime":
            return partial(_datetime, field)
        case "number" if field.scale == 0:
            return partial(_whole, field)
    # Scores repeat, and looking one up is ten times as fast; typed, because 1 == 1.0 == True.
    return lru_cache(maxsize=16_384, typed=True)(partial(canonical, field))


def _whole(field: FieldMapping, raw: object) -> Value:
    if type(raw) is int or (type(raw) is float and -EXACT < raw < EXACT):
        return int(raw)  # cuts off the digits beyond the scale, as ``canonical`` does
    return canonical(field, raw)


def _datetime(field: FieldMapping, raw: object) -> Value:
    if type(raw) is str and len(raw) == 28 and raw.endswith("+0000"):
        return f"{raw[:19]}Z"
    return canonical(field, raw)
