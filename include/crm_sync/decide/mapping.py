"""Which field of ours is which field of theirs: the mapping files as frozen values.

One YAML file per CRM and object under ``crm_sync/mappings``, one block per field.  Every problem of a file is
reported at once, with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from crm_sync.errors import Misconfigured
from crm_sync.model import OBJECTS, ConflictPolicy, Object

__all__ = [
    "FieldDirection",
    "FieldMapping",
    "FieldSpec",
    "FieldType",
    "Name",
    "ObjectMapping",
    "load_mapping",
    "load_mappings",
]

FieldType = Literal["text", "number", "boolean", "datetime", "reference"]
FieldDirection = Literal["both", "out", "in"]
FieldRule = Literal["opt_out_wins"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=63)]

_INTERVAL = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _interval(text: object) -> object:
    if isinstance(text, timedelta):
        return text
    found = _INTERVAL.fullmatch(str(text))
    if found is None:
        raise ValueError("is not a time like 30s, 15m, 1h or 1d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _interval_text(interval: timedelta) -> str:
    """As ``_interval`` reads it, in the greatest unit that leaves nothing over."""
    seconds = int(interval.total_seconds())
    size, unit = next((size, unit) for size, unit in _SIZES if seconds % size == 0)
    return f"{seconds // size}{unit}"


Interval = Annotated[timedelta, BeforeValidator(_interval), PlainSerializer(_interval_text)]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAPPINGS = Path(__file__).parent.parent / "mappings"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldSpec(_Strict):
    """How provisioning creates a field in the CRM (facts/salesforce.md 7.1)."""

    type: Literal["Number", "Checkbox", "DateTime", "Text"]
    label: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    external_id: bool = False
    unique: bool = False

    @model_validator(mode="after")
    def _complete(self) -> FieldSpec:
        if self.type == "Number" and (self.precision is None or self.scale is None):
            raise ValueError("a Number needs precision and scale")
        if self.type == "Text" and self.length is None:
            raise ValueError("a Text needs length")
        return self


class FieldMapping(_Strict):
    """One field.  ``direction`` out: GPTWeb owns it and an edit in the CRM is restored; in: the CRM owns it.

    ``rule`` opt_out_wins: in a conflict, and at a first link, true wins whatever the policy.  ``min_interval``: a
    measure of ours that changes often is sent to one record at most so often, unless something else is sent to it.
    """

    ours: Name
    theirs: Name
    type: FieldType = "text"
    scale: int = 0
    direction: FieldDirection = "both"
    references: Object | None = None
    policy: ConflictPolicy | None = None
    rule: FieldRule | None = None
    min_interval: Interval | None = None
    create: FieldSpec | None = None

    @model_validator(mode="after")
    def _reference_names_its_object(self) -> FieldMapping:
        if (self.type == "reference") != (self.references is not None):
            raise ValueError(
                "a field of type reference, and only such a field, says which object it references"
            )
        return self

    @model_validator(mode="after")
    def _consent_is_yes_or_no(self) -> FieldMapping:
        if self.opts_out and (self.type != "boolean" or self.direction != "both" or self.policy):
            raise ValueError(
                "opt_out_wins is the rule of a boolean that travels both ways, without a policy of its own"
            )
        return self

    @model_validator(mode="after")
    def _only_ours_is_paced(self) -> FieldMapping:
        if self.min_interval and self.direction != "out":
            raise ValueError("min_interval is for a field of direction out: an edit of a person never waits")
        return self

    @property
    def opts_out(self) -> bool:
        """Whether true takes back a person's consent, so that no policy may overrule it."""
        return self.rule == "opt_out_wins"


class ServiceField(_Strict):
    """A field of ours on their records that carries no data of people: our key, the marker of the last write."""

    theirs: Name
    create: FieldSpec


class _File(_Strict):
    object: Object
    theirs: Name
    match: tuple[Name, ...]
    key: ServiceField
    marker: ServiceField
    policy: ConflictPolicy | None = None
    fields: tuple[FieldMapping, ...]


