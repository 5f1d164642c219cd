"""What lists and packages say of a component: whose it is, since when, in which file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.metadata_kinds import Kind
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org


def properties(org: Org, name: str, kind: Kind, row: Row) -> dict[str, Any]:
    """Return what a list says of a component; moments end in Z here, unlike in JSON."""
    users = org.tables["User"].rows
    who = {key: users.get(row.get(key, ""), {}) for key in ("CreatedById", "LastModifiedById")}
    full_name = kind.name(row)
    return {
        "createdById": row.get("CreatedById", ""),
        "createdByName": who["CreatedById"].get("Name", ""),
        "createdDate": _moment(row.get("CreatedDate")),
        "fileName": f"{kind.directory}/{kind.file(full_name)}.{kind.suffix}",
        "fullName": full_name,
        "id": row.get("Id", ""),
        "lastModifiedById": row.get("LastModifiedById", ""),
        "lastModifiedByName": who["LastModifiedById"].get("Name", ""),
        "lastModifiedDate": _moment(row.get("LastModifiedDate")),
        "manageableState": "unmanaged",
        "type": name,
    }


def _moment(stamp: str | None) -> str:
    return (stamp or "1970-01-01T00:00:00.000+0000").replace("+0000", "Z")
