"""Objects whose rows follow from something else: the caller's permissions and sessions, the objects themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from salesforce_standin import field_catalogue, ids, record_access
from salesforce_standin.clock import stamp_of
from salesforce_standin.lifecycle import CONVERTED
from salesforce_standin.permissions import sets_of
from salesforce_standin.soql.tree import Query

if TYPE_CHECKING:
    from salesforce_standin.org import Org
    from salesforce_standin.sessions import Session

_NAMES = frozenset({"AuthSession", "LoginHistory", "UserPermissionAccess"})
# Objects whose rows depend on the conditions of the query too.
_OF_QUERY: dict[str, Callable[[Org, str, Query], dict[str, dict[str, Any]]]] = {
    "FieldDefinition": field_catalogue.rows,
    "RecentlyViewed": record_access.recent,
    "UserRecordAccess": record_access.rows,
}
_NOBODY = "000000000000000AAA"


def fill(org: Org, user_id: str, name: str, query: Query) -> None:
    """Make the rows of an object those that a user may see right now, if it is one of these objects."""
    if name in _OF_QUERY:
        table = org.tables[name]
        for key in list(table.rows):
            table.put(key, None)
        for key, row in _OF_QUERY[name](org, user_id, query).items():
            table.put(key, {**table.sobject.defaults, **row})
    if name not in _NAMES:
        return
    for one in _NAMES:
        table = org.tables[one]
        for id18 in list(table.rows):
            table.put(id18, None)
    for session in org.sessions.of_user(user_id):
        _enter(org, "LoginHistory", _login(org, session))
        _enter(org, "AuthSession", _session(org, session))
    _enter(org, "UserPermissionAccess", _permissions(org, user_id))


def define_entities(org: Org) -> None:
    """Fill EntityDefinition, whose rows are known by the names of the objects, and LeadStatus."""
    table = org.tables["EntityDefinition"]
    for name, sobject in org.objects.items():
        row = {
            "Id": _NOBODY,
            "DurableId": name,
            "QualifiedApiName": name,
            "DeveloperName": name,
            "MasterLabel": sobject.label,
            "Label": sobject.label,
            "PluralLabel": sobject.plural,
            "KeyPrefix": sobject.prefix,
            "IsCustomizable": sobject.soft_deletes,
            "IsQueryable": sobject.flags["queryable"],
            "IsTriggerable": sobject.flags["triggerable"],
        }
        table.put(name, row)
    statuses = org.objects["Lead"].fields["Status"].attributes["picklistValues"]
    for place, option in enumerate(statuses, 1):
        id18 = ids.to18(f"01J5g0{ids.base62(62**5 + place, 9)}")
        status = {
            "Id": id18,
            "MasterLabel": option["label"],
            "ApiName": option["value"],
            "SortOrder": place,
            "IsDefault": option["defaultValue"],
            "IsConverted": option["value"] == CONVERTED,
        }
        org.tables["LeadStatus"].put(id18, status)


def _enter(org: Org, name: str, row: dict[str, Any]) -> None:
    table = org.tables[name]
    table.put(row["Id"], {**table.sobject.defaults, **row})


def _session(org: Org, session: Session) -> dict[str, Any]:
    return {
        "Id": _id("0Ak", session),
        "UsersId": session.user_id,
        "CreatedDate": stamp_of(session.issued),
        "LastModifiedDate": stamp_of(session.used),
        "NumSecondsValid": int(org.session_seconds(session.user_id)),
        "SourceIp": session.address or "127.0.0.1",
        "LoginType": session.login_type,
        "SessionType": "UI" if session.login_type == "Application" else "API",
        "SessionSecurityLevel": "STANDARD",
        "LoginHistoryId": _id("0Ya", session),
        "IsCurrent": session.token == org.current_token,
    }


def _login(org: Org, session: Session) -> dict[str, Any]:
    app = org.apps.find(session.client_id)
    return {
        "Id": _id("0Ya", session),
        "UserId": session.user_id,
        "LoginTime": stamp_of(session.issued),
        "LoginType": session.login_type,
        "SourceIp": session.address or "127.0.0.1",
        "Status": "Success",
        "Application": app.name if app else "Browser" if session.login_type == "Application" else "N/A",
    }


def _id(prefix: str, session: Session) -> str:
    """Return an id that stays with the session and tells nothing of its token."""
    number = int.from_bytes(hashlib.sha256(session.token.encode()).digest()[:6], "big")
    return ids.to18(prefix + "5g0" + ids.base62(number, 9))


def _permissions(org: Org, user_id: str) -> dict[str, Any]:
    """Return all system permissions, merged over the user's permission sets."""
    owned = list(sets_of(org, user_id))
    fields = org.objects["UserPermissionAccess"].fields
    rights = {name: any(s.get(name) for s in owned) for name in fields if name.startswith("Permissions")}
    return {"Id": _NOBODY, **rights}
