"""What the org looks like in a browser: tabs, the colours and icons of objects; and what there is none of here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import GUARDED
from salesforce_standin.rows import access_to

if TYPE_CHECKING:
    from salesforce_standin.org import Org

# Colours of the platform's themes 4 (Lightning) and 3 (Classic).
_COLORS = {"Account": ("6f7ccb", "236FBD"), "Contact": ("A094ED", "56458C"), "Lead": ("F88962", "E36D00")}


def tabs(org: Org, call: Call) -> Reply:
    """List the tabs that the user has (REST:get-tabs)."""
    found = []
    for name in GUARDED:
        access = org.access(call.user_id, name)
        if access.may_read:
            found.append(
                {
                    **_look(call, name),
                    "custom": False,
                    "iconUrl": _icon(call, f"{name.lower()}s32.png"),
                    "label": access.sobject.plural,
                    "miniIconUrl": _icon(call, f"{name.lower()}s16.png"),
                    "name": f"standard-{name}",
                    "sobjectName": name,
                    "url": f"{call.base}/{access.sobject.prefix}/o",
                }
            )
    return Reply(body=[dict(sorted(tab.items())) for tab in found])


def theme(_org: Org, call: Call) -> Reply:
    """Show the colours and icons of the objects (REST:themes)."""
    return Reply(body={"themeItems": [{**_look(call, name), "name": name} for name in GUARDED]})


def approval_layouts(org: Org, call: Call, name: str) -> Reply:
    """List the approval layouts of an object, of which there are none."""
    access_to(org, call, name)
    return Reply(body={"approvalLayouts": []})


def quick_actions(_org: Org, _call: Call) -> Reply:
    """List the quick actions, of which there are none."""
    return Reply(body=[])


def quick_actions_of(org: Org, call: Call, name: str) -> Reply:
    """List the quick actions of an object, of which there are none."""
    access_to(org, call, name)
    return Reply(body=[])


def process_rules(_org: Org, _call: Call) -> Reply:
    """List the workflow rules by object, of which there are none."""
    return Reply(body={"rules": {}})


def process_approvals(_org: Org, _call: Call) -> Reply:
    """List the approval processes by object, of which there are none."""
    return Reply(body={"approvals": {}})


def _look(call: Call, name: str) -> dict[str, Any]:
    new, old = _COLORS[name]
    word = name.lower()
    icons = [
        ("image/png", 32, "theme3", f"{word}s32.png"),
        ("image/png", 16, "theme3", f"{word}s16.png"),
        ("image/svg+xml", 0, "theme4", f"t4/standard/{word}.svg"),
        ("image/png", 60, "theme4", f"t4/standard/{word}_60.png"),
        ("image/png", 120, "theme4", f"t4/standard/{word}_120.png"),
    ]
    return {
        "colors": [
            {"color": new, "context": "primary", "theme": "theme4"},
            {"color": old, "context": "primary", "theme": "theme3"},
        ],
        "icons": [
            {"contentType": kind, "height": size, "theme": theme, "url": _icon(call, file), "width": size}
            for kind, size, theme, file in icons
        ],
    }


def _icon(call: Call, file: str) -> str:
    return f"{call.base}/img/icon/{file}"
