"""Page layouts: kept as the XML that was written, so that all of it comes back (facts/salesforce.md 7.3)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.layout_rules import check, items, pad
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

NAME = "Layout"
_NUMBERS = frozenset({"height", "posX", "posY", "posZ", "sizeX", "sizeY", "sizeZ", "sortOrder"})
_LISTS = frozenset(
    {
        "customButtons", "excludeButtons", "feedFilters", "fields", "headers", "layoutColumns", "layoutItems",
        "layoutSections", "leftComponents", "multilineLayoutFields", "platformActionListItems", "quickActionListItems",
        "relatedContentItems", "relatedLists", "relatedObjects", "rightComponents", "summaryLayoutItems",
    }
)  # fmt: skip


def found(org: Org, user_id: str) -> None:
    """Give a new org the layouts that every org begins with."""
    for file in sorted((files("salesforce_standin") / "data" / "layouts").iterdir(), key=lambda f: f.name):
        document = xml_text.read(file.read_bytes())
        if document is None:
            raise ValueError(f"{file.name} is no XML document")
        create(org, user_id, file.name.removesuffix(".layout"), document)


def rows(org: Org) -> Iterable[Row]:
    """Return the layouts."""
    return org.tables[NAME].rows.values()


def main_layout(org: Org, kind: str) -> Row | None:
    """Return the layout that an object's pages show: the one by its own name, else the oldest."""
    of_kind = sorted(
        (row for row in rows(org) if row["TableEnumOrId"] == kind), key=lambda row: str(row["Id"])
    )
    usual = (row for row in of_kind if row["FullName"] == f"{kind}-{kind} Layout")
    return next(usual, None) or next(iter(of_kind), None)


def document_of(row: Row) -> Element:
    """Return a layout's XML tree."""
    document = xml_text.read(f"<{NAME}>{row['_xml']}</{NAME}>")
    if document is None:
        raise ValueError(f"the stored layout {row['FullName']} can't be read")
    return document


def read(_org: Org, row: Row) -> str:
    """Spell a layout."""
    return str(row["_xml"])


def create(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Add a layout."""
    kind, _, name = full_name.partition("-")
    if not name or kind not in org.objects:
        message = f"In field: fullName - no CustomObject named {kind} found"
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ("fullName",)))
    if _named(org, full_name) is not None:
        message = f"Layout {full_name} already exists"
        raise RowError(Fault("DUPLICATE_DEVELOPER_NAME", message, ("fullName",)))
    row = {
        "Id": org.sequence.next("00h"),
        "Name": unquote(name),
        "FullName": full_name,
        "TableEnumOrId": kind,
        "EntityDefinitionId": kind,
        "LayoutType": "Standard",
        "ManageableState": "unmanaged",
        "CreatedDate": org.clock.stamp(),
        "CreatedById": user_id,
    }
    _store(org, user_id, row, component)


def update(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Put another layout in the place of one: nothing of the old one stays."""
    _store(org, user_id, dict(_existing(org, full_name)), component)


def delete(org: Org, _user_id: str, full_name: str) -> None:
    """Delete a layout; an object keeps at least one."""
    row = _existing(org, full_name)
    if sum(1 for other in rows(org) if other["TableEnumOrId"] == row["TableEnumOrId"]) == 1:
        raise RowError(Fault("DELETE_FAILED", f"Layout {full_name} is the last one of its object", ()))
    org.put(org.tables[NAME], row["Id"], None)


def forget_field(org: Org, kind: str, name: str) -> None:
    """Take a deleted field from the layouts of its object."""
    for row in [row for row in rows(org) if row["TableEnumOrId"] == kind and name in row["_xml"]]:
        document = document_of(row)
        for holder, item in list(items(document)):
            if xml_text.text(item, "field") == name:
                holder.remove(item)
        _put(org, dict(row), document)


def _named(org: Org, full_name: str) -> Row | None:
    return next((row for row in rows(org) if row["FullName"] == full_name), None)


def _existing(org: Org, full_name: str) -> Row:
    row = _named(org, full_name)
    if row is None:
        message = f"In field: fullName - no Layout named {full_name} found"
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ("fullName",)))
    return row


def _store(org: Org, user_id: str, row: Row, component: Element) -> None:
    document = xml_text.bare(component)
    for name in [one for one in document if one.tag == "fullName"]:
        document.remove(name)
    check(org.objects[row["TableEnumOrId"]], document)
    stamp = org.clock.stamp()
    row |= {"LastModifiedDate": stamp, "LastModifiedById": user_id, "SystemModstamp": stamp}
    _put(org, row, document)


def _put(org: Org, row: Row, document: Element) -> None:
    pad(document)
    row |= {"_xml": xml_text.inside(document), "Metadata": _as_json(document)}
    org.put(org.tables[NAME], row["Id"], row)


def _as_json(element: Element) -> Any:
    """Return a layout as the Tooling API's Metadata spells it."""
    values: dict[str, Any] = {}
    for one in element:
        value = _as_json(one) if len(one) or not one.text else _plain(one)
        if one.tag in _LISTS:
            values.setdefault(one.tag, []).append(value)
        else:
            values[one.tag] = value
    return values


def _plain(element: Element) -> Any:
    text = element.text or ""
    if element.tag in _NUMBERS and text.isdigit():
        return int(text)
    return text == "true" if text in {"true", "false"} else text
