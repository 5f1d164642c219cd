"""The Tooling API's CustomField and Layout over REST (facts/salesforce.md 7.1 and 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import field_definitions, ids
from salesforce_standin.errors import Fault, RowError, fail, fail_row, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import holds
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NAME = field_definitions.NAME


def resources(_org: Org, call: Call) -> Reply:
    """List what of the Tooling API is served."""
    names = ("composite", "query", "queryAll", "sobjects")
    return Reply(body={name: f"{call.root}/tooling/{name}" for name in names})


def create(org: Org, call: Call) -> Reply:
    """Add a field to an object."""
    _allow(org, call)
    try:
        row = field_definitions.define(org, call.user_id, *_definition(call.document()))
    except RowError as refused:
        raise fail_row(refused.faults) from None
    return Reply(201, {"id": row["Id"], "success": True, "errors": [], "warnings": [], "infos": []})


def _allow(org: Org, call: Call) -> None:
    if not holds(org, call.user_id, "CustomizeApplication"):
        message = "You do not have the level of access necessary to perform the operation you requested."
        raise fail(403, "INSUFFICIENT_ACCESS", message)


def _definition(document: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for key in document:
        if key not in {"FullName", "Metadata", "attributes"}:
            raise RowError(Fault("INVALID_FIELD", f"No such column '{key}' on sobject of type {_NAME}", None))
    if not document.get("FullName"):
        raise _missing("FullName")
    return str(document["FullName"]), _metadata(document)


def _metadata(document: dict[str, Any]) -> dict[str, Any]:
    metadata = document.get("Metadata")
    if not isinstance(metadata, dict):
        raise _missing("Metadata")
    return metadata


def _missing(name: str) -> RowError:
    return RowError(Fault("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{name}]", (name,)))


def change(org: Org, call: Call, id_text: str) -> Reply:
    """Change a field's definition, all of it but the name and the type."""
    old = _find(org, _NAME, id_text)
    _allow(org, call)
    try:
        field_definitions.redefine(org, call.user_id, old, _metadata(call.document()))
    except RowError as refused:
        raise fail_row(refused.faults) from None
    return Reply(204)


def show(org: Org, call: Call, name: str, id_text: str) -> Reply:
    """Read a field's or a layout's definition."""
    row = _find(org, name, id_text)
    access = org.access(call.user_id, name)
    url = f"{call.root}/tooling/sobjects/{name}/{row['Id']}"
    record: dict[str, Any] = {"attributes": {"type": name, "url": url}}
    record.update((field, row.get(field)) for field in access.readable)
    return Reply(body=record)


def remove(org: Org, call: Call, id_text: str) -> Reply:
    """Delete a field with its values and permissions."""
    row = _find(org, _NAME, id_text)
    _allow(org, call)
    field_definitions.delete(org, row)
    return Reply(204)


def _find(org: Org, name: str, id_text: str) -> Row:
    row = org.tables[name].rows.get(ids.normalise(id_text) or "")
    if row is None:
        raise not_found()
    return row
