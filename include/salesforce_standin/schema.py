"""The org's objects and their fields: the standard ones from the data files, the custom ones added while it runs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from salesforce_standin import fields
from salesforce_standin.fields import Field

_FLAGS = {
    "a": "layoutable",
    "c": "createable",
    "d": "deletable",
    "f": "feedEnabled",
    "h": "searchLayoutable",
    "l": "compactLayoutable",
    "m": "mergeable",
    "o": "mruEnabled",
    "q": "queryable",
    "r": "retrieveable",
    "s": "searchable",
    "t": "triggerable",
    "u": "updateable",
    "U": "undeletable",
    "V": "soft",
}
_ADDRESS_PARTS = (
    "City",
    "Country",
    "GeocodeAccuracy",
    "Latitude",
    "Longitude",
    "PostalCode",
    "State",
    "Street",
)
_NOT_SEARCHED = ("textarea", "address", "complexvalue")


class SObject:
    """One kind of record."""

    def __init__(self, name: str, prefix: str, label: str, plural: str, namespace: str, flags: str) -> None:
        self.name = name
        self.prefix = prefix
        self.label = label
        self.plural = plural
        self.tooling = namespace == "tooling"
        self.flags = {name: letter in flags for letter, name in _FLAGS.items()}
        self.soft_deletes = self.flags.pop("soft")
        self.fields: dict[str, Field] = {}
        self.required: tuple[str, ...] = ()
        self.unique: tuple[Field, ...] = ()
        self.defaults: dict[str, Any] = {}

    def add(self, field: Field) -> None:
        """Add a field, and let a compound field know its parts."""
        self.fields[field.name] = field
        if field.type == "address":
            stem = field.name.removesuffix("Address")
            field.parts = {part[0].lower() + part[1:]: stem + part for part in _ADDRESS_PARTS}
        self._derive()

    def remove(self, name: str) -> None:
        """Take a field away."""
        self.fields.pop(name, None)
        self._derive()

    def _derive(self) -> None:
        """Keep ready what every written row is checked against."""
        everything = self.fields.values()
        self.required = tuple(field.name for field in everything if field.required)
        self.unique = tuple(field for field in everything if field.unique)
        self.defaults = {field.name: field.default for field in everything if field.default is not None}

    def references(self) -> Iterator[Field]:
        """Yield the fields that point to records."""
        return (field for field in self.fields.values() if field.type == "reference")


def standard_objects() -> dict[str, SObject]:
    """Return every object of a new org by name."""
    objects = {
        row["name"]: SObject(
            row["name"], row["keyPrefix"], row["label"], row["labelPlural"], row["namespace"], row["flags"]
        )
        for row in _rows("objects.csv")
    }
    for row in _rows("standard_fields.csv"):
        objects[row["object"]].add(Field(_from_recorded(row)))
    for name, attributes in _system_fields(_rows("system_fields.csv")):
        objects[name].add(Field(attributes))
    # Who owns a lead is a group with a type, or else a user: SELECT Owner.Type FROM Lead (SOQL:typeof).
    objects["Group"].fields["Type"].usual = "User"
    return objects


@cache
def _rows(name: str) -> list[dict[str, str]]:
    text = (files("salesforce_standin") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _from_recorded(row: dict[str, str]) -> dict[str, Any]:
    """Turn a row of standard_fields.csv, where every attribute is text, into a description."""
    attributes: dict[str, Any] = dict(fields.DEFAULTS)
    for key, text in row.items():
        if key == "object":
            continue
        usual = fields.DEFAULTS[key]
        if key == "picklistValues":
            attributes[key] = _options(text)
        elif key == "referenceTo":
            attributes[key] = text.split("|") if text else []
        elif key == "defaultValue":
            attributes[key] = {"true": True, "false": False}.get(text, text or None)
        elif isinstance(usual, bool):
            attributes[key] = text == "true"
        elif isinstance(usual, int):
            attributes[key] = int(text)
        else:
            attributes[key] = text or None
    return attributes


def _options(text: str) -> list[dict[str, Any]]:
    values = text.split("|") if text else []
    return fields.picklist([(value.strip("*"), "*" in (value[0], value[-1])) for value in values])


def _system_fields(rows: list[dict[str, str]]) -> Iterable[tuple[str, dict[str, Any]]]:
    audit = [row for row in rows if row["object"] == "*audit"]
    for row in rows:
        if row["object"] == "*audit":
            continue
        for source in audit if row["name"] == "*audit" else [row]:
            yield row["object"], _from_short(source)


def _from_short(row: dict[str, str]) -> dict[str, Any]:
    """Turn a row of system_fields.csv, which only says what is not plain from the type, into a description."""
    flags, kind = row["flags"], row["type"]
    default: Any = None
    options = row["picklistValues"]
    if kind == "boolean":
        default, options = options == "true", ""
    searched = kind not in _NOT_SEARCHED
    return fields.describe(
        name=row["name"],
        label=row["label"],
        type=kind,
        length=int(row["length"] or 0),
        digits=9 if kind == "int" else 0,
        nillable="n" in flags,
        createable="c" in flags,
        updateable="u" in flags,
        defaultedOnCreate="d" in flags,
        idLookup="i" in flags,
        nameField="N" in flags,
        unique="U" in flags,
        aggregatable=searched and kind != "boolean",
        filterable=searched,
        groupable=searched and kind not in {"datetime", "double", "currency"},
        sortable=searched,
        restrictedPicklist=kind == "picklist" and bool(options),
        defaultValue=default,
        picklistValues=_options(options),
        referenceTo=row["referenceTo"].split("|") if row["referenceTo"] else [],
        relationshipName=row["relationshipName"] or None,
    )
