"""Rules of the permission objects, which are plain records otherwise (facts/salesforce.md 7.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from salesforce_standin import ids
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

Rule = Callable[["Org", Row, Row | None], None]

_DUPLICATE = Fault(
    "DUPLICATE_VALUE", "duplicate value found: <unknown> duplicates value on record with id: <unknown>", ()
)
_NEEDS = (
    ("Create", "Read"),
    ("Edit", "Read"),
    ("Delete", "Edit"),
    ("ViewAllRecords", "Read"),
    ("ModifyAllRecords", "ViewAllRecords"),
    ("ModifyAllRecords", "Edit"),
    ("ModifyAllRecords", "Delete"),
)


def _refuse_twin(org: Org, name: str, row: Row, *keys: str) -> None:
    table = org.tables[name]
    parent = table.sobject.fields[keys[0]]
    others = table.by_value(parent, row[keys[0]]) if table.indexed(keys[0]) else table.rows.values()
    if any(other["Id"] != row["Id"] and all(other.get(k) == row.get(k) for k in keys) for other in others):
        raise RowError(_DUPLICATE)


def _bad_option(label: str, value: str, field: str) -> RowError:
    message = f"{label}: bad value for restricted picklist field: {value}"
    return RowError(Fault("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (field,)))


def field_permissions(org: Org, row: Row, _old: Row | None) -> None:
    """Accept only fields that can be guarded, once per permission set, and edit only with read."""
    owner, _, name = row["Field"].partition(".")
    sobject = org.objects.get(row["SobjectType"])
    if sobject is None or not sobject.soft_deletes:
        raise _bad_option("Sobject Type Name", row["SobjectType"], "SobjectType")
    field = sobject.fields.get(name)
    if owner != sobject.name or field is None or not field.permissionable:
        raise _bad_option("Field Name", row["Field"], "Field")
    if row.get("PermissionsEdit") and not row.get("PermissionsRead"):
        message = f"Permission Edit {row['Field']} depends on permission(s): Read {row['Field']}"
        raise RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, ()))
    _refuse_twin(org, "FieldPermissions", row, "ParentId", "Field")


def object_permissions(org: Org, row: Row, _old: Row | None) -> None:
    """Accept each permission only with those that it rests on."""
    sobject = org.objects.get(row["SobjectType"])
    if sobject is None or not sobject.soft_deletes:
        raise _bad_option("Sobject Type Name", row["SobjectType"], "SobjectType")
    for permission, needed in _NEEDS:
        if row.get("Permissions" + permission) and not row.get("Permissions" + needed):
            message = (
                f"Permission {permission} {sobject.name} depends on permission(s): {needed} {sobject.name}"
            )
            raise RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, ()))
    _refuse_twin(org, "ObjectPermissions", row, "ParentId", "SobjectType")


def permission_set(org: Org, row: Row, old: Row | None) -> None:
    """Keep names unique, and the profiles' own sets as they are named."""
    if old is not None and old.get("IsOwnedByProfile") and old["Name"] != row["Name"]:
        message = "insufficient access rights on object id"
        raise RowError(Fault("INSUFFICIENT_ACCESS_OR_READONLY", message, ()))
    if not row["Name"].replace("_", "a").isalnum() or not row["Name"][0].isalpha():
        message = (
            "The Permission Set API Name can only contain underscores and alphanumeric characters. It must be unique,"
            " begin with a letter, not include spaces, not end with an underscore, and not contain two consecutive"
            " underscores."
        )
        raise RowError(Fault("INVALID_FIELD", message, ("Name",)))
    _refuse_twin(org, "PermissionSet", row, "Name")


def assignment(org: Org, row: Row, _old: Row | None) -> None:
    """Assign a set to a user once."""
    if not row.get("PermissionSetId"):
        raise RowError(
            Fault(
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [PermissionSetId]",
                ("PermissionSetId",),
            )
        )
    _refuse_twin(org, "PermissionSetAssignment", row, "AssigneeId", "PermissionSetId")


def user(org: Org, row: Row, old: Row | None) -> None:
    """Give a new user the permissions of the profile: those come through the profile's own permission set."""
    if old is not None and old.get("ProfileId") == row.get("ProfileId"):
        return
    for name in ("PermissionSetAssignment",):
        table = org.tables[name]
        owned = {s["Id"] for s in org.tables["PermissionSet"].rows.values() if s.get("IsOwnedByProfile")}
        for stale in list(table.by_value(table.sobject.fields["AssigneeId"], row["Id"])):
            if stale["PermissionSetId"] in owned:
                org.put(table, stale["Id"], None)
    for found in org.tables["PermissionSet"].rows.values():
        if found.get("ProfileId") == row["ProfileId"]:
            assign(org, row["Id"], found["Id"])


def assign(org: Org, user_id: str, set_id: str) -> None:
    """Assign a permission set to a user."""
    table = org.tables["PermissionSetAssignment"]
    id18 = org.sequence.next(table.sobject.prefix)
    row = {
        "Id": id18,
        "PermissionSetId": set_id,
        "AssigneeId": user_id,
        "IsActive": True,
        "SystemModstamp": org.clock.stamp(),
    }
    org.put(table, id18, row)


def assigned_set(org: Org, row: Row) -> None:
    """Keep a permission set as long as somebody has it."""
    table = org.tables["PermissionSetAssignment"]
    assigned = table.by_value(table.sobject.fields["PermissionSetId"], row["Id"])
    if assigned:
        names = ", ".join(org.tables["User"].rows[one["AssigneeId"]]["Name"] for one in assigned)
        message = (
            f"Your attempt to delete {row['Label']} could not be completed because it is assigned to the following"
            f" users.: {names}"
        )
        raise RowError(Fault("DELETE_FAILED", message, ()))


def inactive_owner(org: Org, owner_id: str, name: str) -> Fault | None:
    """Return why a user can't own a record."""
    owner = org.tables["User"].rows.get(owner_id)
    if owner is None or owner.get("IsActive"):
        return None
    message = f"operation performed with inactive user [{ids.normalise(owner_id)}] as owner of {name.lower()}"
    return Fault("INACTIVE_OWNER_OR_USER", message, ())


# Checked, with the row as it would be, before it is stored.
RULES: dict[str, Rule] = {
    "FieldPermissions": field_permissions,
    "ObjectPermissions": object_permissions,
    "PermissionSet": permission_set,
    "PermissionSetAssignment": assignment,
    "User": user,
}
# Checked before a row is deleted.
DELETE_RULES: dict[str, Callable[[Org, Row], None]] = {"PermissionSet": assigned_set}
# What goes with a row that is deleted: (object, reference to it).
DEPENDENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "Account": (("Contact", "AccountId"),),
    "PermissionSet": (
        ("FieldPermissions", "ParentId"),
        ("ObjectPermissions", "ParentId"),
    ),
}
