"""CustomField in the Metadata API: the same definitions as the Tooling API's, spelled as XML."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import field_definitions, xml_text
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NUMBERS = frozenset({"length", "precision", "scale", "startingNumber", "visibleLines"})
_LISTS = frozenset({"value", "valueSettings"})
# A default is a formula, whatever it looks like; names and labels are text.
_TEXTS = frozenset({"defaultValue", "description", "fullName", "inlineHelpText", "label"})


def rows(org: Org) -> Iterable[Row]:
    """Return the custom fields."""
    return org.tables["CustomField"].rows.values()


def read(_org: Org, row: Row) -> str:
    """Spell a definition, its elements in the order of the schema, which is the alphabet's."""
    return xml_text.elements(_sorted(row["Metadata"]))


def _sorted(value: Any) -> Any:
    """Order a definition; the name of a picklist value comes before everything that the value says."""
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    if isinstance(value, dict):
        return {
            key: _sorted(one) for key, one in sorted(value.items(), key=lambda i: (i[0] != "fullName", i[0]))
        }
    return value


def create(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Add a field."""
    field_definitions.define(org, user_id, full_name, metadata_of(component))


def update(org: Org, user_id: str, full_name: str, component: Element) -> None:
    """Change a field."""
    field_definitions.redefine(org, user_id, _existing(org, full_name), metadata_of(component))


def delete(org: Org, _user_id: str, full_name: str) -> None:
    """Delete a field."""
    field_definitions.delete(org, _existing(org, full_name))


def _existing(org: Org, full_name: str) -> Row:
    found = next((row for row in rows(org) if row["FullName"] == full_name), None)
    if found is None:
        message = f"In field: fullName - no CustomField named {full_name} found"
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ("fullName",)))
    return found


def metadata_of(component: Element) -> dict[str, Any]:
    """Return a definition as the Tooling API spells it in JSON."""
    values: dict[str, Any] = _value(xml_text.bare(component))
    values.pop("fullName", None)
    return values


def _value(element: Element) -> Any:
    values: dict[str, Any] = {}
    for one in element:
        value = _value(one) if len(one) else _plain(one)
        if one.tag in _LISTS:
            values.setdefault(one.tag, []).append(value)
        else:
            values[one.tag] = value
    return values


def _plain(element: Element) -> Any:
    text = element.text or ""
    if element.tag in _NUMBERS and text.isdigit():
        return int(text)
    if element.tag not in _TEXTS and text in {"true", "false"}:
        return text == "true"
    return text