@dataclass(frozen=True)
class ObjectMapping:
    """One object: our table, their type, the service fields and the mapped fields in the file's order.

    ``match``: the columns by which a first match is made, in order of preference.
    """

    object: Object
    theirs: str
    match: tuple[str, ...]
    key: ServiceField
    marker: ServiceField
    policy: ConflictPolicy | None
    fields: tuple[FieldMapping, ...]

    @property
    def table(self) -> str:
        """Our table in schema ``gptweb``."""
        return f"{self.object}s"

    @cached_property
    def by_ours(self) -> dict[str, FieldMapping]:
        """The fields by our column name."""
        return {f.ours: f for f in self.fields}

    @cached_property
    def by_theirs(self) -> dict[str, FieldMapping]:
        """The fields by the CRM's name, in lower case, because Salesforce names know no case."""
        return {f.theirs.lower(): f for f in self.fields}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Our column names, in the file's order."""
        return tuple(f.ours for f in self.fields)

    @cached_property
    def row(self) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
        """Takes a record's values in the order of the columns; KeyError where one is absent."""
        # At least two names: itemgetter of a single one gives no tuple.
        return (
            itemgetter(*self.columns) if len(self.columns) > 1 else lambda values: (values[self.columns[0]],)
        )

    @cached_property
    def converted(self) -> tuple[tuple[int, FieldMapping], ...]:
        """The fields whose values our database holds in another form than the canonical one, with their places."""
        return tuple((i, f) for i, f in enumerate(self.fields) if f.type != "text")

    @cached_property
    def paced(self) -> frozenset[str]:
        """Our columns that are sent at most so often."""
        return frozenset(f.ours for f in self.fields if f.min_interval)

    @cached_property
    def reference(self) -> FieldMapping | None:
        """The field that points to another object of ours, if there is one."""
        return next((f for f in self.fields if f.references), None)


def load_mappings(vendor: str, root: Path = MAPPINGS) -> dict[Object, ObjectMapping]:
    """Read and check all mapping files of a CRM; Misconfigured lists every problem of every file."""
    problems: list[str] = []
    mappings: dict[Object, ObjectMapping] = {}
    for name in OBJECTS:
        try:
            mappings[name] = load_mapping(root / vendor / f"{name}.yaml")
        except Misconfigured as error:
            problems.append(str(error))
    if problems:
        raise Misconfigured("\n".join(problems))
    return mappings


def load_mapping(path: Path) -> ObjectMapping:
    """Read and check one mapping file."""
    text = _read(path)
    try:
        node = yaml.compose(text, Loader=LOADER)
        data = yaml.load(text, Loader=LOADER)  # noqa: S506  the safe loader, in C where it is
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Misconfigured(f"{path}:{line}: not valid YAML: {error.problem}") from None
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        lines = sorted((_line(node, e["loc"]), _words(e)) for e in error.errors())
        raise Misconfigured("\n".join(f"{path}:{line}: {words}" for line, words in lines)) from None
    repeated = sorted(set(_repeated(file, node)))
    if repeated:
        raise Misconfigured("\n".join(f"{path}:{line}: {words}" for line, words in repeated))
    return ObjectMapping(**{name: getattr(file, name) for name in _File.model_fields})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured(
            f"{path}: the mapping file can't be read ({error.strerror}); create or restore it"
        ) from None


def _repeated(file: _File, node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """A column mapped twice would be merged twice, and the two results would fight."""
    for side in ("ours", "theirs"):
        seen: dict[str, int] = {}
        for index, field in enumerate(file.fields):
            name = getattr(field, side).lower()
            line = _line(node, ("fields", index, side))
            if name in seen:
                yield (
                    line,
                    f"{getattr(field, side)} is mapped already in line {seen[name]}; map each field once",
                )
            seen.setdefault(name, line)
    for index, column in enumerate(file.match):
        if column not in {f.ours for f in file.fields}:
            yield (
                _line(node, ("match", index)),
                f"match: {column} is not a mapped field; map it or take it out",
            )


def _words(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "file"
    given = "" if error["type"] in ("missing", "extra_forbidden") else f" (given: {error['input']!r})"
    return f"{where}: {error['msg']}{given}"


def _line(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """The line of the deepest part of ``loc`` that the file has."""
    line = 1
    for part in loc:
        child: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    line, child = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            child = node.value[part]
            line = child.start_mark.line + 1
        if child is None:
            break
        node = child
    return line
