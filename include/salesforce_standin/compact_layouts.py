"""Compact layouts: the few fields that stand for a record in a small place; each object has the system's own one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.errors import fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.layout_describe import MASTER_TYPE
from salesforce_standin.permissions import Access
from salesforce_standin.rows import access_to

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST = 100
_NAME = "SYSTEM"
_FIELDS = {
    "Account": ("Name", "Phone", "Website", "Industry"),
    "Contact": ("Name", "Title", "AccountId", "Phone", "Email"),
    "Lead": ("Name", "Title", "Company", "Phone", "Email"),
}
_ACTIONS = {
    "Call": "CallHighlightAction",
    "Send Email": "EmailHighlightAction",
    "Map": "MapHighlightAction",
    "Read News": "NewsHighlightAction",
    "View Website": "WebsiteHighlightAction",
}
# In the recorded (alphabetical) order, beside custom, label and name.
_ACTION = dict.fromkeys(
    ("behavior", "content", "contentSource", "encoding", "height", "icons", "url", "width", "windowPosition")
) | dict.fromkeys(
    (
        "custom",
        "menubar",
        "overridden",
        "resizeable",
        "scrollbars",
        "showsLocation",
        "showsStatus",
        "toolbar",
    ),
    False,
)


def describe(org: Org, call: Call, name: str) -> Reply:
    """Describe the compact layouts of an object (REST:get-compact-layouts-using-sobject-compactlayouts)."""
    access = _access(org, call, name)
    base = f"{call.root}/sobjects/{access.sobject.name}/describe/compactLayouts"
    mapping = {
        "available": True,
        "compactLayoutId": None,
        "compactLayoutName": _NAME,
        "recordTypeId": MASTER_TYPE,
        "recordTypeName": "Master",
        "urls": {"compactLayout": f"{base}/{MASTER_TYPE}"},
    }
    return Reply(
        body={
            "compactLayouts": [_layout(access)],
            "defaultCompactLayoutId": None,
            "recordTypeCompactLayoutMappings": [mapping],
            "urls": {"primary": f"{base}/primary"},
        }
    )


def primary(org: Org, call: Call, name: str, which: str) -> Reply:
    """Describe the compact layout of a record type, or the one that is used without any."""
    if which not in {"primary", MASTER_TYPE, MASTER_TYPE[:15]}:
        raise not_found()
    return Reply(body=_layout(_access(org, call, name)))


def of_several(org: Org, call: Call) -> Reply:
    """Describe the primary compact layouts of up to 100 objects."""
    names = [part.strip() for part in call.query.get("q", "").split(",") if part.strip()]
    if not 1 <= len(names) <= _MOST:
        raise fail(400, "INVALID_FIELD", f"q must name 1 to {_MOST} objects")
    found = [_access(org, call, name) for name in names]
    return Reply(body={access.sobject.name: _layout(access) for access in found})


def _access(org: Org, call: Call, name: str) -> Access:
    access = access_to(org, call, name)
    if access.sobject.name not in _FIELDS:
        raise not_found()
    return access


def _layout(access: Access) -> dict[str, Any]:
    kind = access.sobject.name
    actions = [
        dict(sorted({**_ACTION, "label": label, "name": name}.items())) for label, name in _ACTIONS.items()
    ]
    shown = [access.readable[name] for name in _FIELDS[kind] if name in access.readable]
    items = [
        {
            "editable": False,
            "label": field.label,
            "layoutComponents": [
                {
                    "components": [],
                    "details": field.attributes,
                    "displayLines": 1,
                    "tabOrder": place,
                    "type": "Field",
                    "value": field.name,
                }
            ],
            "placeholder": False,
            "required": False,
        }
        for place, field in enumerate(shown, 2)
    ]
    return {
        "actions": actions,
        "fieldItems": items,
        "id": None,
        "imageItems": [],
        "label": "System Default",
        "name": _NAME,
        "objectType": kind,
    }
