"""PermissionSet in the Metadata API: one document out of the set's row and its permission rows, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.records import Writer
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_RIGHT = "Permissions"
# Element → field of ObjectPermissions, in the order of the schema.
_OBJECT = {
    "allowCreate": "PermissionsCreate",
    "allowDelete": "PermissionsDelete",
    "allowEdit": "PermissionsEdit",
    "allowRead": "PermissionsRead",
    "modifyAllRecords": "PermissionsModifyAllRecords",
    "object": "SobjectType",
    "viewAllRecords": "PermissionsViewAllRecords",
}
_FIELD = {"editable": "PermissionsEdit", "field": "Field", "readable": "PermissionsRead"}


def rows(org: Org) -> Iterable[Row]:
    """Return the permission sets but those that profiles own."""
    return (row for row in org.tables["PermissionSet"].rows.values() if not row.get("IsOwnedByProfile"))


def read(org: Org, row: Row) -> str:
    """Spell a set with everything that it grants."""
    rights = sorted(key.removeprefix(_RIGHT) for key in row if key.startswith(_RIGHT) and row[key] is True)
    document = {
        "description": row.get("Description"),
        "fieldPermissions": _grants(org, row, "FieldPermissions", _FIELD, "Field"),
        "hasActivationRequired": bool(row.get("HasActivationRequired")),
        "label": row["Label"],
        "objectPermissions": _grants(org, row, "ObjectPermissions", _OBJECT, "SobjectType"),
        "userPermissions": [{"enabled": True, "name": name} for name in rights],
    }
    return xml_text.elements(document)


def _grants(org: Org, owner: Row, name: str, names: dict[str, str], key: str) -> list[dict[str, Any]]:
    found = sorted(_owned(org, owner, name), key=lambda row: str(row[key]))
    return [{element: row.get(field, False) for element, field in names.items()} for row in found]


def _owned(org: Org, owner: Row, name: str) -> list[Row]:
    table = org.tables[name]
    return table.by_value(table.sobject.fields["ParentId"], owner["Id"])


def create(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Add a set."""
    writer = Writer(org, user_id)
    made = writer.insert("PermissionSet", {"Name": full_name, **_values(component)})
    _grant(writer, str(made.id), component)


def update(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Make a set what the document says: what it doesn't name is taken away."""
    row = _existing(org, full_name)
    writer = Writer(org, user_id)
    fields = org.objects["PermissionSet"].fields
    closed = {key: False for key in fields if key.startswith(_RIGHT) and fields[key].type == "boolean"}
    writer.update("PermissionSet", row["Id"], closed | _values(component))
    for name in ("FieldPermissions", "ObjectPermissions"):
        for stale in list(_owned(org, row, name)):
            writer.delete(name, stale["Id"])
    _grant(writer, row["Id"], component)


def delete(org: Org, user_id: str, full_name: str) -> None:
    """Delete a set with what hangs on it."""
    Writer(org, user_id).delete("PermissionSet", _existing(org, full_name)["Id"])


def _existing(org: Org, full_name: str) -> Row:
    found = next((row for row in rows(org) if row["Name"] == full_name), None)
    if found is None:
        message = f"In field: fullName - no PermissionSet named {full_name} found"
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ("fullName",)))
    return found


def _values(component: Element) -> dict[str, Any]:
    values: dict[str, Any] = {"Label": xml_text.text(component, "label")}
    if description := xml_text.text(component, "description"):
        values["Description"] = description
    for one in component:
        if xml_text.local(one.tag) == "userPermissions":
            values[_RIGHT + xml_text.text(one, "name")] = xml_text.text(one, "enabled") == "true"
    return values


def _grant(writer: Writer, set_id: str, component: Element) -> None:
    for one in component:
        name = xml_text.local(one.tag)
        if name == "objectPermissions":
            writer.insert("ObjectPermissions", {"ParentId": set_id, **_flags(one, _OBJECT, "object")})
        elif name == "fieldPermissions":
            values = _flags(one, _FIELD, "field")
            kind = values["Field"].partition(".")[0]
            writer.insert("FieldPermissions", {"ParentId": set_id, "SobjectType": kind, **values})


def _flags(element: Element, names: dict[str, str], key: str) -> dict[str, Any]:
    return {
        field: xml_text.text(element, name) if name == key else xml_text.text(element, name) == "true"
        for name, field in names.items()
    }
