"""Descriptions: of all objects, and of one with every field that the caller sees."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from salesforce_standin import clock
from salesforce_standin.errors import fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import GUARDED, Access
from salesforce_standin.rows import access_to
from salesforce_standin.schema import SObject
from salesforce_standin.soql.binding import child_relationship

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_SCOPES = {
    "Account": (("All accounts", "everything"), ("My accounts", "mine"), ("My team's accounts", "team")),
    "Contact": (("All contacts", "everything"), ("My contacts", "mine"), ("My team's contacts", "team")),
    "Lead": (("All leads", "everything"), ("My leads", "mine"), ("My team's leads", "team")),
}
_CASCADES = {("Contact", "AccountId")}


def describe_all(org: Org, call: Call) -> Reply:
    """List the objects."""
    unchanged = _unchanged(org, call)
    if unchanged is not None:
        return unchanged
    sobjects = [
        _summary(access, call)
        for name in sorted(org.objects)
        if org.objects[name].tooling is call.tooling or (call.tooling and name not in GUARDED)
        if (access := org.access(call.user_id, name)).may_read
    ]
    return _dated(org, Reply(body={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": sobjects}))


def describe_one(org: Org, call: Call, name: str) -> Reply:
    """Describe an object with the fields that the caller sees."""
    access = access_to(org, call, name)
    unchanged = _unchanged(org, call)
    if unchanged is not None:
        return unchanged
    return _dated(org, Reply(body=_full(org, access, call)))


def basic(org: Org, call: Call, name: str) -> Reply:
    """Say in short what an object is, with the records last seen."""
    access = access_to(org, call, name)
    sobject = access.sobject
    mine = [row for row in sobject_rows(access) if row.get("LastModifiedById") == call.user_id]
    root = call.root + ("/tooling" if call.tooling else "")
    recent = [_item(sobject.name, root, row) for row in mine[::-1][:20]]
    return Reply(body={"objectDescribe": _summary(access, call), "recentItems": recent})


def recent(org: Org, call: Call) -> Reply:
    """List the records that the user wrote last, as what people see of them was seen last."""
    most = call.query.get("limit", "200")
    if not most.isdigit():
        raise fail(400, "INVALID_QUERY_VALUE", f'For input string: "{most}"')
    found: list[tuple[str, dict[str, Any]]] = []
    for name in GUARDED:
        access = org.access(call.user_id, name)
        mine = [
            row
            for row in sobject_rows(access)
            if access.may_read and row.get("LastModifiedById") == call.user_id
        ]
        found += [(row["LastModifiedDate"], _item(name, call.root, row)) for row in mine]
    newest = sorted(found, key=lambda pair: pair[0], reverse=True)
    return Reply(body=[item for _, item in newest[: min(int(most), 200)]])


def _item(kind: str, root: str, row: dict[str, Any]) -> dict[str, Any]:
    item = {"attributes": {"type": kind, "url": f"{root}/sobjects/{kind}/{row['Id']}"}, "Id": row["Id"]}
    return {**item, "Name": row["Name"]} if row.get("Name") else item


def sobject_rows(access: Access) -> list[dict[str, Any]]:
    """Return an object's last records that are not deleted, oldest first; only the last 200 are looked at."""
    rows = access.table.rows
    last = list(rows.values())[-200:]
    return [row for row in last if not row.get("IsDeleted")]


def _unchanged(org: Org, call: Call) -> Reply | None:
    """Answer 304 if nothing about fields or permissions has changed since."""
    since = clock.parse_http_date(call.headers.get("if-modified-since", ""))
    if since is not None and int(org.schema_changed_at) <= since:
        return _dated(org, Reply(304))
    return None


def _dated(org: Org, reply: Reply) -> Reply:
    reply.headers["Last-Modified"] = clock.http_date(org.schema_changed_at)
    reply.headers["ETag"] = f'"{hashlib.sha256(str(org.schema_changed_at).encode()).hexdigest()[:8]}"'
    return reply


