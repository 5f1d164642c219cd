"""What an org knows about a field: the 57 attributes of its description, and those of them that rules look at."""

from __future__ import annotations

from typing import Any

# Alphabetical, as recorded (facts/salesforce.md 4.7).
DEFAULTS: dict[str, Any] = {
    "aggregatable": True,
    "aiPredictionField": False,
    "autoNumber": False,
    "byteLength": 0,
    "calculated": False,
    "calculatedFormula": None,
    "cascadeDelete": False,
    "caseSensitive": False,
    "compoundFieldName": None,
    "controllerName": None,
    "createable": False,
    "custom": False,
    "defaultValue": None,
    "defaultValueFormula": None,
    "defaultedOnCreate": False,
    "dependentPicklist": False,
    "deprecatedAndHidden": False,
    "digits": 0,
    "displayLocationInDecimal": False,
    "encrypted": False,
    "externalId": False,
    "extraTypeInfo": None,
    "filterable": True,
    "filteredLookupInfo": None,
    "formulaTreatNullNumberAsZero": False,
    "groupable": True,
    "highScaleNumber": False,
    "htmlFormatted": False,
    "idLookup": False,
    "inlineHelpText": None,
    "label": "",
    "length": 0,
    "mask": None,
    "maskType": None,
    "name": "",
    "nameField": False,
    "namePointing": False,
    "nillable": True,
    "permissionable": False,
    "picklistValues": [],
    "polymorphicForeignKey": False,
    "precision": 0,
    "queryByDistance": False,
    "referenceTargetField": None,
    "referenceTo": [],
    "relationshipName": None,
    "relationshipOrder": None,
    "restrictedDelete": False,
    "restrictedPicklist": False,
    "scale": 0,
    "searchPrefilterable": False,
    "soapType": "xsd:string",
    "sortable": True,
    "type": "string",
    "unique": False,
    "updateable": False,
    "writeRequiresMasterRead": False,
}

NUMBERS = frozenset({"int", "double", "currency", "percent"})
TEXTS = frozenset({"string", "textarea", "picklist", "multipicklist", "combobox", "email", "phone", "url"})
KEYS = frozenset({"id", "reference"})
SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}


class Field:
    """One field; ``attributes`` is its description, the rest is what rules ask for."""

    __slots__ = (
        "attributes",
        "case_sensitive",
        "createable",
        "default",
        "indexed",
        "label",
        "length",
        "name",
        "options",
        "parts",
        "permissionable",
        "reference_to",
        "relationship",
        "required",
        "restricted",
        "type",
        "unique",
        "updateable",
        "usual",
    )

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self.name: str = attributes["name"]
        self.label: str = attributes["label"]
        self.type: str = attributes["type"]
        self.length: int = attributes["length"]
        self.createable: bool = attributes["createable"]
        self.updateable: bool = attributes["updateable"]
        self.permissionable: bool = attributes["permissionable"]
        self.unique: bool = attributes["unique"]
        self.case_sensitive: bool = attributes["caseSensitive"]
        self.reference_to: list[str] = attributes["referenceTo"]
        self.relationship: str | None = attributes["relationshipName"]
        self.restricted: bool = attributes["restrictedPicklist"]
        self.options: dict[str, str] = {
            entry["value"].lower(): entry["value"] for entry in attributes["picklistValues"]
        }
        self.required = (
            not attributes["nillable"]
            and attributes["createable"]
            and not attributes["defaultedOnCreate"]
            and self.type != "boolean"
        )
        self.indexed = self.type != "id" and (
            self.unique or attributes["idLookup"] or attributes["externalId"]
        )
        self.default = self._default()
        # What a row that says nothing of the field shows.
        self.usual: Any = False if self.type == "boolean" else None
        self.parts: dict[str, str] = {}

    def _default(self) -> Any:
        if self.type == "boolean":
            return self.attributes["defaultValue"] is True
        chosen = [e["value"] for e in self.attributes["picklistValues"] if e["defaultValue"]]
        return chosen[0] if chosen else None

    @property
    def custom(self) -> bool:
        """Whether the field was added to the object."""
        return bool(self.attributes["custom"])


def picklist(values: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    """Return picklist entries as descriptions list them, from (value, is the default) pairs."""
    return [
        {"active": True, "defaultValue": default, "label": value, "validFor": None, "value": value}
        for value, default in values
    ]


def describe(**attributes: Any) -> dict[str, Any]:
    """Return all 57 attributes in order, the given ones in place of the usual ones."""
    unknown = attributes.keys() - DEFAULTS.keys()
    if unknown:
        raise KeyError(*unknown)
    full = {**DEFAULTS, **attributes}
    if "soapType" not in attributes:
        full["soapType"] = SOAP_TYPES.get(full["type"], "xsd:string")
    if full["type"] in KEYS:
        full["length"] = 18
    # Three bytes a character, as recorded; ids are plain ASCII.
    full["byteLength"] = 18 if full["type"] in KEYS else full["length"] * 3
    return full
