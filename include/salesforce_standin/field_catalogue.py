"""FieldDefinition: a row for each field of an object that a query names (TOOL:fielddefinition)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin.fields import Field
from salesforce_standin.soql.tree import Comparison, Literal, Membership, Query, conjuncts

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NOBODY = "000000000000000AAA"
_FILTERS = frozenset({"entitydefinitionid", "entitydefinition.qualifiedapiname", "durableid"})
_KINDS = {
    "id": "ID", "boolean": "Checkbox", "date": "Date", "datetime": "Date/Time", "email": "Email", "phone": "Phone",
    "picklist": "Picklist", "address": "Address", "combobox": "Picklist", "complexvalue": "Complex Value",
}  # fmt: skip
_NUMBERS = {"int": "Number", "double": "Number", "currency": "Currency", "percent": "Percent"}


def rows(org: Org, user_id: str, query: Query) -> dict[str, dict[str, Any]]:
    """Return the fields of the objects that a query's conditions name, as its user sees them."""
    wanted = set()
    is_filtered = False
    for part in conjuncts(query.where):
        path = part.left if isinstance(part, Comparison) else part.path
        name = str(path).lower()
        if name in _FILTERS:
            is_filtered = True
            wanted |= {text.partition(".")[0].lower() for text in _texts(part)}
    if not is_filtered:
        message = "FieldDefinition: a filter on a reified column is required [EntityDefinitionId,DurableId]"
        raise query.source.malformed(query.entity_at, message)
    found = {}
    for sobject in org.objects.values():
        access = org.access(user_id, sobject.name)
        if sobject.name.lower() in wanted and access.may_read:
            for field in access.readable.values():
                found[f"{sobject.name}.{field.name}"] = _row(sobject.name, field)
    return found


def _texts(part: Comparison | Membership) -> list[str]:
    literals: tuple[Literal, ...] = ()
    if isinstance(part, Comparison):
        literals = (part.right,)
    elif not isinstance(part.values, Query):
        literals = part.values
    return [literal.value for literal in literals if literal.kind == "string"]


def _row(kind: str, field: Field) -> dict[str, Any]:
    says = field.attributes
    return {
        "Id": _NOBODY,
        "DurableId": f"{kind}.{field.name}",
        "QualifiedApiName": field.name,
        "DeveloperName": field.name.removesuffix("__c"),
        "EntityDefinitionId": kind,
        "MasterLabel": field.label,
        "Label": field.label,
        "DataType": _shown(field),
        "Length": says["length"],
        "Precision": says["precision"],
        "Scale": says["scale"],
        "RelationshipName": field.relationship,
        "ExtraTypeInfo": says["extraTypeInfo"],
        "IsNillable": says["nillable"],
        "IsCalculated": says["calculated"],
        "IsCompound": bool(field.parts),
        "IsIndexed": field.indexed or field.type in {"id", "reference"},
        "IsNameField": says["nameField"],
        "IsPolymorphicForeignKey": len(field.reference_to) > 1,
        "IsApiFilterable": says["filterable"],
        "IsApiGroupable": says["groupable"],
        "IsApiSortable": says["sortable"],
        "IsFlsEnabled": field.permissionable,
    }


def _shown(field: Field) -> str:
    """Return a field's type as Setup shows it: ``Text(80)``, ``Lookup(User)``, ``Currency(18, 0)``."""
    says = field.attributes
    if field.type in _NUMBERS:
        whole = (says["precision"] or says["digits"]) - says["scale"]
        return f"{_NUMBERS[field.type]}({whole}, {says['scale']})"
    if field.type == "reference":
        return f"Lookup({','.join(field.reference_to)})"
    if field.type == "url":
        return f"URL({field.length})"
    if field.type == "textarea":
        return "Text Area(255)" if field.length <= 255 else f"Long Text Area({field.length})"
    if field.type == "multipicklist":
        return "Picklist (Multi-Select)"
    return _KINDS.get(field.type) or f"Text({field.length})"
