"""Custom fields: from a Tooling CustomField's metadata to a field of its object, and what is refused on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from salesforce_standin import fields
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.fields import Field
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*\Z")
_KINDS = {
    "AutoNumber": "string",
    "Checkbox": "boolean",
    "Currency": "currency",
    "Date": "date",
    "DateTime": "datetime",
    "Email": "email",
    "LongTextArea": "textarea",
    "Lookup": "reference",
    "MultiselectPicklist": "multipicklist",
    "Number": "double",
    "Percent": "percent",
    "Phone": "phone",
    "Picklist": "picklist",
    "Text": "string",
    "TextArea": "textarea",
    "Url": "url",
}
_LENGTHS = {
    "Email": 80, "Phone": 40, "Picklist": 255, "MultiselectPicklist": 4099, "TextArea": 255, "Url": 255, "AutoNumber": 30,
}  # fmt: skip
_MUST_SAY = {
    "Checkbox": ("defaultValue",),
    "Currency": ("precision", "scale"),
    "LongTextArea": ("length", "visibleLines"),
    "Lookup": ("referenceTo", "relationshipName"),
    "MultiselectPicklist": ("valueSet", "visibleLines"),
    "Number": ("precision", "scale"),
    "Percent": ("precision", "scale"),
    "Text": ("length",),
}
_KNOWN = frozenset(
    {
        "label", "type", "length", "precision", "scale", "required", "externalId", "unique", "caseSensitive",
        "defaultValue", "description", "inlineHelpText", "trackTrending", "trackHistory", "trackFeedHistory",
        "visibleLines", "valueSet", "referenceTo", "relationshipName", "relationshipLabel", "deleteConstraint",
        "urls", "deprecated", "businessStatus", "securityClassification", "complianceGroup", "displayFormat",
        "startingNumber", "formula", "formulaTreatBlanksAs", "populateExistingRows", "stripMarkup", "restrictedAdminField", "encryptionScheme",
    }
)  # fmt: skip


def integrity(message: str, *names: str) -> RowError:
    """Return the refusal of a definition."""
    return RowError(Fault("FIELD_INTEGRITY_EXCEPTION", message, names))


def split_name(org: Org, full_name: str) -> tuple[str, str]:
    """Return (object, developer name) of ``Contact.Fit_Score__c``, or refuse it."""
    owner, _, name = full_name.partition(".")
    if owner not in org.objects or not org.objects[owner].soft_deletes:
        message = f"Entity Enumeration Or ID: bad value for restricted picklist field: {owner}"
        raise RowError(Fault("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, ("TableEnumOrId",)))
    developer_name = name.removesuffix("__c")
    if developer_name == name or not _NAME.match(developer_name) or len(developer_name) > 40:
        raise integrity(
            f"The field name you provided {name} on object {owner} can only contain alphanumeric characters, must begin"
            " with a letter, cannot end with an underscore or contain two consecutive underscore characters, and must"
            " end with '__c'.",
            "FullName",
        )
    return owner, developer_name


def check(metadata: dict[str, Any]) -> None:
    """Refuse metadata that a field can't be made from (facts/salesforce.md 7.1)."""
    for key in metadata:
        if key not in _KNOWN:
            raise RowError(
                Fault("INVALID_FIELD", f"No such column '{key}' on sobject of type Metadata", None)
            )
    kind = metadata.get("type")
    if kind not in _KINDS:
        raise RowError(_cannot_read(kind))
    if not metadata.get("label"):
        raise integrity("Must specify a non-empty label for the CustomField", "Label")
    for key in () if metadata.get("formula") else _MUST_SAY.get(kind, ()):
        if metadata.get(key) is None:
            raise integrity(f"Must specify '{key}' for a CustomField of type {kind}", "FullName")
    if not metadata.get("formula"):
        _check_sizes(kind, metadata)


