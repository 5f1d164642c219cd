"""Keys of rows that are upserted together: a key that stands there twice writes none of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from salesforce_standin.errors import Fault, RowError
from salesforce_standin.fields import Field
from salesforce_standin.records import Ambiguous, Outcome, Writer


def _value(record: dict[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    return next((value for key, value in record.items() if key.lower() == name.lower()), None)


def _without(record: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a record without its key, which is nearly always spelt as the field is."""
    if name in record:
        rest = dict(record)
        del rest[name]
        return rest
    return {key: value for key, value in record.items() if key.lower() != name.lower()}


def _folded(value: Any, *, exact: bool) -> str:
    text = str(value).strip() if value is not None else ""
    return text if exact else text.lower()


class Upserts:
    """The rows of one call or chunk, written by one key."""

    def __init__(self, field: Field, records: Iterable[dict[str, Any]]) -> None:
        self._field = field
        self._exact = field.case_sensitive
        self._repeated: set[str] = set()
        seen: set[str] = set()
        for record in records:
            folded = _folded(_value(record, field.name), exact=self._exact)
            if folded:
                (self._repeated if folded in seen else seen).add(folded)

    def write(self, writer: Writer, name: str, record: dict[str, Any]) -> Outcome:
        """Change or create one of the records."""
        field = self._field
        value = _value(record, field.name)
        if _folded(value, exact=self._exact) in self._repeated:
            raise RowError(
                Fault("DUPLICATE_VALUE", f"Duplicate external id specified: {value}", (field.name,))
            )
        if field.type != "id" and (value is None or not str(value).strip()):
            raise RowError(Fault("MISSING_ARGUMENT", f"{field.name} not specified", ()))
        try:
            return writer.upsert(name, field, value, _without(record, field.name))
        except Ambiguous as several:
            message = (
                f"{field.name}: more than one record found for external id field: [{', '.join(several.ids)}]"
            )
            raise RowError(Fault("DUPLICATE_EXTERNAL_ID", message, ())) from None
