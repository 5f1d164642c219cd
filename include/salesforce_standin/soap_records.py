"""Records in SOAP: as a client writes them down, and as the API answers them (partner and enterprise WSDL)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000\Z")
_KINDS = {bool: "boolean", int: "int", float: "double", str: "string"}


def read(element: Element) -> dict[str, Any]:
    """Return a record as the REST API would have got it; only ``fieldsToNull`` clears a field."""
    record: dict[str, Any] = {}
    for one in element:
        name = xml_text.local(one.tag)
        if name == "type" or xml_text.is_nil(one):
            continue
        if name == "fieldsToNull":
            record[(one.text or "").strip()] = None
        elif len(one):
            record[name] = read(one)
        elif name == "Id":
            record["id"] = (one.text or "").strip()
        else:
            record[name] = one.text or ""
    kind = xml_text.text(element, "type") or xml_text.type_of(element)
    return {"attributes": {"type": kind}, **record}


def spell(tag: str, record: Mapping[str, Any], *, partner: bool) -> str:
    """Spell a record; the partner WSDL has one type for all of them, and tells the id twice."""
    kind = record["attributes"]["type"]
    id_text = _value("Id", record.get("Id"))
    head = xml_text.spell("sf:type", kind) + id_text if partner or "Id" not in record else ""
    if not partner and "Id" not in record:
        head = id_text
    typed = kind == "AggregateResult"
    inside = "".join(
        _field(name, value, partner=partner, typed=typed)
        for name, value in record.items()
        if name != "attributes"
    )
    return f'<{tag} xsi:type="sf:{"sObject" if partner else kind}">{head}{inside}</{tag}>'


def result(tag: str, body: Mapping[str, Any], *, partner: bool) -> str:
    """Spell a page of a query, or of the children of a record."""
    locator = str(body.get("nextRecordsUrl") or "").rpartition("/")[2]
    told = xml_text.spell("queryLocator", locator) if locator else '<queryLocator xsi:nil="true"/>'
    records = "".join(spell("records", one, partner=partner) for one in body["records"])
    done, size = xml_text.spell("done", body["done"]), xml_text.spell("size", body["totalSize"])
    return f'<{tag} xsi:type="QueryResult">{done}{told}{records}{size}</{tag}>'


def _field(name: str, value: Any, *, partner: bool, typed: bool) -> str:
    if isinstance(value, Mapping) and "records" in value:
        return result(f"sf:{name}", value, partner=partner)
    if isinstance(value, Mapping) and "attributes" in value:
        return spell(f"sf:{name}", value, partner=partner)
    if isinstance(value, Mapping):
        inside = "".join(_plain(part, value[part]) for part in sorted(value))
        return f'<sf:{name} xsi:type="address">{inside}</sf:{name}>'
    if typed and value is not None:
        return f'<sf:{name} xsi:type="xsd:{_KINDS[type(value)]}">{_text(value)}</sf:{name}>'
    return _value(name, value)


def _value(name: str, value: Any) -> str:
    return _plain(f"sf:{name}", value)


def _plain(tag: str, value: Any) -> str:
    return f'<{tag} xsi:nil="true"/>' if value is None else f"<{tag}>{_text(value)}</{tag}>"


def _text(value: Any) -> str:
    if isinstance(value, str) and _STAMP.match(value):
        return moment(value)
    return xml_text.plain(value)


def moment(stamp: str) -> str:
    """Spell a moment: in XML it ends in Z."""
    return f"{stamp[:-5]}Z"
