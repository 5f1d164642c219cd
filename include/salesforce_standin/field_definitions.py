"""Custom fields added, changed and deleted, whichever API asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import custom_fields, layouts
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

NAME = "CustomField"
# Fields that an org can grow by, per object, in a Developer Edition.
_MOST_PER_OBJECT = 500


def define(org: Org, user_id: str, full_name: str, metadata: dict[str, Any]) -> Row:
    """Add a field to an object. Nobody sees it until field permissions say so."""
    owner, developer_name = custom_fields.split_name(org, full_name)
    custom_fields.check(metadata)
    _refuse_twin(org, owner, developer_name)
    row = {
        "Id": org.sequence.next("00N"),
        "TableEnumOrId": owner,
        "DeveloperName": developer_name,
        "CreatedDate": org.clock.stamp(),
        "CreatedById": user_id,
    }
    return _store(org, user_id, row, metadata)


def redefine(org: Org, user_id: str, old: Row, metadata: dict[str, Any]) -> Row:
    """Change a definition, all of it but the name and the type."""
    custom_fields.check(metadata)
    if metadata["type"] != old["Metadata"]["type"]:
        message = f"Cannot change type from {old['Metadata']['type']} to {metadata['type']}"
        raise RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, ("Type",)))
    return _store(org, user_id, dict(old), metadata)


def delete(org: Org, row: Row) -> None:
    """Delete a field with its values and permissions; layouts lose its item."""
    owner, name = row["TableEnumOrId"], row["DeveloperName"] + "__c"
    permissions = org.tables["FieldPermissions"]
    for found in [p for p in permissions.rows.values() if p["Field"] == row["FullName"]]:
        org.put(permissions, found["Id"], None)
    table = org.tables[owner]
    for record in [r for r in table.rows.values() if name in r]:
        org.put(table, record["Id"], {key: value for key, value in record.items() if key != name})
    layouts.forget_field(org, owner, name)
    org.put(org.tables[NAME], row["Id"], None)
    custom_fields.detach(org, owner, name)


def _refuse_twin(org: Org, owner: str, developer_name: str) -> None:
    taken = {name.lower() for name in org.objects[owner].fields}
    if f"{developer_name}__c".lower() in taken:
        message = f"There is already a field named {developer_name} on {owner}."
        raise RowError(Fault("DUPLICATE_DEVELOPER_NAME", message, ("DeveloperName",)))
    if sum(1 for field in org.objects[owner].fields.values() if field.custom) >= _MOST_PER_OBJECT:
        raise RowError(Fault("LIMIT_EXCEEDED", "You have reached the maximum number of custom fields", ()))


def _store(org: Org, user_id: str, row: Row, metadata: dict[str, Any]) -> Row:
    owner, stamp = row["TableEnumOrId"], org.clock.stamp()
    row |= {
        "FullName": f"{owner}.{row['DeveloperName']}__c",
        "EntityDefinitionId": owner,
        "Metadata": metadata,
        "Length": metadata.get("length"),
        "Precision": metadata.get("precision"),
        "Scale": metadata.get("scale"),
        "InlineHelpText": metadata.get("inlineHelpText"),
        "ManageableState": "unmanaged",
        "LastModifiedDate": stamp,
        "LastModifiedById": user_id,
        "SystemModstamp": stamp,
    }
    org.put(org.tables[NAME], row["Id"], row)
    custom_fields.attach(org, row)
    return row
