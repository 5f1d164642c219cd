"""Descriptions in SOAP: those of the REST API, less what the WSDL does not know, nil where it asks for an element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salesforce_standin import xml_text

_REST_ONLY = frozenset(
    {
        "associateEntityType", "associateParentEntity", "extendedBy", "extendsInterfaces", "listviewable",
        "lookupLayoutable", "sobjectDescribeOption", "urls",
    }
)  # fmt: skip
# What must be there, empty or not (partner WSDL, nillable without minOccurs).
_NIL = frozenset(
    {
        "defaultImplementation", "implementedBy", "implementsInterfaces", "keyPrefix", "networkScopeFieldName",
        "urlDetail", "urlEdit", "urlNew",
    }
)  # fmt: skip


def whole(body: Mapping[str, Any], base: str) -> str:
    """Spell the description of an object."""
    prefix = body["keyPrefix"]
    links = {"urlDetail": "/{ID}", "urlEdit": "/{ID}/e", "urlNew": f"/{prefix}/e"}
    shown = {name: f"{base}{path}" if prefix else None for name, path in links.items()}
    record_types = [{k: v for k, v in one.items() if k != "urls"} for one in body["recordTypeInfos"]]
    return _spell("result", {**body, **shown, "recordTypeInfos": record_types})


def listed(body: Mapping[str, Any]) -> str:
    """Spell the list of objects."""
    sobjects = "".join(_spell("sobjects", one) for one in body["sobjects"])
    head = xml_text.elements({"encoding": body["encoding"], "maxBatchSize": body["maxBatchSize"]})
    return f"<result>{head}{sobjects}</result>"


def _spell(tag: str, body: Mapping[str, Any]) -> str:
    """Spell one description, its parts in alphabetical order as the WSDL has them."""
    known = {**body, "idEnabled": True}
    parts = [
        f'<{name} xsi:nil="true"/>'
        if known[name] is None and name in _NIL
        else xml_text.spell(name, known[name])
        for name in sorted(known)
        if name not in _REST_ONLY
    ]
    return f"<{tag}>{''.join(parts)}</{tag}>"
