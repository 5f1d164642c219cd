"""The statements by which records are read from Salesforce; every value enters through ``quote`` or ``instant``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.model import ById, ByMatchKey, ByOurKey, ChangedSince, Read

__all__ = ["BECAME", "IN_ORDER", "SERVICE_FIELDS", "fields_of", "instant", "quote", "statements"]

KEYS_A_STATEMENT = 500
CHARACTERS_A_STATEMENT = 40_000
"""Well below the 100,000 that Salesforce takes (facts/salesforce.md 8)."""
SERVICE_FIELDS = ("Id", "SystemModstamp", "LastModifiedById", "IsDeleted", "MasterRecordId")
"""What is read of every record beside our key, our marker and the mapped fields."""

BECAME = "ConvertedContactId"
"""What is read of a lead besides: the contact that it was converted into."""

IN_ORDER = " ORDER BY SystemModstamp, Id"
"""How a read of pages ends; a query job does without, because an order keeps Salesforce from working in parts."""

ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
)


def statements(read: Read, mapping: ObjectMapping) -> list[str]:
    """The queries that together answer one read; one of no keys has none."""
    select = f"SELECT {', '.join(fields_of(mapping))} FROM {mapping.theirs}"  # noqa: S608  # names of checked files
    match read:
        case ChangedSince():
            return [f"{select}{_window(read)}{IN_ORDER}"]
        case ById():
            return [f"{select} WHERE Id IN ({keys})" for keys in _lists(read.ids)]
        case ByOurKey():
            return [f"{select} WHERE {mapping.key.theirs} IN ({keys})" for keys in _lists(read.our_ids)]
        case ByMatchKey():
            return [
                f"{select} WHERE ({where}) AND IsDeleted = false" for where in _matches(read.keys, mapping)
            ]


def fields_of(mapping: ObjectMapping) -> list[str]:
    """All fields that are read of a record, each once, as Salesforce refuses a field named twice."""
    service = (*SERVICE_FIELDS, BECAME) if mapping.object == "lead" else SERVICE_FIELDS
    names = (*service, mapping.key.theirs, mapping.marker.theirs, *(f.theirs for f in mapping.fields))
    return list({name.lower(): name for name in names}.values())


def quote(text: str) -> str:
    """A text literal."""
    return f"'{text.translate(ESCAPES)}'"


def instant(moment: datetime) -> str:
    """An instant as a literal, rounded up: for stamps of whole seconds >= and < then mean exactly what they say."""
    moment = moment.astimezone(UTC)
    if moment.microsecond:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _window(read: ChangedSince) -> str:
    bounds = [
        f"SystemModstamp {operator} {instant(bound)}"
        for operator, bound in ((">=", read.since), ("<", read.until))
        if bound is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def _lists(keys: Iterable[str]) -> Iterator[str]:
    """The keys as comma-separated literals."""
    for chunk in _chunks((key, quote(key)) for key in keys):
        yield ",".join(literals for _key, literals in chunk)


def _chunks(keys: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Keys with their literals, each key once, cut where a statement would grow too long."""
    chunk: list[tuple[str, str]] = []
    size = 0
    for key, literals in dict(keys).items():
        if chunk and (len(chunk) == KEYS_A_STATEMENT or size + len(literals) > CHARACTERS_A_STATEMENT):
            yield chunk
            chunk, size = [], 0
        chunk.append((key, literals))
        size += len(literals) + 1
    if chunk:
        yield chunk


def _matches(keys: Iterable[str], mapping: ObjectMapping) -> Iterator[str]:
    """Conditions of a first match: one of the match columns has one of the keys."""
    by_site = "website" in mapping.match
    spelt = ((key, ",".join(map(quote, _spellings(key) if by_site else (key,)))) for key in keys)
    for chunk in _chunks(spelt):
        lists = {
            column: ",".join(
                literals if column == "website" else quote(key)
                for key, literals in chunk
                if column != "website" or _is_domain(key)
            )
            for column in mapping.match
        }
        yield " OR ".join(
            f"{mapping.by_ours[column].theirs} IN ({literals})"
            for column, literals in lists.items()
            if literals
        )


def _is_domain(key: str) -> bool:
    return "." in key and " " not in key


def _spellings(domain: str) -> Iterator[str]:
    """The usual ways of writing a domain as a website; text is compared without its case there."""
    for host in (domain, f"www.{domain}"):
        for start in ("", "http://", "https://"):
            yield f"{start}{host}"
            yield f"{start}{host}/"
