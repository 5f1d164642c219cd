"""What a page layout must hold to be saved; the messages are those that deployments meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.schema import SObject

_COLUMNS = {"OneColumn": 1, "TwoColumnsLeftToRight": 2, "TwoColumnsTopToBottom": 2, "CustomLinks": 3}


def items(layout: Element) -> Iterator[tuple[Element, Element]]:
    """Yield (column, item) for every item of a layout's sections."""
    for section in layout.iter("layoutSections"):
        for column in section.iter("layoutColumns"):
            for item in column.iter("layoutItems"):
                yield column, item


def pad(layout: Element) -> None:
    """Give every section the columns that its style has, empty ones where it names fewer."""
    for section in layout.iter("layoutSections"):
        columns = section.findall("layoutColumns")
        style = section.find("style")
        place = list(section).index(style) if style is not None else len(section)
        for _ in range(len(columns), _COLUMNS.get(xml_text.text(section, "style"), 0)):
            section.insert(place, Element("layoutColumns"))


def _integrity(message: str) -> RowError:
    return RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, ()))


def check(sobject: SObject, layout: Element) -> None:
    """Refuse a layout without sections, with unknown or repeated fields, or without the required ones."""
    if layout.find("layoutSections") is None:
        raise _integrity("Layout must have at least 1 section")
    placed = [
        (name, xml_text.text(item, "behavior"))
        for _, item in items(layout)
        if (name := xml_text.text(item, "field"))
    ]
    for name, _ in placed:
        if name not in sobject.fields:
            message = f"In field: field - no CustomField named {sobject.name}.{name} found"
            raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ()))
    for name, times in Counter(name for name, _ in placed).items():
        if times > 1:
            raise _integrity(f"Layout contains duplicate field: {name}")
    behaviors = dict(placed)
    for name in _required(sobject):
        if name not in behaviors:
            raise _integrity(f"Layout must contain an item for required layout field: {name}")
        if behaviors[name] != "Required":
            raise _integrity(f"Field:{name} must be Required")


def _required(sobject: SObject) -> dict[str, None]:
    """Return the required fields as layouts name them: a part stands under its compound."""
    names = (sobject.fields[name].attributes["compoundFieldName"] or name for name in sobject.required)
    return dict.fromkeys(name for name in names if name in sobject.fields)
