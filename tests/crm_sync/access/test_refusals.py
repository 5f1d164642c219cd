"""Why a row was refused, with the bodies that real orgs sent (facts/salesforce.md 6)."""

from __future__ import annotations

import pytest

from crm_sync.access.refusals import BYSTANDER, ROWS, collection_failures, row_failures
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Failure, Object, Write

MAPPINGS = load_mappings("salesforce")
UPDATE = Write("our", "003", "m", {"title": "T"})
CREATE = Write("our", None, "m", {"last_name": "L", "account_id": "001"})


def failures_of(
    code: str, message: str, fields: list[str] | None = None, write: Write = UPDATE, of: Object = "contact"
) -> tuple[Failure, ...]:
    body = [{"statusCode": code, "message": message, "fields": fields or []}]
    return row_failures(body, MAPPINGS[of], write)


@pytest.mark.parametrize(
    ("code", "message", "fields", "kind", "columns"),
    [
        (
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName]",
            ["LastName"],
            "permanent",
            ("last_name",),
        ),
        (
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName]",
            [],
            "permanent",
            ("last_name",),
        ),
        (
            "REQUIRED_FIELD_MISSING",
            "Required fields are missing: [LastName, Email]",
            [],
            "permanent",
            ("last_name", "email"),
        ),
        ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: badone", ["Email"], "permanent", ("email",)),
        ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: badone", [], "permanent", ("email",)),
        (
            "STRING_TOO_LONG",
            "Last Name: data value too large: xxx (max length=80)",
            ["LastName"],
            "permanent",
            ("last_name",),
        ),
        (
            "STRING_TOO_LONG",
            "Last Name: data value too large: xxx (max length=80)",
            [],
            "permanent",
            ("last_name",),
        ),
        (
            "NUMBER_OUTSIDE_VALID_RANGE",
            "GPTWeb AI Score: value outside of valid range",
            [],
            "permanent",
            ("total_score",),
        ),
        (
            "INVALID_FIELD",
            "No such column 'GPTWeb_AI_Score__c' on sobject of type Contact",
            [],
            "permanent",
            ("total_score",),
        ),
        (
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "Unable to create/update fields: Title, Phone. Please check the security settings of this field.",
            [],
            "permanent",
            ("title", "phone"),
        ),
        (
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "Phone must be international",
            ["Phone"],
            "permanent",
            ("phone",),
        ),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Not on Fridays: sorry", [], "permanent", ()),
        ("DUPLICATES_DETECTED", "Use one of these records?", [], "permanent", ()),
        (
            "DUPLICATE_VALUE",
            "duplicate value found: GPTWeb_Id__c duplicates value on record with id: 003",
            [],
            "permanent",
            ("id",),
        ),
        ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [], "gone", ()),
        (
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
            ["AccountId"],
            "transient",
            ("account_id",),
        ),
        ("ENTITY_IS_DELETED", "entity is deleted", [], "gone", ()),
        ("ENTITY_IS_DELETED", "entity is deleted", ["AccountId"], "transient", ("account_id",)),
        ("NOT_FOUND", "The requested resource does not exist", [], "gone", ()),
        ("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [], "gone", ()),
        (
            "UNABLE_TO_LOCK_ROW",
            "unable to obtain exclusive access to this record or 1 records: 003",
            [],
            "transient",
            (),
        ),
        ("SERVER_UNAVAILABLE", "Server is too busy", [], "transient", ()),
        ("A_CODE_OF_NEXT_YEAR", "something new", ["Title"], "permanent", ("title",)),
        ("INACTIVE_OWNER_OR_USER", "inactive owner", ["OwnerId"], "permanent", ()),
    ],
)
def test_what_to_do_about_a_row(
    code: str, message: str, fields: list[str], kind: str, columns: tuple[str, ...]
) -> None:
    [failure] = failures_of(code, message, fields)
    assert (failure.kind, failure.code, failure.fields) == (kind, code, columns)
    assert failure.message == message
    assert failure.remedy


