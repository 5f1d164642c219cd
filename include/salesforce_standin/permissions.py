"""What a user may see and do: field-level security and object permissions, merged over the user's permission sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from salesforce_standin import sharing
from salesforce_standin.fields import Field
from salesforce_standin.tables import Row, Table

if TYPE_CHECKING:
    from salesforce_standin.org import Org

# Objects under object permissions; the rest are part of the set-up.
GUARDED = ("Account", "Contact", "Lead")
_SETUP = ("ViewSetup", "ManageProfilesPermissionsets")
# Objects of the set-up: which rights (one is enough) it takes to read them, and to write them.
_TO_READ: dict[str, tuple[str, ...]] = {
    "DuplicateRule": ("ViewSetup",),
    "FieldPermissions": ("ViewSetup",),
    "ObjectPermissions": ("ViewSetup",),
    "PermissionSet": (*_SETUP, "AssignPermissionSets"),
    "PermissionSetAssignment": (*_SETUP, "AssignPermissionSets", "ManageUsers"),
}
_TO_WRITE: dict[str, tuple[str, ...]] = {
    "FieldPermissions": ("ManageProfilesPermissionsets",),
    "ObjectPermissions": ("ManageProfilesPermissionsets",),
    "PermissionSet": ("ManageProfilesPermissionsets",),
    "PermissionSetAssignment": ("AssignPermissionSets", "ManageUsers"),
    "User": ("ManageUsers",),
}
# A write to one of these may change what somebody sees.
GOVERNING = frozenset(
    {
        "CustomField",
        "FieldPermissions",
        "ObjectPermissions",
        "PermissionSet",
        "PermissionSetAssignment",
        "User",
        "Organization",
    }
)


class Access:
    """One user's view of one object."""

    def __init__(self, org: Org, user_id: str, table: Table) -> None:
        self.user_id = user_id
        self.table = table
        self.sobject = table.sobject
        sets = list(sets_of(org, user_id))
        self.readable: dict[str, Field] = {}
        self.editable: set[str] = set()
        self._fold_fields(org, sets)
        self._lower = {name.lower(): field for name, field in self.readable.items()}
        self.relationships = {
            field.relationship.lower(): field for field in self.readable.values() if field.relationship
        }
        self.may_read, self.may_create, self.may_edit, self.may_delete = self._fold_objects(org, sets)
        self.views_all = any(s.get("PermissionsViewAllData") for s in sets)
        sees, changes = self._fold_sharing(org, sets)
        # Which rows the user sees, and which of them may be changed; None means all.
        self.sees = None if sees else sharing.visible(org, user_id, self.sobject.name)
        self.changes = None if changes else sharing.changeable(org, user_id, self.sobject.name)

    def find(self, name: str) -> Field | None:
        """Return a field by its name in any case, or None if there is none that this user sees."""
        return self.readable.get(name) or self._lower.get(name.lower())

    def shows(self, row: Row) -> bool:
        """Whether the user sees a row."""
        return self.sees is None or self.sees(row)

    def _fold_fields(self, org: Org, sets: list[Row]) -> None:
        table = org.tables["FieldPermissions"]
        parent = table.sobject.fields["ParentId"]
        read, edit = set(), set()
        if self.sobject.name in GUARDED:
            for owner in sets:
                for row in table.by_value(parent, owner["Id"]):
                    if row["SobjectType"] == self.sobject.name:
                        name = row["Field"].partition(".")[2]
                        if row.get("PermissionsRead"):
                            read.add(name)
                        if row.get("PermissionsEdit"):
                            edit.add(name)
        for field in self.sobject.fields.values():
            guarded = self.sobject.name in GUARDED and field.permissionable
            names = (field.name, field.attributes["compoundFieldName"] or field.name)
            if not guarded or any(name in read for name in names):
                self.readable[field.name] = field
                if not guarded or any(name in edit for name in names):
                    self.editable.add(field.name)

    def _by_rights(self, sets: list[Row]) -> list[bool]:
        """Return what the system permissions allow: read, create, edit, delete."""

        def has(needed: dict[str, tuple[str, ...]]) -> bool:
            rights = needed.get(self.sobject.name)
            return rights is None or any(s.get("Permissions" + right) for s in sets for right in rights)

        reads, writes = has(_TO_READ), has(_TO_WRITE)
        return [reads, writes, writes, writes]

    def _fold_sharing(self, org: Org, sets: list[Row]) -> tuple[bool, bool]:
        """Return whether the user sees, and may change, all rows whoever owns them."""
        if self.sobject.name not in GUARDED:
            return True, True
        table = org.tables["ObjectPermissions"]
        parent = table.sobject.fields["ParentId"]
        rows = [
            row
            for s in sets
            for row in table.by_value(parent, s["Id"])
            if row["SobjectType"] == self.sobject.name
        ]
        changes = any(s.get("PermissionsModifyAllData") for s in sets) or any(
            row.get("PermissionsModifyAllRecords") for row in rows
        )
        sees = changes or self.views_all or any(row.get("PermissionsViewAllRecords") for row in rows)
        return sees, changes

    def _fold_objects(self, org: Org, sets: list[Row]) -> tuple[bool, bool, bool, bool]:
        flags = self.sobject.flags
        granted = self._by_rights(sets)
        if self.sobject.name in GUARDED and not any(s.get("PermissionsModifyAllData") for s in sets):
            table = org.tables["ObjectPermissions"]
            parent = table.sobject.fields["ParentId"]
            rows = [
                row
                for s in sets
                for row in table.by_value(parent, s["Id"])
                if row["SobjectType"] == self.sobject.name
            ]
            granted = [
                any(r.get("Permissions" + k) for r in rows) for k in ("Read", "Create", "Edit", "Delete")
            ]
            granted[0] = granted[0] or any(s.get("PermissionsViewAllData") for s in sets)
        return (
            granted[0],
            granted[1] and flags["createable"],
            granted[2] and flags["updateable"],
            granted[3] and flags["deletable"],
        )


def sets_of(org: Org, user_id: str) -> Iterable[Row]:
    """Yield the permission sets of a user; the profile's own one is assigned like any other."""
    assignments = org.tables["PermissionSetAssignment"]
    for row in assignments.by_value(assignments.sobject.fields["AssigneeId"], user_id):
        found = org.tables["PermissionSet"].rows.get(row["PermissionSetId"])
        if found is not None:
            yield found


def holds(org: Org, user_id: str, *rights: str) -> bool:
    """Whether a user has one of some system permissions, such as ``ModifyMetadata``."""
    names = ["Permissions" + right for right in rights]
    return any(owned.get(name) for owned in sets_of(org, user_id) for name in names)
