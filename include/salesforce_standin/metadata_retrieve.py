"""retrieve() of the Metadata API: components as files of a zip, with a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from salesforce_standin import xml_text
from salesforce_standin.metadata_envelope import Caller, Request, fault
from salesforce_standin.metadata_kinds import EMPTY, KINDS
from salesforce_standin.metadata_package import MANIFEST, Member, document, manifest, members, pack
from salesforce_standin.metadata_properties import properties
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_FOLDER = "unpackaged"


def retrieve(caller: Caller, request: Request) -> str:
    """Gather at once; checkRetrieveStatus() hands it over until the process ends."""
    wanted = next(iter(request.call), None)  # by its place: jsforce has a name of its own for it
    listed = xml_text.child(wanted, _FOLDER) if wanted is not None else None
    asked = list(members(listed)) if listed is not None else []
    single = xml_text.flag(wanted, "singlePackage")
    version = xml_text.text(wanted, "apiVersion") if wanted is not None else ""
    id18 = caller.org.sequence.next("09S")
    caller.org.reports[id18] = _report(caller.org, id18, asked, version, single=single)
    return xml_text.spell("result", {"done": False, "id": id18, "state": "Queued"})


def status(caller: Caller, request: Request) -> str:
    """Hand over what was gathered."""
    id18 = xml_text.text(request.call, "asyncProcessId")
    report = caller.org.reports.get(id18)
    if report is None or not id18.startswith("09S"):
        raise fault("INVALID_ID_FIELD", f"Invalid retrieve ID: {id18}")
    without = xml_text.text(request.call, "includeZip").lower() in {"false", "0"}
    return xml_text.spell("result", {**report, "zipFile": None} if without else report)


def _report(org: Org, id18: str, asked: list[Member], version: str, *, single: bool) -> dict[str, Any]:
    """Return a RetrieveResult, its parts in the order of the WSDL."""
    found, problems = _found(org, asked)
    files = _files(org, found)
    named = [(kind, name) for kind, name, _ in found]
    everything = {**files, MANIFEST: manifest(named, version)}
    prefix = "" if single else f"{_FOLDER}/"
    told = [properties(org, kind, KINDS[kind], row) for kind, _, row in found]
    messages = [{"fileName": f"{_FOLDER}/{MANIFEST}", "problem": problem} for problem in problems]
    return {
        "done": True,
        "fileProperties": [{**one, "fileName": f"{_FOLDER}/{one['fileName']}"} for one in told],
        "id": id18,
        "messages": messages,
        "status": "Succeeded",
        "success": True,
        "zipFile": pack({prefix + path: content for path, content in everything.items()}),
    }


def _found(org: Org, asked: list[Member]) -> tuple[list[tuple[str, str, Row]], list[str]]:
    """Return (type, full name, row) of what there is, and what is said of the rest."""
    found: dict[Member, Row] = {}
    problems = []
    for kind, name in asked:
        if kind not in KINDS:
            if kind not in EMPTY:
                problems.append(f"Unknown type name '{kind}' specified in {MANIFEST}")
            elif name != "*":
                problems.append(f"Entity of type '{kind}' named '{name}' cannot be found")
            continue
        # The wildcard stands for custom objects only, and there is none.
        rows = [] if (kind, name) == ("CustomObject", "*") else KINDS[kind].rows(org)
        mine = [row for row in rows if name in {"*", KINDS[kind].name(row)}]
        found.update({(kind, KINDS[kind].name(row)): row for row in mine})
        if not mine and name != "*":
            problems.append(f"Entity of type '{kind}' named '{name}' cannot be found")
    return [(kind, name, row) for (kind, name), row in found.items()], problems


def _files(org: Org, found: list[tuple[str, str, Row]]) -> dict[str, bytes]:
    """Spell the files: fields stand in the file of their object."""
    files: dict[str, bytes] = {}
    objects: dict[str, dict[str, Row]] = {}
    for kind, name, row in found:
        if kind == "CustomObject":
            objects.setdefault(name, {}).update(_fields_of(org, name))
        elif kind == "CustomField":
            objects.setdefault(name.partition(".")[0], {})[name] = row
        else:
            served = KINDS[kind]
            path = f"{served.directory}/{served.file(name)}.{served.suffix}"
            files[path] = document(kind, served.read(org, row))
    for name, fields in objects.items():
        inside = "".join(_field(org, full_name, row) for full_name, row in sorted(fields.items()))
        files[f"objects/{name}.object"] = document("CustomObject", inside)
    return files


def _fields_of(org: Org, sobject: str) -> Iterator[tuple[str, Row]]:
    kind = KINDS["CustomField"]
    return ((name, row) for row in kind.rows(org) if (name := kind.name(row)).partition(".")[0] == sobject)


def _field(org: Org, full_name: str, row: Row) -> str:
    name = xml_text.spell("fullName", full_name.partition(".")[2])
    return f"<fields>{name}{KINDS['CustomField'].read(org, row)}</fields>"
