"""The mapping files: one YAML file per CRM and object under ``crm_sync/mappings``, one block per field.

Every problem of a file is reported at once, with file and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from crm_sync.decide.mapping import FieldMapping, Name, ObjectMapping, ServiceField, Strict
from crm_sync.errors import Misconfigured
from crm_sync.model import OBJECTS, ConflictPolicy, Object

__all__ = ["load_mapping", "load_mappings"]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAPPINGS = Path(__file__).parent / "mappings"


class _File(Strict):
    object: Object
    theirs: Name
    match: tuple[Name, ...]
    key: ServiceField
    marker: ServiceField
    policy: ConflictPolicy | None = None
    fields: tuple[FieldMapping, ...]


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
