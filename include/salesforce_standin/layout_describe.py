"""A page layout as the REST API describes it: rows of items instead of the columns of its XML."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import layouts, xml_text
from salesforce_standin.errors import not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import Access
from salesforce_standin.rows import access_to
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

MASTER_TYPE = "012000000000000AAA"
_SIDEWAYS = "TwoColumnsLeftToRight"
_BLANK: dict[str, Any] = {
    "editableForNew": False, "editableForUpdate": False, "label": "", "layoutComponents": [], "placeholder": True,
    "required": False,
}  # fmt: skip


def describe(org: Org, call: Call, name: str, record_type: str | None = None) -> Reply:
    """Describe the layouts of an object, or the one of a record type."""
    access = access_to(org, call, name)
    layout = layouts.main_layout(org, access.sobject.name) if access.sobject.flags["layoutable"] else None
    if layout is None:
        raise not_found()
    shown = _layout(access, layout)
    if record_type is not None:
        return Reply(body=shown)
    mapping = {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "layoutId": layout["Id"],
        "master": True,
        "name": "Master",
        "picklistsForRecordType": [],
        "recordTypeId": MASTER_TYPE,
        "urls": {"layout": f"{call.root}/sobjects/{access.sobject.name}/describe/layouts/{MASTER_TYPE}"},
    }
    return Reply(
        body={"layouts": [shown], "recordTypeMappings": [mapping], "recordTypeSelectorRequired": [False]}
    )


def _layout(access: Access, row: Row) -> dict[str, Any]:
    document = layouts.document_of(row)
    sections = list(document.iter("layoutSections"))
    return {
        "buttonLayoutSection": {"detailButtons": []},
        "detailLayoutSections": [_section(access, row, s, n) for n, s in enumerate(sections, 1)],
        "editLayoutSections": [
            _section(access, row, s, n)
            for n, s in enumerate(sections, 1)
            if xml_text.text(s, "editHeading") == "true"
        ],
        "feedView": None,
        "highlightsPanelLayoutSection": None,
        "id": row["Id"],
        "multirowEditLayoutSections": [],
        "offlineLinks": [],
        "quickActionList": {"quickActionListItems": []},
        "relatedContent": None,
        "relatedLists": [_related(one) for one in document.findall("relatedLists")],
        "saveOptions": [],
    }


def _related(one: Element) -> dict[str, Any]:
    name = xml_text.text(one, "relatedList")
    columns = [{"field": text, "label": text, "name": text} for text in xml_text.texts(one, "fields")]
    return {"columns": columns, "custom": name.endswith("__c"), "label": name, "name": name}


def _section(access: Access, row: Row, section: Element, place: int) -> dict[str, Any]:
    columns = [list(column.iter("layoutItems")) for column in section.iter("layoutColumns")]
    rows = [
        {"layoutItems": items, "numItems": len(items)}
        for line in zip_longest(*columns)
        if (items := [_item(access, one) for one in line])
    ]
    return {
        "collapsed": False,
        "columns": len(columns),
        "heading": xml_text.text(section, "label"),
        "layoutRows": rows,
        "layoutSectionId": f"01B{row['Id'][3:12]}{place:03}",
        "parentLayoutId": row["Id"],
        "rows": len(rows),
        "tabOrder": "LeftToRight" if xml_text.text(section, "style") == _SIDEWAYS else "TopToBottom",
        "useCollapsibleSection": False,
        "useHeading": xml_text.text(section, "detailHeading") == "true",
    }


def _item(access: Access, item: Element | None) -> dict[str, Any]:
    """Describe an item; a field that the caller does not see leaves an empty place."""
    field = access.readable.get(xml_text.text(item, "field")) if item is not None else None
    if item is None or field is None:
        return dict(_BLANK)
    editable = field.name in access.editable and xml_text.text(item, "behavior") != "Readonly"
    component = {
        "details": field.attributes,
        "displayLines": 1,
        "tabOrder": 0,
        "type": "Field",
        "value": field.name,
    }
    return {
        "editableForNew": editable and (field.createable or bool(field.parts)),
        "editableForUpdate": editable and (field.updateable or bool(field.parts)),
        "label": field.label,
        "layoutComponents": [component],
        "placeholder": False,
        "required": xml_text.text(item, "behavior") == "Required",
    }
