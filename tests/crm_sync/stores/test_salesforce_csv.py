"""Rows of a query job: what is read by the columns' places is what their JSON would have been."""

from __future__ import annotations

import pytest

from crm_sync.model import OBJECTS, Object
from crm_sync.stores.salesforce_csv import CsvRecords
from crm_sync.stores.salesforce_records import Records
from crm_sync.stores.salesforce_soql import fields_of
from tests.crm_sync.stores.wire import MAPPINGS, USER

CELLS = {
    "text": ("", "Ann, \"the\" first\nline"),
    "reference": ("", "001000000000001AAA"),
    "boolean": ("false", "true"),
    "number": ("", "12.50"),
    "datetime": ("", "2026-11-22T10:00:00.000Z"),
    "choices": ("", "b;a"),
}  # fmt: skip
SERVICE = {
    "Id": ("003000000000001AAA",) * 2,
    "SystemModstamp": ("2026-11-22T10:00:00.000Z",) * 2,
    "LastModifiedById": (USER, "005000000000009AAA"),
    "IsDeleted": ("false", "true"),
}


@pytest.mark.parametrize("object", OBJECTS)
@pytest.mark.parametrize("filled", [False, True], ids=["blank", "filled"])
def test_by_places_and_by_names_is_the_same(object: Object, filled: bool) -> None:
    mapping = MAPPINGS[object]
    kinds = {f.theirs: f.type for f in mapping.fields}
    names = fields_of(mapping)
    row = [
        (SERVICE.get(name) or (CELLS[kinds[name]] if name in kinds else ("", "some id")))[filled]
        for name in names
    ]
    records = Records(mapping, USER, None)
    by_places = CsvRecords(records, names).image(row)
    assert by_places == CsvRecords(records, [name.upper() for name in names]).image(row)
    assert (by_places.modified_by_us, by_places.deleted) == (not filled, filled)
    assert set(by_places.values) == set(mapping.columns)
    assert any(value not in (None, False) for value in by_places.values.values()) == filled
    assert (by_places.our_id, by_places.marker) == (("some id",) * 2 if filled else (None, None))