def _check_sizes(kind: str, metadata: dict[str, Any]) -> None:
    if kind == "Text" and not 1 <= int(metadata["length"]) <= 255:
        raise integrity("Text field length must be between 1 and 255", "Length")
    if "precision" in _MUST_SAY.get(kind, ()):
        precision, scale = int(metadata["precision"]), int(metadata["scale"])
        if not 1 <= precision <= 18:
            raise integrity("Precision must be between 1 and 18", "Precision")
        if not 0 <= scale <= precision:
            raise integrity("Scale must not be greater than the precision", "Scale")


def _cannot_read(kind: object) -> Fault:
    return Fault(
        "JSON_PARSER_ERROR",
        f"Cannot deserialize instance of complexvalue from VALUE_STRING value {kind} or request may be missing a"
        " required field at [line:1, column:2]",
        None,
    )


def field_of(name: str, metadata: dict[str, Any]) -> Field:
    """Return the field that the metadata defines."""
    kind = metadata["type"]
    api_type = _KINDS[kind]
    number = api_type in fields.NUMBERS
    required = bool(metadata.get("required"))
    external = bool(metadata.get("externalId"))
    long_text = kind == "LongTextArea"
    options = (metadata.get("valueSet") or {}).get("valueSetDefinition", {}).get("value", [])
    reference = kind == "Lookup"
    # A formula is not evaluated here: /standin/records/write says what it comes to.
    formula = metadata.get("formula")
    computed = bool(formula) or kind == "AutoNumber"
    attributes = fields.describe(
        name=name,
        label=metadata["label"],
        type=api_type,
        length=int(metadata.get("length") or _LENGTHS.get(kind, 0)),
        precision=int(metadata.get("precision") or 0) if number else 0,
        scale=int(metadata.get("scale") or 0) if number else 0,
        nillable=not required and api_type != "boolean",
        createable=not computed,
        updateable=not computed,
        calculated=bool(formula),
        calculatedFormula=formula,
        autoNumber=kind == "AutoNumber",
        defaultedOnCreate=api_type == "boolean",
        defaultValue=str(metadata.get("defaultValue")).lower() == "true" if api_type == "boolean" else None,
        custom=True,
        externalId=external,
        idLookup=external,
        unique=bool(metadata.get("unique")),
        caseSensitive=bool(metadata.get("caseSensitive")),
        aggregatable=api_type != "boolean" and not long_text,
        filterable=not long_text,
        groupable=not long_text and api_type not in {"datetime", "double", "currency", "percent"},
        sortable=not long_text,
        permissionable=not required,
        inlineHelpText=metadata.get("inlineHelpText"),
        extraTypeInfo="plaintextarea" if api_type == "textarea" else None,
        picklistValues=fields.picklist([(o["fullName"], bool(o.get("default"))) for o in options]),
        restrictedPicklist=bool((metadata.get("valueSet") or {}).get("restricted")),
        referenceTo=[metadata["referenceTo"]] if reference else [],
        relationshipName=name.removesuffix("__c") + "__r" if reference else None,
    )
    return Field(attributes)


def attach(org: Org, row: Row) -> None:
    """Add the field of a CustomField row to its object."""
    sobject = org.objects[row["TableEnumOrId"]]
    field = field_of(row["DeveloperName"] + "__c", row["Metadata"])
    sobject.add(field)
    org.tables[sobject.name].unwatch(field.name)
    org.tables[sobject.name].watch(field)


def reattach(org: Org) -> None:
    """Make the objects' custom fields those that the CustomField rows say, after a roll-back."""
    rows = org.tables["CustomField"].rows.values()
    wanted = {(row["TableEnumOrId"], row["DeveloperName"] + "__c"): row for row in rows}
    for sobject in org.objects.values():
        for field in [f for f in sobject.fields.values() if f.custom]:
            if (sobject.name, field.name) not in wanted:
                detach(org, sobject.name, field.name)
    for row in wanted.values():
        attach(org, row)


def detach(org: Org, owner: str, name: str) -> None:
    """Take a field from its object."""
    org.objects[owner].remove(name)
    org.tables[owner].unwatch(name)
