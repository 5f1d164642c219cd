"""What the Tooling API tells of the set-up: validation rules, and the log-in policy of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from salesforce_standin import ids, rights, rules, setup
from salesforce_standin.errors import Fault, RowError, fail_row, not_found
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org


def create_rule(org: Org, call: Call) -> Reply:
    """Create a validation rule; its formula is kept, but nobody evaluates it."""
    rights.require(org, call.user_id, "CustomizeApplication")
    document = call.document()
    kind, _, name = str(document.get("FullName", "")).partition(".")
    metadata = document.get("Metadata")
    if kind not in org.objects or not name or not isinstance(metadata, dict):
        missing = RowError(
            Fault(
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [FullName, Metadata]",
                ("FullName", "Metadata"),
            )
        )
        raise fail_row(missing.faults)
    given = {
        "name": name,
        "message": metadata.get("errorMessage", ""),
        "field": metadata.get("errorDisplayField"),
        "description": metadata.get("description"),
        "formula": metadata.get("errorConditionFormula"),
        "active": metadata.get("active", False),
    }
    kept = setup.keep(org, call, rules.VALIDATION, setup.validation_row(kind, given, {}))
    return Reply(201, {"id": kept, "success": True, "errors": [], "warnings": [], "infos": []})


def remove_rule(org: Org, call: Call, id_text: str) -> Reply:
    """Delete a validation rule."""
    rights.require(org, call.user_id, "CustomizeApplication")
    table, id18 = org.tables[rules.VALIDATION], ids.normalise(id_text) or ""
    if id18 not in table.rows:
        raise not_found()
    org.put(table, id18, None)
    return Reply(204)


def show_profile(org: Org, call: Call, id_text: str) -> Reply:
    """Read a profile with its metadata, of which only the log-in policy is known here."""
    rights.require(org, call.user_id, "ViewSetup")
    row = org.tables["Profile"].rows.get(ids.normalise(id_text) or "")
    if row is None:
        raise not_found()
    return Reply(
        body={
            "attributes": {
                "type": "Profile",
                "url": f"{call.root}/tooling/sobjects/Profile/{row['Id']}",
            },
            "Id": row["Id"],
            "Name": row["Name"],
            "Description": row.get("Description"),
            "FullName": row["Name"],
            "Metadata": setup.profile_policy(row),
        }
    )
