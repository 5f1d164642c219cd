"""The Metadata API over SOAP, /services/Soap/m: components listed, read and written in the call that asks for it.

What a component is, and how it is stored, stands in metadata_kinds.py; packages of components in metadata_deploy.py
and metadata_retrieve.py (facts/salesforce.md 7.3).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import metadata_deploy, metadata_retrieve, xml_text
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.http_call import Reply
from salesforce_standin.metadata_envelope import Caller, Request, answer, fault, no_operation
from salesforce_standin.metadata_kinds import EMPTY, KINDS, Kind
from salesforce_standin.metadata_properties import properties
from salesforce_standin.permissions import holds

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST, _MOST_QUERIES = 10, 3
_ROLLED_BACK = Fault(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


def serve(org: Org, user_id: str, request: Request, version: int) -> Reply:
    """Answer a request of a user who is logged in."""
    if not OLDEST <= version <= LATEST:
        raise fault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
    if not holds(org, user_id, "ModifyAllData", "ModifyMetadata"):
        text = "use of the Metadata API requires a user with the ModifyAllData or ModifyMetadata permissions"
        raise fault("INSUFFICIENT_ACCESS", text)
    served = _CALLS.get(request.name)
    if served is None:
        raise no_operation(request.call)
    return answer(request.name, served(Caller(org, user_id), request))


def _kind(name: str) -> Kind:
    kind = KINDS.get(name)
    if kind is None:
        raise fault("INVALID_TYPE", f"Unknown type:{name}")
    return kind


def _few(found: list[Any], most: int) -> list[Any]:
    if len(found) > most:
        text = f"record limit reached. cannot submit more than {most} records in this call"
        raise fault("EXCEEDED_ID_LIMIT", text)
    return found


def _describe(_caller: Caller, _request: Request) -> str:
    shown = [
        {
            "childXmlNames": list(kind.children),
            "directoryName": kind.directory,
            "inFolder": False,
            "metaFile": False,
            "suffix": kind.suffix,
            "xmlName": name,
        }
        for name, kind in KINDS.items()
        if kind.top_level
    ]
    result = {
        "metadataObjects": shown,
        "organizationNamespace": "",
        "partialSaveAllowed": True,
        "testRequired": False,
    }
    return xml_text.spell("result", result)


def _list(caller: Caller, request: Request) -> str:
    queries = _few([one for one in request.call if xml_text.local(one.tag) == "queries"], _MOST_QUERIES)
    found = []
    for query in queries:
        name = xml_text.text(query, "type")
        if name not in EMPTY:
            kind = _kind(name)
            found += [properties(caller.org, name, kind, row) for row in kind.rows(caller.org)]
    return xml_text.spell("result", found)


def _read(caller: Caller, request: Request) -> str:
    name = xml_text.text(request.call, "type")
    kind = _kind(name)
    records = []
    for full_name in _few(xml_text.texts(request.call, "fullNames"), _MOST):
        row = kind.find(caller.org, full_name)
        if row is None:
            records.append('<records xsi:nil="true"/>')
        else:
            named = xml_text.spell("fullName", full_name)
            records.append(f'<records xsi:type="{name}">{named}{kind.read(caller.org, row)}</records>')
    return f"<result>{''.join(records)}</result>"


def _create(caller: Caller, request: Request) -> str:
    return _save(caller, request, lambda kind, full_name: kind.create)


def _update(caller: Caller, request: Request) -> str:
    return _save(caller, request, lambda kind, full_name: kind.update)


def _upsert(caller: Caller, request: Request) -> str:
    def choose(kind: Kind, full_name: str) -> Callable[..., None]:
        return kind.create if kind.find(caller.org, full_name) is None else kind.update

    return _save(caller, request, choose)


def _save(caller: Caller, request: Request, choose: Callable[[Kind, str], Callable[..., None]]) -> str:
    components = _few([one for one in request.call if xml_text.local(one.tag) == "metadata"], _MOST)
    for component in components:
        _refuse_scattered(component)
    names = {xml_text.type_of(one) for one in components}
    if len(names) > 1:
        raise fault("INVALID_TYPE", "All components of a call must be of the same type")

    def write(component: Element) -> bool:
        full_name = xml_text.text(component, "fullName")
        kind = _kind(xml_text.type_of(component))
        if not full_name:
            raise RowError(
                Fault("REQUIRED_FIELD_MISSING", "Required field is missing: fullName", ("fullName",))
            )
        is_new = kind.find(caller.org, full_name) is None
        choose(kind, full_name)(caller.org, caller.user_id, full_name, component)
        return is_new

    named = [(xml_text.text(one, "fullName"), one) for one in components]
    return _results(caller.org, request, named, write)


def _refuse_scattered(component: Element) -> None:
    """Refuse elements of one name that do not stand together: the schema is a sequence."""
    runs = [name for name, _ in groupby(xml_text.local(one.tag) for one in component)]
    for name in runs:
        if runs.count(name) > 1:
            text = f"Element {name} is duplicated at this location in type {xml_text.type_of(component)}"
            raise fault("Client", text, "soapenv")


def _delete(caller: Caller, request: Request) -> str:
    kind = _kind(xml_text.text(request.call, "type"))
    full_names = _few(xml_text.texts(request.call, "fullNames"), _MOST)

    def write(full_name: str) -> bool:
        kind.delete(caller.org, caller.user_id, full_name)
        return False

    return _results(caller.org, request, [(name, name) for name in full_names], write)


def _results(org: Org, request: Request, parts: list[tuple[str, Any]], write: Callable[[Any], bool]) -> str:
    """Write every component by itself, and say how it went; with allOrNone one failure undoes them all."""
    start = org.work.mark()
    outcomes: list[tuple[str, tuple[Fault, ...], bool]] = []
    for full_name, part in parts:
        mark = org.work.mark()
        try:
            outcomes.append((full_name, (), write(part)))
        except RowError as refused:
            org.roll_back(mark)
            outcomes.append((full_name, refused.faults, False))
    if request.all_or_none and any(faults for _, faults, _ in outcomes):
        org.roll_back(start)
        outcomes = [(name, faults or (_ROLLED_BACK,), False) for name, faults, _ in outcomes]
    return xml_text.spell("result", [_outcome(request.name, *outcome) for outcome in outcomes])


def _outcome(call: str, full_name: str, faults: tuple[Fault, ...], created: bool) -> dict[str, Any]:  # noqa: FBT001
    errors = [
        {"fields": list(one.fields or ()), "message": one.message, "statusCode": one.code} for one in faults
    ]
    made = {"created": created} if call == "upsertMetadata" else {}
    return {**made, "errors": errors, "fullName": full_name, "success": not faults}


def _check_status(caller: Caller, request: Request) -> str:
    """Say that a deployment or a retrieval is done, as older clients ask before they fetch what it brought."""
    id18 = xml_text.text(request.call, "asyncProcessId")
    if id18 not in caller.org.reports:
        raise fault("INVALID_ID_FIELD", f"Invalid async process ID: {id18}")
    return xml_text.spell("result", {"done": True, "id": id18, "state": "Completed"})


_CALLS: dict[str, Callable[[Caller, Request], str]] = {
    "deploy": metadata_deploy.deploy,
    "checkDeployStatus": metadata_deploy.status,
    "checkStatus": _check_status,
    "retrieve": metadata_retrieve.retrieve,
    "checkRetrieveStatus": metadata_retrieve.status,
    "describeMetadata": _describe,
    "listMetadata": _list,
    "readMetadata": _read,
    "createMetadata": _create,
    "updateMetadata": _update,
    "upsertMetadata": _upsert,
    "deleteMetadata": _delete,
}
