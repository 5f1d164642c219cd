"""What one connection changes in the mapping: fields set or taken out, on top of the mapping files; checked as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from crm_sync.decide.mapping import FieldMapping, Name, ObjectMapping
from crm_sync.model import OBJECTS, Object

__all__ = ["MappingChanges", "Mappings", "adjusted", "counterparts", "problems"]

Mappings = Mapping[Object, ObjectMapping]


class MappingChanges(BaseModel):
    """The changes of one object.

    ``fields``: blocks added, or put in the place of the block of the same column of ours; ``without``: our columns that
    this connection doesn't sync.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: tuple[FieldMapping, ...] = ()
    without: tuple[Name, ...] = ()


def adjusted(mappings: Mappings, changes: Mapping[Object, MappingChanges]) -> dict[Object, ObjectMapping]:
    """The mapping of a connection: the files' blocks in their order, those of the connection after them."""
    return {
        object: _adjusted(mapping, changes[object]) if object in changes else mapping
        for object, mapping in mappings.items()
    }


def problems(mappings: Mappings, changes: Mapping[Object, MappingChanges]) -> list[str]:
    """Everything in the changes that no run could work with, each with what to do; none if they are good."""
    found = adjusted(mappings, changes)
    return [
        f"mapping.{object}: {problem}"
        for object in OBJECTS
        if object in changes
        for problem in _problems(mappings[object], changes[object], found[object])
    ]


def counterparts(mapping: ObjectMapping) -> dict[str, str]:
    """Our column -> what it is on their side; while that is the same, what is known of the field goes on being true."""
    return {
        f.ours: f"{f.theirs.lower()} {f.type} {f.scale} {f.references or ''}".strip() for f in mapping.fields
    }


def _adjusted(mapping: ObjectMapping, changes: MappingChanges) -> ObjectMapping:
    chosen = {f.ours: f for f in changes.fields}
    blocks = [chosen.pop(f.ours, f) for f in mapping.fields if f.ours not in changes.without]
    return replace(mapping, fields=(*blocks, *chosen.values()))


def _problems(file: ObjectMapping, changes: MappingChanges, found: ObjectMapping) -> Iterator[str]:
    names = Counter(f.ours for f in changes.fields)
    yield from (f"{name} is set {count} times; set it once" for name, count in names.items() if count > 1)
    for name in changes.without:
        if name in names:
            yield f"{name} is both set and taken out; choose one"
        elif name not in file.by_ours:
            yield f"{name} is taken out, but is not mapped; the mapped fields are {', '.join(sorted(file.by_ours))}"
    holders: dict[str, str] = {s.theirs.lower(): "a service field of GPTWeb" for s in (file.key, file.marker)}
    for field in found.fields:
        other = holders.setdefault(field.theirs.lower(), field.ours)
        if other != field.ours:
            yield f"{field.theirs} is the counterpart of {field.ours}, but already {_of(other)}; map each field once"
    missing = [column for column in found.match if column not in found.by_ours]
    yield from (f"{column} is needed to match records of both sides; leave it mapped" for column in missing)
    references = [f.ours for f in found.fields if f.references]
    if len(references) > 1:
        yield f"{' and '.join(references)} both refer to another object; one such field is supported"


def _of(holder: str) -> str:
    return holder if " " in holder else f"that of {holder}"
