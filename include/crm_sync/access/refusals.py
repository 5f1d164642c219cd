"""Why Salesforce refused a row: a pure translation into Failures that name our columns and say what helps.

The codes and wordings are those of facts/salesforce.md, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from crm_sync.access.replies import VendorError, vendor_errors
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.model import Failure, FailureKind, Write

__all__ = ["BYSTANDER", "collection_failures", "row_failures"]

AGAIN = "It is sent again in the next run."
GONE = "The record is read again by its id; if it was deleted or merged, the link follows."
CONTACT_ADMIN = (
    "Correct the value on either side, or have the rule changed in Salesforce; it is then sent again."
)
DRIFT = (
    "A dry run of crm_provision__<connection> says what changed in the org, and a run of it makes it anew."
)
ROWS: dict[str, tuple[FailureKind, str]] = {
    "UNABLE_TO_LOCK_ROW": ("transient", AGAIN),
    "SERVER_UNAVAILABLE": ("transient", AGAIN),
    "ENTITY_IS_LOCKED": (
        "transient",
        "The record is locked by an approval in Salesforce; it is sent again until that ends.",
    ),
    "TXN_SECURITY_METERING_ERROR": ("transient", AGAIN),
    "TOO_MANY_APEX_REQUESTS": ("transient", AGAIN),
    "REQUEST_RUNNING_TOO_LONG": ("transient", AGAIN),
    "QUERY_TIMEOUT": ("transient", AGAIN),
    "PROCESSING_HALTED": ("transient", AGAIN),
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": ("transient", AGAIN),
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": (
        "transient",
        "The org is in maintenance. " + AGAIN,
    ),
    "STORAGE_LIMIT_EXCEEDED": (
        "transient",
        "Free data storage in Salesforce or buy more; it is sent again until then.",
    ),
    "ENTITY_IS_DELETED": ("gone", GONE),
    "NOT_FOUND": ("gone", GONE),
    "INVALID_CROSS_REFERENCE_KEY": ("gone", GONE),
    "CANNOT_UPDATE_CONVERTED_LEAD": (
        "gone",
        "The lead was converted; it goes on as the contact that it became.",
    ),
    "REQUIRED_FIELD_MISSING": (
        "permanent",
        "Fill in the named field in GPTWeb, or make it optional in Salesforce.",
    ),
    "STRING_TOO_LONG": ("permanent", "Shorten the value, or lengthen the field in Salesforce."),
    "NUMBER_OUTSIDE_VALID_RANGE": (
        "permanent",
        "Correct the number, or give the field more digits in Salesforce.",
    ),
    "INVALID_EMAIL_ADDRESS": ("permanent", "Correct the e-mail address on either side."),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": (
        "permanent",
        "Choose one of the picklist's values, or have this value added to the picklist in Salesforce.",
    ),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": (
        "permanent",
        "A validation rule of the org refuses it. " + CONTACT_ADMIN,
    ),
    "CANNOT_EXECUTE_FLOW_TRIGGER": (
        "permanent",
        "A flow of the org fails on it: have an administrator mend the flow.",
    ),
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": (
        "permanent",
        "A trigger of the org refuses it. " + CONTACT_ADMIN,
    ),
    "DUPLICATES_DETECTED": (
        "permanent",
        "A duplicate rule of the org refuses it: merge the two records, or let the integration user pass the rule.",
    ),
    "DUPLICATE_VALUE": (
        "permanent",
        "Another record has this value already: merge the two records, or correct one.",
    ),
    "DUPLICATE_EXTERNAL_ID": (
        "permanent",
        "Several records carry this key: merge them, or clear the key on all but one.",
    ),
    "INACTIVE_OWNER_OR_USER": (
        "permanent",
        "The owner of new records is inactive: set another in the connection.",
    ),
    "INVALID_FIELD": (
        "permanent",
        "The field is missing or hidden for the integration user. " + DRIFT,
    ),
    "INVALID_FIELD_FOR_INSERT_UPDATE": (
        "permanent",
        "The integration user may not edit the field; map it as incoming only if that is meant. " + DRIFT,
    ),
    "INVALID_TYPE_ON_FIELD_IN_RECORD": (
        "permanent",
        "The field has another type in Salesforce than it was mapped with. " + DRIFT,
    ),
    "INSUFFICIENT_ACCESS_OR_READONLY": (
        "permanent",
        "The integration user may not edit this record: share it with the user, or check its permission set.",
    ),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": (
        "permanent",
        "The integration user may not see the record referred to: share it with the user.",
    ),
}
NOTHING_TO_READ = (
    "The new record refers to something that is missing or hidden in Salesforce, such as its owner: mend that, or the "
    "connection's settings."
)
KEY_TAKEN = "Clear GPTWeb's key on the other record, which is a copy or was given it by hand; the next edit sends it again."
RIGHT = "The integration user may not write such records: give its permission set the right to create and edit them."
PARENT = ("INVALID_CROSS_REFERENCE_KEY", "ENTITY_IS_DELETED", "NOT_FOUND")
BYSTANDER = Failure("transient", "COLLECTION_REFUSED", "sent together with a row that was refused", (), AGAIN)
UNKNOWN: tuple[FailureKind, str] = ("permanent", CONTACT_ADMIN)

LISTED = re.compile(r"(?:fields are missing|create/update fields|update fields): ?\[?([A-Za-z0-9_, ]+)")
NO_COLUMN = re.compile(r"No such column '([^']+)'")
DUPLICATED = re.compile(r"duplicate value found: ([A-Za-z0-9_]+) duplicates")
NO_RIGHT = re.compile(r"entity type cannot be (inserted|updated|deleted)")
UNREADABLE = re.compile(r"from VALUE_[A-Z_]+ value (.+?) or request may be missing", re.DOTALL)
LABELLED = re.compile(r"^([^:\n]{1,80}): ")


def row_failures(body: object, mapping: ObjectMapping, write: Write) -> tuple[Failure, ...]:
    """Every error of one row as a Failure, fields by our column names; all of them, so that all are parked at once."""
    errors = vendor_errors(body)
    if not errors:
        errors = (VendorError("UNKNOWN", "Salesforce refused the row without a reason"),)
    return tuple(_failure(error, mapping, write) for error in errors)


def collection_failures(
    body: object, mapping: ObjectMapping, writes: Sequence[Write]
) -> list[tuple[Failure, ...]] | None:
    """The failures of each row of a collection that was refused as a whole; None when its rows should go apart.

    A field that is named parks the rows that hold it.  A cause without a name lies in one row that only trying finds.
    """
    rows = [row_failures(body, mapping, write) for write in writes]
    if len(writes) == 1:
        return rows
    if any(failure.code == "JSON_PARSER_ERROR" for failure in rows[0]):
        return None  # of several values that can't be read it names the first
    if any(failure.kind == "permanent" and not failure.fields for failure in rows[0]):
        return None
    named = {column for failure in rows[0] for column in failure.fields}
    return [
        row if not named or named & write.values.keys() else (BYSTANDER,)
        for row, write in zip(rows, writes, strict=True)
    ]


def _failure(error: VendorError, mapping: ObjectMapping, write: Write) -> Failure:
    kind, remedy = ROWS.get(error.code, UNKNOWN)
    named = list(_named_fields(error, mapping))
    fields = _columns(named, mapping) or _holding(error.message, write)
    reference = mapping.reference.ours if mapping.reference else None
    if (
        error.code in PARENT
        and reference
        and (reference in fields or (write.id is None and not named and reference in write.values))
    ):
        # Not the row itself but the record it refers to: re-read the parent, park nothing (algorithm.md 6.3).
        kind, remedy, fields = (
            "transient",
            "The record referred to is read again, then it is sent again.",
            (reference,),
        )
    elif kind == "gone" and write.id is None:
        kind, remedy = "permanent", NOTHING_TO_READ
    elif error.code == "DUPLICATE_VALUE" and write.id is None and mapping.key.theirs in named:
        # Somebody else's request created the record under our key in between: the next upsert hits it.
        kind, remedy = "transient", AGAIN
    elif error.code == "DUPLICATE_VALUE" and mapping.key.theirs in named:
        # Somebody gave our key to another record, a copy of this one for instance: all else of the record may travel.
        remedy, fields = KEY_TAKEN, (KEY,)
    elif NO_RIGHT.search(error.message):
        remedy = RIGHT
    return Failure(kind, error.code, error.message.strip(), fields, remedy)


def _named_fields(error: VendorError, mapping: ObjectMapping) -> Iterator[str]:
    """The fields that an error names, in ``fields`` or only in its words."""
    if error.fields:
        yield from error.fields
    elif listed := LISTED.search(error.message):
        yield from (name.strip() for name in listed.group(1).split(","))
    elif single := NO_COLUMN.search(error.message) or DUPLICATED.search(error.message):
        yield single.group(1)
    elif (label := LABELLED.match(error.message)) and (
        name := _labels(mapping).get(_squeezed(label.group(1)))
    ):
        yield name


def _holding(message: str, write: Write) -> tuple[str, ...]:
    """The columns of the value that an error names in the place of a field: one that can't be read as the field's type."""
    unreadable = UNREADABLE.search(message)
    return tuple(c for c, v in write.values.items() if unreadable and str(v) == unreadable.group(1))


def _labels(mapping: ObjectMapping) -> dict[str, str]:
    """Names by label: a label is the name in words ("Last Name"), or what provisioning gave the field."""
    labels = {_squeezed(f.theirs): f.theirs for f in mapping.fields}
    return labels | {_squeezed(f.create.label): f.theirs for f in mapping.fields if f.create}


def _squeezed(text: str) -> str:
    return re.sub(r"[ _]", "", text).lower()


def _columns(names: Iterable[str], mapping: ObjectMapping) -> tuple[str, ...]:
    """Our columns, each once; names that are not mapped (our key, the owner) concern the whole record."""
    found = (mapping.by_theirs.get(name.lower()) for name in names)
    return tuple(dict.fromkeys(field.ours for field in found if field))