def test_all_errors_of_a_row_are_told() -> None:
    body = [
        {"statusCode": "INVALID_EMAIL_ADDRESS", "message": "Email: invalid", "fields": ["Email"]},
        {"statusCode": "STRING_TOO_LONG", "message": "Title: too large", "fields": ["Title"]},
    ]
    assert [f.fields for f in row_failures(body, MAPPINGS["contact"], UPDATE)] == [("email",), ("title",)]


def test_a_row_without_errors_is_still_refused() -> None:
    [failure] = row_failures([], MAPPINGS["contact"], UPDATE)
    assert (failure.kind, failure.code) == ("permanent", "UNKNOWN")


def test_a_create_has_no_record_of_its_own_to_be_gone() -> None:
    [failure] = failures_of("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", write=CREATE)
    assert (failure.kind, failure.fields) == ("transient", ("account_id",))


def test_a_key_taken_while_we_create_is_hit_by_the_next_upsert() -> None:
    text = "duplicate value found: GPTWeb_Id__c duplicates value on record with id: 003"
    [failure] = failures_of("DUPLICATE_VALUE", text, write=CREATE)
    assert failure.kind == "transient"


def test_a_right_that_is_missing_is_no_trigger_of_the_org() -> None:
    text = "entity type cannot be inserted: Contact"
    [failure] = failures_of("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text, write=CREATE)
    assert "permission set" in failure.remedy


def test_a_lead_has_no_reference() -> None:
    [failure] = failures_of("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", of="lead")
    assert failure.kind == "gone"


def test_every_remedy_says_something() -> None:
    assert all(len(remedy) > 20 and remedy.endswith(".") for _kind, remedy in ROWS.values())


def test_a_field_that_a_whole_collection_is_refused_for_parks_only_the_rows_that_hold_it() -> None:
    body = [{"errorCode": "INVALID_FIELD", "message": "No such column 'Title' on sobject of type Contact"}]
    writes = [UPDATE, Write("o", "003b", "m", {"phone": "1"})]
    rows = collection_failures(body, MAPPINGS["contact"], writes)
    assert rows is not None
    assert [[f.fields for f in row] for row in rows] == [[("title",)], [()]]
    assert rows[1] == (BYSTANDER,)


def test_a_nameless_cause_has_to_be_looked_for_unless_the_row_is_alone() -> None:
    body = [{"errorCode": "JSON_PARSER_ERROR", "message": "Value too large for int"}]
    assert collection_failures(body, MAPPINGS["contact"], [UPDATE, UPDATE]) is None
    alone = collection_failures(body, MAPPINGS["contact"], [UPDATE])
    assert alone is not None
    assert [f.kind for f in alone[0]] == ["permanent"]


def test_a_busy_collection_goes_again_as_it_is() -> None:
    body = [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access"}]
    rows = collection_failures(body, MAPPINGS["contact"], [UPDATE, UPDATE])
    assert rows is not None
    assert [[f.kind for f in row] for row in rows] == [["transient"], ["transient"]]


def test_a_create_that_refers_to_nothing_by_name_has_nothing_to_be_read_again() -> None:
    code, text = "INVALID_CROSS_REFERENCE_KEY", "Owner ID: invalid"
    [named] = failures_of(code, text, ["OwnerId"], write=CREATE)
    [lead] = failures_of(code, text, write=Write("o", None, "m", {"last_name": "Lee"}), of="lead")
    assert (named.kind, lead.kind) == ("permanent", "permanent")


def test_a_value_that_can_not_be_read_names_the_column_that_holds_it() -> None:
    text = "Cannot deserialize instance of date from VALUE_STRING value Boss or request may be missing a required field"
    [failure] = failures_of(
        "JSON_PARSER_ERROR", text, write=Write("o", "003a", "m", {"title": "Boss", "phone": "1"})
    )
    assert failure.fields == ("title",)
    body = [{"errorCode": "JSON_PARSER_ERROR", "message": text}]
    assert collection_failures(body, MAPPINGS["contact"], [UPDATE, UPDATE]) is None
