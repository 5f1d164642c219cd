"""The Tooling API's CustomField, the one way to add a field over REST (facts/salesforce.md 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import custom_fields, ids
from salesforce_standin.errors import Fault, RowError, fail_row, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NAME = "CustomField"
# Fields that an org can grow by, per object, in a Developer Edition.
_MOST_PER_OBJECT = 500


def create(org: Org, call: Call) -> Reply:
    """Add a field to an object. Nobody sees it until field permissions say so."""
    try:
        row = _define(org, call.document())
    except RowError as refused:
        raise fail_row(refused.faults) from None
    stamp = org.clock.stamp()
    row.update(CreatedDate=stamp, CreatedById=call.user_id)
    _store(org, call, row, stamp)
    return Reply(201, {"id": row["Id"], "success": True, "errors": [], "warnings": [], "infos": []})


def _define(org: Org, document: dict[str, Any]) -> Row:
    for key in document:
        if key not in {"FullName", "Metadata", "attributes"}:
            raise RowError(Fault("INVALID_FIELD", f"No such column '{key}' on sobject of type {_NAME}", None))
    full_name, metadata = document.get("FullName"), document.get("Metadata")
    if not full_name:
        raise RowError(
            Fault("REQUIRED_FIELD_MISSING", "Required fields are missing: [FullName]", ("FullName",))
        )
    if not isinstance(metadata, dict):
        raise RowError(
            Fault("REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ("Metadata",))
        )
    owner, developer_name = custom_fields.split_name(org, str(full_name))
    custom_fields.check(metadata)
    _refuse_twin(org, owner, developer_name)
    row = {"Id": org.sequence.next("00N"), "TableEnumOrId": owner, "DeveloperName": developer_name}
    return {**row, **_derived(owner, developer_name, metadata)}


def _refuse_twin(org: Org, owner: str, developer_name: str) -> None:
    taken = {name.lower() for name in org.objects[owner].fields}
    if f"{developer_name}__c".lower() in taken:
        message = f"There is already a field named {developer_name} on {owner}."
        raise RowError(Fault("DUPLICATE_DEVELOPER_NAME", message, ("DeveloperName",)))
    if sum(1 for field in org.objects[owner].fields.values() if field.custom) >= _MOST_PER_OBJECT:
        raise RowError(Fault("LIMIT_EXCEEDED", "You have reached the maximum number of custom fields", ()))


def _derived(owner: str, developer_name: str, metadata: dict[str, Any]) -> Row:
    return {
        "FullName": f"{owner}.{developer_name}__c",
        "EntityDefinitionId": owner,
        "Metadata": metadata,
        "Length": metadata.get("length"),
        "Precision": metadata.get("precision"),
        "Scale": metadata.get("scale"),
        "InlineHelpText": metadata.get("inlineHelpText"),
        "ManageableState": "unmanaged",
    }


def _store(org: Org, call: Call, row: Row, stamp: str) -> None:
    row.update(LastModifiedDate=stamp, LastModifiedById=call.user_id, SystemModstamp=stamp)
    org.put(org.tables[_NAME], row["Id"], row)
    custom_fields.attach(org, row)


def change(org: Org, call: Call, id_text: str) -> Reply:
    """Change a field's definition, all of it but the name and the type."""
    old = _find(org, id_text)
    try:
        metadata = _changed(old, call.document().get("Metadata"))
    except RowError as refused:
        raise fail_row(refused.faults) from None
    row = {**old, **_derived(old["TableEnumOrId"], old["DeveloperName"], metadata)}
    _store(org, call, row, org.clock.stamp())
    return Reply(204)


def _changed(old: Row, metadata: Any) -> dict[str, Any]:
    """Return the new metadata if the field may become what it says."""
    if not isinstance(metadata, dict):
        raise RowError(
            Fault("REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ("Metadata",))
        )
    custom_fields.check(metadata)
    if metadata["type"] != old["Metadata"]["type"]:
        message = f"Cannot change type from {old['Metadata']['type']} to {metadata['type']}"
        raise RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, ("Type",)))
    return metadata


def show(org: Org, call: Call, id_text: str) -> Reply:
    """Read a field's definition."""
    row = _find(org, id_text)
    access = org.access(call.user_id, _NAME)
    url = f"{call.root}/tooling/sobjects/{_NAME}/{row['Id']}"
    record: dict[str, Any] = {"attributes": {"type": _NAME, "url": url}}
    record.update((name, row.get(name)) for name in access.readable)
    return Reply(body=record)


def remove(org: Org, call: Call, id_text: str) -> Reply:
    """Delete a field with its values and permissions."""
    row = _find(org, id_text)
    owner, name = row["TableEnumOrId"], row["DeveloperName"] + "__c"
    permissions = org.tables["FieldPermissions"]
    for found in [p for p in permissions.rows.values() if p["Field"] == row["FullName"]]:
        org.put(permissions, found["Id"], None)
    table = org.tables[owner]
    for record in [r for r in table.rows.values() if name in r]:
        org.put(table, record["Id"], {key: value for key, value in record.items() if key != name})
    org.put(org.tables[_NAME], row["Id"], None)
    custom_fields.detach(org, owner, name)
    return Reply(204)


def _find(org: Org, id_text: str) -> Row:
    row = org.tables[_NAME].rows.get(ids.normalise(id_text) or "")
    if row is None:
        raise not_found()
    return row
