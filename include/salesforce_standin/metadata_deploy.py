"""deploy() of the Metadata API: the components of a zip file, written one by one, all or none of them kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.metadata_envelope import Caller, Request, fault
from salesforce_standin.metadata_kinds import EMPTY, KINDS, Kind
from salesforce_standin.metadata_package import MANIFEST, BadPackage, Member, Package, unpack

if TYPE_CHECKING:
    from salesforce_standin.org import Org

# Fields come before what shows them, and that before what opens them.
_ORDER = ("CustomObject", "CustomField", "Layout", "PermissionSet")
_FOLDERS = {kind.directory: name for name, kind in KINDS.items() if kind.top_level}
# What an object's file may say of the object itself, beside its children.
_CHILDREN = frozenset(
    {
        "businessProcesses", "compactLayouts", "fieldSets", "indexes", "listViews", "recordTypes", "sharingReasons",
        "validationRules", "webLinks",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a package, and the file it came in."""

    kind: str
    full_name: str
    path: str
    element: Element | None = None
    problem: str = ""


def deploy(caller: Caller, request: Request) -> str:
    """Deploy at once, whatever the state says; checkDeployStatus() tells how it went until the process ends."""
    options = xml_text.child(request.call, "DeployOptions")
    flags = {name: xml_text.flag(options, name) for name in ("checkOnly", "rollbackOnError", "singlePackage")}
    start = caller.org.work.mark()
    try:
        package = unpack(xml_text.text(request.call, "ZipFile"), single=flags["singlePackage"])
        messages = [_done(caller, part) for part in _parts(caller.org, package)]
    except BadPackage as bad:
        messages = [_message(caller.org, Part("", MANIFEST, MANIFEST), problem=str(bad))]
    failed = sum(not message["success"] for message in messages)
    if flags["checkOnly"] or (failed and flags["rollbackOnError"]):
        caller.org.roll_back(start)
    id18 = caller.org.sequence.next("0Af")
    caller.org.reports[id18] = _report(caller, id18, flags, messages, failed)
    return xml_text.spell("result", {"done": False, "id": id18, "state": "Queued"})


def status(caller: Caller, request: Request) -> str:
    """Tell how a deployment went."""
    id18 = xml_text.text(request.call, "asyncProcessId")
    report = caller.org.reports.get(id18)
    if report is None or not id18.startswith("0Af"):
        raise fault("INVALID_ID_FIELD", f"Invalid deploy ID: {id18}")
    detailed = xml_text.flag(request.call, "includeDetails")
    return xml_text.spell("result", report if detailed else {**report, "details": None})


def _parts(org: Org, package: Package) -> Iterator[Part]:
    """Yield what a package asks for, in the order in which it is to be done."""
    yield from (Part(kind, name, MANIFEST) for kind, name in package.before)
    parts = [part for path, content in package.files.items() for part in _read(path, content)]
    # An object that only lends its file to its fields is not spoken of.
    parts = [
        part
        for part in parts
        if part.kind != "CustomObject"
        or part.problem
        or ("CustomObject", part.full_name) in package.named
        or part.full_name not in org.objects
    ]
    parts.sort(key=lambda part: _ORDER.index(part.kind) if part.kind in _ORDER else len(_ORDER))
    yield from parts
    there = {(part.kind, part.full_name) for part in parts}
    yield from (_missing(member) for member in package.named if member[1] != "*" and member not in there)
    yield from (Part(kind, name, MANIFEST) for kind, name in package.after)


def _missing(member: Member) -> Part:
    kind, name = member
    problem = (
        f"An object '{name}' of type {kind} was named in {MANIFEST}, but was not found in zipped directory"
    )
    if kind not in KINDS and kind not in EMPTY:
        problem = f"Unknown type name '{kind}' specified in {MANIFEST}"
    return Part(kind, name, MANIFEST, problem=problem)


def _read(path: str, content: bytes) -> Iterator[Part]:
    """Yield the components in a file: an object's file holds its fields too."""
    folder, _, file = path.partition("/")
    name, _, _ = file.rpartition(".")
    kind = _FOLDERS.get(folder, "")
    document = xml_text.read(content)
    if not kind or document is None:
        problem = "Error parsing file" if kind else f"Components of {folder} can't be written"
        yield Part(kind, name, path, problem=problem)
        return
    yield Part(kind, name, path, document)
    if kind != "CustomObject":
        return
    for child in document:
        tag, own = xml_text.local(child.tag), f"{name}.{xml_text.text(child, 'fullName')}"
        if tag == "fields":
            yield Part("CustomField", own, path, child)
        elif tag in _CHILDREN:
            yield Part(tag, own, path, problem=f"Components of this type can't be written: {own}")


