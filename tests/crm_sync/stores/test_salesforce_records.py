"""Records of the wire: the short way gives what ``canonical`` gives, and absent stays absent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.decide.values import canonical
from crm_sync.errors import IncompleteRead, Misconfigured
from crm_sync.model import Write
from crm_sync.stores.salesforce_records import Records
from tests.crm_sync.stores.wire import MAPPINGS, USER, service, whole

CONTACTS = Records(MAPPINGS["contact"], USER, None)
ACCOUNTS = Records(MAPPINGS["account"], USER, "005owner")

INSTANTS = datetime(1970, 1, 2, tzinfo=UTC)

RAW = {
    "text": st.none() | st.text(max_size=5) | st.integers() | st.booleans(),
    "reference": st.none() | st.just("001000000000000AAA"),
    "boolean": st.none() | st.booleans(),
    "number": st.none()
    | st.integers(-(10**15), 10**15)
    | st.floats(-1e15, 1e15, allow_nan=False)
    | st.decimals(-1000, 1000, places=2).map(float),
    "datetime": st.none()
    | st.just("")
    | st.integers(-8_000_000_000, 8_000_000_000).map(
        lambda s: f"{INSTANTS + timedelta(seconds=s):%Y-%m-%dT%H:%M:%S}.000+0000"
    )
    | st.integers(0, 8_000_000_000).map(
        lambda s: f"{INSTANTS + timedelta(seconds=s):%Y-%m-%dT%H:%M:%S}+02:00"
    ),
}


@given(st.fixed_dictionaries({f.theirs: RAW[f.type] for f in MAPPINGS["account"].fields}))
def test_the_short_way_and_canonical_agree(raw: dict[str, Any]) -> None:
    image = ACCOUNTS.image(service(**raw))
    expected = {f.ours: canonical(f, raw[f.theirs]) for f in MAPPINGS["account"].fields}
    assert {c: (v, type(v)) for c, v in image.values.items()} == {
        c: (v, type(v)) for c, v in expected.items()
    }


def test_the_service_fields() -> None:
    image = CONTACTS.image(whole())
    assert (image.id, image.our_id, image.marker) == ("003000000000001AAA", "our id", "marker")
    assert image.stamp == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert (image.modified_by_us, image.deleted, image.merged_into) == (True, False, None)


def test_who_changed_it_is_told_with_15_and_with_18_characters() -> None:
    assert CONTACTS.image(whole(LastModifiedById=USER[:15])).modified_by_us
    assert Records(MAPPINGS["contact"], USER[:15], None).image(whole()).modified_by_us
    assert not CONTACTS.image(whole(LastModifiedById="0055g000001ABCDEFG")).modified_by_us


def test_a_deleted_record_and_its_winner() -> None:
    image = CONTACTS.image(whole(IsDeleted=True, MasterRecordId="003000000000002AAA"))
    assert (image.deleted, image.merged_into) == (True, "003000000000002AAA")


def test_a_missing_field_is_absent_and_a_blank_one_is_none() -> None:
    record = whole(Email="", Title=None)
    del record["Phone"]
    values = CONTACTS.image(record).values
    assert (values["email"], values["title"]) == (None, None)
    assert "phone" not in values


def test_a_missing_number_is_absent_too() -> None:
    record = whole()
    del record["GPTWeb_Visit_Count__c"]
    assert "visit_count" not in CONTACTS.image(record).values


def test_the_orgs_spelling_of_names_does_not_matter() -> None:
    record = {name.upper(): value for name, value in whole(Title="T").items()}
    assert CONTACTS.image(record).values["title"] == "T"


def test_a_record_without_its_stamp_is_no_record() -> None:
    record = whole()
    del record["SystemModstamp"]
    with pytest.raises(IncompleteRead):
        CONTACTS.image(record)


def test_an_update_names_its_record_and_only_what_is_written() -> None:
    assert CONTACTS.update(Write("our", "003", "m", {"title": None, "phone": "1"})) == {
        "attributes": {"type": "Contact"},
        "id": "003",
        "Title": None,
        "Phone": "1",
        "GPTWeb_Sync_Marker__c": "m",
    }
    assert CONTACTS.update(Write("our", "003", "m", {}, stamp_key=True))["GPTWeb_Id__c"] == "our"


def test_a_create_carries_the_key_and_the_owner() -> None:
    assert ACCOUNTS.create(Write("our", None, "m", {"name": "N"})) == {
        "attributes": {"type": "Account"},
        "Name": "N",
        "GPTWeb_Id__c": "our",
        "GPTWeb_Sync_Marker__c": "m",
        "OwnerId": "005owner",
    }


def test_a_column_that_is_not_mapped_any_more_is_told() -> None:
    with pytest.raises(Misconfigured, match="'fax' is planned but not mapped"):
        CONTACTS.update(Write("our", "003", "m", {"fax": "1"}))