def _flags(access: Access) -> dict[str, bool]:
    flags = dict(access.sobject.flags)
    flags["createable"], flags["updateable"] = access.may_create, access.may_edit
    flags["deletable"] = access.may_delete
    return flags


def _summary(access: Access, call: Call) -> dict[str, Any]:
    """Return an entry of the list of objects, keys as recorded."""
    sobject, flags = access.sobject, _flags(access)
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": flags["createable"],
        "custom": False,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": flags["deletable"],
        "deprecatedAndHidden": False,
        "feedEnabled": flags["feedEnabled"],
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "layoutable": flags["layoutable"],
        "mergeable": flags["mergeable"],
        "mruEnabled": flags["mruEnabled"],
        "name": sobject.name,
        "queryable": flags["queryable"],
        "replicateable": flags["retrieveable"],
        "retrieveable": flags["retrieveable"],
        "searchable": flags["searchable"],
        "triggerable": flags["triggerable"],
        "undeletable": flags["undeletable"],
        "updateable": flags["updateable"],
        "urls": _urls(sobject, call),
    }


def _urls(sobject: SObject, call: Call) -> dict[str, str]:
    base = f"{call.root}{'/tooling' if call.tooling else ''}/sobjects/{sobject.name}"
    urls = {"rowTemplate": f"{base}/{{ID}}", "describe": f"{base}/describe", "sobject": base}
    if sobject.flags["layoutable"]:
        urls = {
            "compactLayouts": f"{base}/describe/compactLayouts",
            "rowTemplate": f"{base}/{{ID}}",
            "approvalLayouts": f"{base}/describe/approvalLayouts",
            "listviews": f"{base}/listviews",
            "describe": f"{base}/describe",
            "quickActions": f"{base}/quickActions",
            "layouts": f"{base}/describe/layouts",
            "sobject": base,
        }
    return urls


def _full(org: Org, access: Access, call: Call) -> dict[str, Any]:
    """Return the whole description, keys in the recorded (alphabetical) order."""
    sobject, flags = access.sobject, _flags(access)
    data = sobject.name in GUARDED
    description = {
        **_summary(access, call),
        "actionOverrides": [],
        "childRelationships": _children(org, sobject),
        "compactLayoutable": flags["compactLayoutable"],
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [_field(access, name) for name in access.readable],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_type(sobject, call)] if data else [],
        "searchLayoutable": flags["searchLayoutable"],
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [
            {"label": label, "name": name} for label, name in _SCOPES.get(sobject.name, _everything(sobject))
        ],
    }
    if data:
        description["urls"] = {
            **description["urls"],
            "uiDetailTemplate": f"{call.base}/{{ID}}",
            "uiEditTemplate": f"{call.base}/{{ID}}/e",
            "uiNewRecord": f"{call.base}/{sobject.prefix}/e",
        }
    return dict(sorted(description.items()))


def _everything(sobject: SObject) -> tuple[tuple[str, str], ...]:
    return ((f"All {sobject.plural.lower()}", "everything"),)


def _field(access: Access, name: str) -> dict[str, Any]:
    """Return a field's attributes as this user meets it: without the right to edit it reads as fixed."""
    field = access.readable[name]
    if name in access.editable:
        return field.attributes
    return {**field.attributes, "createable": False, "updateable": False}


def _master_type(sobject: SObject, call: Call) -> dict[str, Any]:
    master = "012000000000000AAA"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": master,
        "urls": {"layout": f"{call.root}/sobjects/{sobject.name}/describe/layouts/{master}"},
    }


def _children(org: Org, sobject: SObject) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": (name, field.name) in _CASCADES,
            "childSObject": name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": child_relationship(name, field),
            "restrictedDelete": False,
        }
        for name in sorted(org.objects)
        for field in org.objects[name].references()
        if sobject.name in field.reference_to and not org.objects[name].tooling
    ]