def _done(caller: Caller, part: Part) -> dict[str, Any]:
    """Write or delete a component, and say how it went."""
    org, kind = caller.org, KINDS.get(part.kind)
    if part.problem or kind is None:
        return _message(org, part, problem=part.problem or f"Unknown type name '{part.kind}'")
    if part.element is not None and _is_given(org, part):
        return _message(org, part, changed=False, row_id=_id(org, kind, part))
    is_new = kind.find(org, part.full_name) is None
    mark = org.work.mark()
    try:
        _write(caller, kind, part, kind.create if is_new else kind.update)
    except RowError as refused:
        org.roll_back(mark)
        return _message(org, part, problem=refused.faults[0].message)
    deleted = part.element is None
    return _message(org, part, created=is_new and not deleted, deleted=deleted, row_id=_id(org, kind, part))


def _write(caller: Caller, kind: Kind, part: Part, save: Callable[..., None]) -> None:
    if part.element is not None:
        save(caller.org, caller.user_id, part.full_name, part.element)
    elif kind.find(caller.org, part.full_name) is None:
        message = f"No {part.kind} named: {part.full_name} found"
        raise RowError(Fault("INVALID_CROSS_REFERENCE_KEY", message, ()))
    else:
        kind.delete(caller.org, caller.user_id, part.full_name)


def _is_given(org: Org, part: Part) -> bool:
    """Whether a component is there by itself: an object of the platform, or one of its own fields."""
    sobject, _, field = part.full_name.partition(".")
    if part.kind == "CustomObject":
        return sobject in org.objects
    known = org.objects.get(sobject)
    return (
        part.kind == "CustomField"
        and not field.endswith("__c")
        and known is not None
        and field in known.fields
    )


def _id(org: Org, kind: Kind, part: Part) -> str | None:
    row = kind.find(org, part.full_name)
    return row["Id"] or None if row else None


def _message(
    org: Org,
    part: Part,
    *,
    problem: str = "",
    changed: bool = True,
    created: bool = False,
    deleted: bool = False,
    row_id: str | None = None,
) -> dict[str, Any]:
    """Return a DeployMessage, its parts in the order of the WSDL."""
    return {
        "changed": changed and not problem,
        "componentType": part.kind,
        "created": created,
        "createdDate": org.clock.stamp()[:-5] + "Z",
        "deleted": deleted,
        "fileName": part.path,
        "fullName": part.full_name,
        "id": row_id,
        "problem": problem or None,
        "problemType": "Error" if problem else None,
        "success": not problem,
    }


def _report(
    caller: Caller, id18: str, flags: dict[str, bool], messages: list[dict[str, Any]], failed: int
) -> dict[str, Any]:
    """Return a DeployResult."""
    now = caller.org.clock.stamp()[:-5] + "Z"
    partly = "SucceededPartial" if not flags["rollbackOnError"] and failed < len(messages) else "Failed"
    told = partly if failed else "Succeeded"
    tests = {"numFailures": 0, "numTestsRun": 0, "totalTime": 0.0}
    details = {
        "componentFailures": [one for one in messages if not one["success"]],
        "componentSuccesses": [one for one in messages if one["success"]],
        "runTestResult": tests,
    }
    return {
        "checkOnly": flags["checkOnly"],
        "completedDate": now,
        "createdBy": caller.user_id[:15],
        "createdByName": caller.org.tables["User"].rows[caller.user_id]["Name"],
        "createdDate": now,
        "details": details,
        "done": True,
        "id": id18,
        "ignoreWarnings": False,
        "lastModifiedDate": now,
        "numberComponentErrors": failed,
        "numberComponentsDeployed": len(messages) - failed,
        "numberComponentsTotal": len(messages),
        "numberTestErrors": 0,
        "numberTestsCompleted": 0,
        "numberTestsTotal": 0,
        "rollbackOnError": flags["rollbackOnError"],
        "runTestsEnabled": False,
        "startDate": now,
        "status": told,
        "success": told != "Failed",
    }
