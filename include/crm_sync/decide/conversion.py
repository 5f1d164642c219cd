"""A lead that was converted in the CRM goes on as its contact: what of it travels there.

Pure (algorithm.md 6.4).  Salesforce copies standard fields into the new contact and leaves out every other one; a field
that it leaves out is no clear, so its base is absent and the blank is filled from ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.values import same
from crm_sync.model import Link, OurRecord, Row, Value

__all__ = ["RENAMED", "Carried", "Filled", "carry", "edited_at", "fill"]

RENAMED = {part: f"mailing_{part}" for part in ("street", "city", "state", "postal_code", "country")}
"""Columns of a lead that have another name in a contact."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A new contact of ours: the lead's present values, unsent edits included, and the base that they bring along."""

    values: Row
    base_ours: Row
    base_theirs: Row


@dataclass(frozen=True, slots=True)
class Filled:
    """A known contact of ours: what fills its blanks, and the unsent values that lose: (column, the lead's, its own)."""

    values: Row
    lost: tuple[tuple[str, Value, Value], ...]


def carry(lead: ObjectMapping, contact: ObjectMapping, link: Link, ours: OurRecord) -> Carried:
    """What a new contact is made of."""
    values: dict[str, Value] = {}
    base_ours: dict[str, Value] = {}
    base_theirs: dict[str, Value] = {}
    for mapped, column in _shared(lead, contact):
        name = mapped.ours
        if ours.values.get(name) is not None:
            values[column] = ours.values[name]
        if _is_copied(mapped) and name in link.base_ours and name in link.base_theirs:
            base_ours[column], base_theirs[column] = link.base_ours[name], link.base_theirs[name]
    return Carried(values, base_ours, base_theirs)


def fill(lead: ObjectMapping, contact: ObjectMapping, link: Link, ours: OurRecord, known: Row) -> Filled:
    """What a contact that we had already gets from the lead."""
    values: dict[str, Value] = {}
    lost: list[tuple[str, Value, Value]] = []
    for mapped, column in _shared(lead, contact):
        value, held = ours.values.get(mapped.ours), known.get(column)
        if mapped.opts_out and link.seen.get(mapped.ours) and not link.base_theirs.get(mapped.ours):
            value = True  # said there, and not read before the lead was converted
        if value is None or same(value, held):
            continue
        if held is None or (mapped.opts_out and value):
            values[column] = value
        elif mapped.direction != "out" and value != link.base_ours.get(mapped.ours):
            lost.append((column, value, held))
    return Filled(values, tuple(lost))


def edited_at(ours: OurRecord, columns: Iterable[str]) -> dict[str, datetime]:
    """When the lead's values of these columns of a contact were edited."""
    names = {column: name for name, column in RENAMED.items()}
    return {column: ours.time_of(names.get(column, column)) for column in columns}


def _shared(lead: ObjectMapping, contact: ObjectMapping) -> Iterator[tuple[FieldMapping, str]]:
    """The lead's fields that a contact has, too, each with the contact's column."""
    for mapped in lead.fields:
        column = RENAMED.get(mapped.ours, mapped.ours)
        if column in contact.by_ours and not mapped.references:
            yield mapped, column


def _is_copied(mapped: FieldMapping) -> bool:
    """Whether the conversion copies the field: standard ones only, unless an administrator says otherwise.

    Consent never counts as copied, so that an opt-out of the lead wins over a contact that lacks it.
    """
    return mapped.direction != "out" and not mapped.opts_out and not mapped.theirs.endswith("__c")
