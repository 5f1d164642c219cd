"""Friendly URLs: from a record on to its parents, or to the children of one relationship.

``/sobjects/Contact/ID/Account`` is the account itself, to read, change or delete; ``/sobjects/Account/ID/Contacts`` answers
as a query does (REST:traverse-relationships-with-friendly-urls).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from salesforce_standin import query, rows
from salesforce_standin.errors import not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import Access
from salesforce_standin.soql.binding import child_relationship

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST_PARENTS = 5


def get(org: Org, call: Call, name: str, id_text: str, path: str) -> Reply:
    """Read a parent, or the children of a record."""
    *parents, last = path.split("/")
    access, id18 = _reach(org, call, name, id_text, parents)
    if last.lower() in access.relationships:
        access, id18 = _reach(org, call, access.sobject.name, id18, [last])
        return rows.get(org, call, access.sobject.name, id18)
    return _children(org, call, access, id18, last)


def update(org: Org, call: Call, name: str, id_text: str, path: str) -> Reply:
    """Change a parent."""
    access, id18 = _reach(org, call, name, id_text, path.split("/"))
    return rows.update(org, call, access.sobject.name, id18)


def delete(org: Org, call: Call, name: str, id_text: str, path: str) -> Reply:
    """Delete a parent."""
    access, id18 = _reach(org, call, name, id_text, path.split("/"))
    return rows.delete(org, call, access.sobject.name, id18)


def _reach(org: Org, call: Call, name: str, id_text: str, path: Sequence[str]) -> tuple[Access, str]:
    """Follow references from parent to parent; one that is empty, hidden or unknown ends in a 404."""
    access, row = rows.find(org, call, name, id_text)
    if len(path) > _MOST_PARENTS:
        raise not_found()
    for step in path:
        field = access.relationships.get(step.lower())
        id18 = row.get(field.name) if field else None
        parent = org.sobject_of_id(id18) if id18 else None
        if parent is None or id18 is None:
            raise not_found()
        access, row = rows.find(org, call, parent.name, id18)
    return access, row["Id"]


def _children(org: Org, call: Call, parent: Access, id18: str, relationship: str) -> Reply:
    for name, sobject in org.objects.items():
        for field in sobject.references():
            known = child_relationship(name, field)
            if known and known.lower() == relationship.lower() and parent.sobject.name in field.reference_to:
                access = rows.access_to(org, call, name)
                wanted = call.query.get("fields")
                names = rows.field_names(access, wanted.split(",")) if wanted else list(access.readable)
                soql = f"SELECT {', '.join(names)} FROM {name} WHERE {field.name} = '{id18}'"  # noqa: S608 - known names
                return query.query(org, call.inner(query={"q": soql}))
    raise not_found()
