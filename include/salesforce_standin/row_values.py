"""The values of one row on its way in: names resolved, values coerced, references and uniqueness checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.errors import DELETED, Fault, RowError
from salesforce_standin.fields import Field
from salesforce_standin.permission_rules import inactive_owner
from salesforce_standin.permissions import Access
from salesforce_standin.schema import SObject
from salesforce_standin.tables import Row, Table
from salesforce_standin.validation import Invalid, coerce

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MASTER_TYPE = "012000000000000AAA"


def clean(org: Org, access: Access, data: dict[str, Any], *, creating: bool) -> Row:
    """Return the values to store, None for those to clear, or raise with every reason to refuse the row."""
    values: Row = {}
    closed: list[str] = []
    faults: list[Fault] = []
    bad: set[str] = set()
    for name, given in data.items():
        if name == "attributes":
            continue
        field, value = access.find(name), given
        if field is None:
            field, value = _through_relationship(org, access, name, given)
        if not (field.createable if creating else field.updateable) or field.name not in access.editable:
            closed.append(field.name)
            continue
        try:
            values[field.name] = found = coerce(field, value)
            if found is not None and field.type == "reference":
                _check_reference(org, access, field, values)
        except Invalid as refused:
            faults.append(refused.fault)
            bad.add(field.name)
    _refuse(access, closed, creating=creating)
    faults[:0] = _missing(access.sobject, values, bad, creating=creating)
    if faults:
        raise RowError(*faults)
    return values


def _refuse(access: Access, closed: list[str], *, creating: bool) -> None:
    if not closed:
        return
    if "Id" in closed and creating:
        raise RowError(
            Fault("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",))
        )
    if "Id" in closed:
        raise RowError(
            Fault("INVALID_FIELD", "The Id field should not be specified in the sobject data.", None)
        )
    message = (
        f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this field and"
        " verify that it is read/write for your profile or permission set."
    )
    raise RowError(Fault("INVALID_FIELD_FOR_INSERT_UPDATE", message, tuple(closed)))


def _missing(sobject: SObject, values: Row, bad: set[str], *, creating: bool) -> list[Fault]:
    """Return the fault of required fields that would be empty."""
    asked = (name for name in sobject.required if (creating or name in values) and name not in bad)
    names = [name for name in asked if values.get(name) is None]
    if not names:
        return []
    return [
        Fault("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", tuple(names))
    ]


def _through_relationship(org: Org, access: Access, name: str, value: Any) -> tuple[Field, str]:
    """Resolve ``"Account": {"Key__c": "x"}`` to the reference and the id of the record with that key."""
    field = access.relationships.get(name.lower())
    if field is None or not isinstance(value, dict):
        message = f"No such column '{name}' on sobject of type {access.sobject.name}"
        raise RowError(Fault("INVALID_FIELD", message, None))
    keys = {k: v for k, v in value.items() if k != "attributes"}
    for target in field.reference_to:
        if target not in org.tables or len(keys) != 1:
            continue
        key, wanted = next(iter(keys.items()))
        found_key = org.access(access.user_id, target).find(key)
        if found_key is None or not (found_key.indexed or found_key.type == "id"):
            continue
        found = find_live(org.tables[target], found_key, wanted)
        if len(found) == 1:
            return field, found[0]["Id"]
        message = f"Foreign key external ID: {wanted} not found for field {found_key.name} in entity {target}"
        raise RowError(Fault("INVALID_FIELD", message, None))
    message = f"No external id among {list(keys)} on the entities that {field.name} refers to"
    raise RowError(Fault("INVALID_FIELD", message, None))


def find_live(table: Table, key: Field, value: Any) -> list[Row]:
    """Return the rows that carry a key and are not deleted."""
    if value is None or not str(value).strip():
        raise RowError(Fault("MISSING_ARGUMENT", f"{key.name} not specified", ()))
    if key.type == "id":
        id18 = ids.normalise(value)
        row = table.rows.get(id18) if id18 else None
        return [row] if row and not row.get("IsDeleted") else []
    return [row for row in table.by_value(key, str(value).strip()) if not row.get("IsDeleted")]


def _check_reference(org: Org, access: Access, field: Field, values: Row) -> None:
    """Refuse a reference to nothing, to something deleted, or to the wrong kind of record."""
    id18 = values[field.name]
    if field.name == "RecordTypeId" and id18 == _MASTER_TYPE:
        values[field.name] = None
        return
    target = org.sobject_of_id(id18)
    if target is not None and target.name not in field.reference_to:
        raise Invalid(
            Fault("MALFORMED_ID", f"{field.label}: id value of incorrect type: {id18}", (field.name,))
        )
    row = org.tables[target.name].rows.get(id18) if target else None
    if row is None:
        raise Invalid(Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()))
    if row.get("IsDeleted"):
        raise Invalid(DELETED)
    if field.name == "OwnerId":
        fault = inactive_owner(org, id18, access.sobject.name)
        if fault:
            raise Invalid(fault)


def refuse_twins(table: Table, row: Row, old: Row | None) -> None:
    """Refuse a value of a unique field that another live record has."""
    for field in table.sobject.unique:
        value = row.get(field.name)
        if value is None or (old is not None and old.get(field.name) == value and not old.get("IsDeleted")):
            continue
        for other in table.by_value(field, value):
            if other["Id"] != row["Id"] and not other.get("IsDeleted"):
                message = f"duplicate value found: {field.name} duplicates value on record with id: {other['Id'][:15]}"
                raise RowError(Fault("DUPLICATE_VALUE", message, ()))


def compose(sobject: SObject, row: Row) -> None:
    """Fill in what follows from other values: a full name, the photo's address, what nobody cleaned."""
    if row.get("LastName") is not None:
        parts = (row.get("FirstName"), row.get("LastName"))
        row["Name"] = " ".join(part for part in parts if part)
    if "CleanStatus" in sobject.fields:
        row.setdefault("CleanStatus", "Pending")  # as every recorded record has it
    if "PhotoUrl" in sobject.fields:
        row.setdefault("PhotoUrl", f"/services/images/photo/{row['Id']}")
