"""UserRecordAccess and RecentlyViewed: what a user may do with records, and which were the last ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.permissions import GUARDED, Access, holds
from salesforce_standin.soql.tree import Comparison, Literal, Query, conjuncts
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NOBODY = "000000000000000AAA"
_MOST = 200
_LEVELS = ("None", "Read", "Edit", "Delete", "Transfer", "All")


def rows(org: Org, user_id: str, query: Query) -> dict[str, Row]:
    """Return what the user of a query's conditions may do with the records that they name (OBJ:userrecordaccess)."""
    users, records = _named(query, "userid"), _named(query, "recordid")
    if len(users) != 1 or not 1 <= len(records) <= _MOST:
        message = "UserRecordAccess: UserId and RecordId must be filtered, by one user and up to 200 records"
        raise query.source.malformed(query.entity_at, message)
    found = {}
    for id18 in records:
        sobject = org.sobject_of_id(id18)
        row = org.tables[sobject.name].rows.get(id18) if sobject else None
        if sobject is None or row is None or sobject.name not in GUARDED:
            continue
        own = org.access(user_id, sobject.name)
        if own.may_read and own.shows(row):
            level = _level(org, org.access(users[0], sobject.name), row)
            found[id18] = {
                "Id": _NOBODY,
                "UserId": users[0],
                "RecordId": id18,
                "MaxAccessLevel": _LEVELS[level],
                **{f"Has{name}Access": level >= place for place, name in enumerate(_LEVELS) if place},
            }
    return found


def _level(org: Org, access: Access, row: Row) -> int:
    """Return how far a user may go with a record: a place in the levels."""
    if not (access.may_read and access.shows(row)):
        return 0
    if not (access.may_edit and (access.changes is None or access.changes(row))):
        return 1
    full = row.get("OwnerId") == access.user_id or holds(org, access.user_id, "ModifyAllData")
    if not access.may_delete:
        return 2
    return 5 if full else 2


def _named(query: Query, name: str) -> list[str]:
    """Return the ids with which a query's conditions compare a field."""
    literals: list[Literal] = []
    for part in conjuncts(query.where):
        path = part.left if isinstance(part, Comparison) else part.path
        if str(path).lower() != name:
            continue
        if isinstance(part, Comparison):
            literals.append(part.right)
        elif not isinstance(part.values, Query):
            literals.extend(part.values)
    return [id18 for one in literals if (id18 := ids.normalise(one.value))]


def recent(org: Org, user_id: str, _query: Query) -> dict[str, Row]:
    """Return the records that a user wrote last, as what people see of them was seen last."""
    found = {}
    for name in GUARDED:
        access = org.access(user_id, name)
        if access.may_read:
            for row in list(org.tables[name].rows.values())[-_MOST:]:
                if row.get("LastModifiedById") == user_id and not row.get("IsDeleted"):
                    found[row["Id"]] = _seen(name, row)
    return found


def _seen(kind: str, row: Row) -> dict[str, Any]:
    copied = ("Id", "Name", "FirstName", "LastName", "Title", "Email", "Phone")
    stamp = row["LastModifiedDate"]
    return {name: row.get(name) for name in copied} | {
        "Type": kind,
        "LastViewedDate": stamp,
        "LastReferencedDate": stamp,
    }
