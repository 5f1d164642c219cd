"""Features that change what the objects look like: person accounts, several currencies, state and country picklists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import fields
from salesforce_standin.fields import Field

if TYPE_CHECKING:
    from salesforce_standin.org import Org

NONE: dict[str, Any] = {"personAccounts": False, "multiCurrency": [], "stateAndCountryPicklists": False}
_PERSON = {
    "FirstName": ("First Name", "string", 40),
    "LastName": ("Last Name", "string", 80),
    "Salutation": ("Salutation", "picklist", 40),
    "PersonContactId": ("Contact ID", "reference", 18),
    "PersonEmail": ("Email", "email", 80),
    "PersonTitle": ("Title", "string", 80),
    "PersonMobilePhone": ("Mobile", "phone", 40),
    "PersonHomePhone": ("Home Phone", "phone", 40),
    "PersonMailingStreet": ("Mailing Street", "textarea", 255),
    "PersonMailingCity": ("Mailing City", "string", 40),
    "PersonMailingState": ("Mailing State/Province", "string", 80),
    "PersonMailingPostalCode": ("Mailing Zip/Postal Code", "string", 20),
    "PersonMailingCountry": ("Mailing Country", "string", 80),
    "PersonLeadSource": ("Lead Source", "picklist", 255),
    "PersonHasOptedOutOfEmail": ("Email Opt Out", "boolean", 0),
}
_ADDRESSES = {"Account": ("Billing", "Shipping"), "Contact": ("Mailing", "Other"), "Lead": ("",)}
_COUNTRIES = ("US", "CA", "DE", "FR", "GB", "JP")
_STATES = ("CA", "NY", "TX", "WA", "ON", "QC")


def check(wanted: dict[str, Any]) -> None:
    """Raise ValueError for features that there are not."""
    for name, value in wanted.items():
        if name not in NONE or type(value) is not type(NONE[name]):
            raise ValueError(f"{name} must be one of {', '.join(NONE)}, with a value like {NONE.get(name)!r}")


def apply(org: Org, chosen: dict[str, Any]) -> None:
    """Give the objects the fields of the features that are on, and no others."""
    wanted = {(kind, field.name): field for kind, field in _fields(chosen)}
    for kind, field in _fields(dict.fromkeys(NONE, True) | {"multiCurrency": ["USD"]}):
        sobject = org.objects[kind]
        if (kind, field.name) in wanted:
            sobject.add(wanted[(kind, field.name)])
        else:
            sobject.remove(field.name)


def _fields(chosen: dict[str, Any]) -> list[tuple[str, Field]]:
    found: list[tuple[str, Field]] = []
    if chosen.get("personAccounts"):
        found.append(
            ("Account", _field("IsPersonAccount", "Is Person Account", "boolean", 0, writable=False))
        )
        found += [
            ("Account", _field(name, label, kind, length, writable=False, reference="Contact"))
            for name, (label, kind, length) in _PERSON.items()
        ]
    if currencies := chosen.get("multiCurrency"):
        for kind in _ADDRESSES:
            found.append((kind, _field("CurrencyIsoCode", "Currency", "picklist", 3, options=currencies)))
    if chosen.get("stateAndCountryPicklists"):
        for kind, prefixes in _ADDRESSES.items():
            for prefix in prefixes:
                stem = f"{prefix} " if prefix else ""
                for part, label, codes in (
                    ("StateCode", "State/Province Code", _STATES),
                    ("CountryCode", "Country Code", _COUNTRIES),
                ):
                    field = _field(prefix + part, stem + label, "picklist", 10, options=codes, default=False)
                    found.append((kind, field))
    return found


def _field(
    name: str,
    label: str,
    kind: str,
    length: int,
    *,
    writable: bool = True,
    options: Any = (),
    default: bool = True,
    reference: str = "",
) -> Field:
    is_reference = kind == "reference"
    chosen = [(value, default and place == 0) for place, value in enumerate(options)]
    return Field(
        fields.describe(
            name=name,
            label=label,
            type=kind,
            length=length,
            nillable=kind != "boolean" and not (options and default),
            createable=writable,
            updateable=writable,
            defaultedOnCreate=kind == "boolean" or bool(options and default),
            defaultValue=False if kind == "boolean" else None,
            restrictedPicklist=bool(options),
            picklistValues=fields.picklist(chosen),
            referenceTo=[reference] if is_reference else [],
            relationshipName="PersonContact" if is_reference else None,
            groupable=kind != "textarea",
        )
    )
