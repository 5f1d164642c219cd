"""The Metadata API over SOAP, /services/Soap/m: components listed, read and written in the call that asks for it.

Only the synchronous calls are served (facts/salesforce.md 7.3); what a component is, and how it is stored, stands
in metadata_kinds.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from salesforce_standin import xml_text
from salesforce_standin.config import LATEST, OLDEST
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.http_call import Reply
from salesforce_standin.metadata_envelope import Request, answer, fault
from salesforce_standin.metadata_kinds import EMPTY, KINDS, Kind
from salesforce_standin.permissions import holds
from salesforce_standin.tables import Row

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
        raise fault("Client", f"No operation available for request {request.call.tag}", "soapenv")
    return answer(request.name, served(_Caller(org, user_id), request))


@dataclass(frozen=True, slots=True)
class _Caller:
    org: Org
    user_id: str


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


def _describe(_caller: _Caller, _request: Request) -> str:
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


def _list(caller: _Caller, request: Request) -> str:
    queries = _few([one for one in request.call if xml_text.local(one.tag) == "queries"], _MOST_QUERIES)
    found = []
    for query in queries:
        name = xml_text.text(query, "type")
        if name not in EMPTY:
            kind = _kind(name)
            found += [_properties(caller.org, name, kind, row) for row in kind.rows(caller.org)]
    return xml_text.spell("result", found)


def _properties(org: Org, name: str, kind: Kind, row: Row) -> dict[str, Any]:
    """Return what a list says of a component; moments end in Z here, unlike in JSON."""
    users = org.tables["User"].rows
    who = {key: users.get(row.get(key, ""), {}) for key in ("CreatedById", "LastModifiedById")}
    full_name = kind.name(row)
    return {
        "createdById": row.get("CreatedById", ""),
        "createdByName": who["CreatedById"].get("Name", ""),
        "createdDate": _moment(row.get("CreatedDate")),
        "fileName": f"{kind.directory}/{kind.file(full_name)}.{kind.suffix}",
        "fullName": full_name,
        "id": row.get("Id", ""),
        "lastModifiedById": row.get("LastModifiedById", ""),
        "lastModifiedByName": who["LastModifiedById"].get("Name", ""),
        "lastModifiedDate": _moment(row.get("LastModifiedDate")),
        "manageableState": "unmanaged",
        "type": name,
    }


def _moment(stamp: str | None) -> str:
    return (stamp or "1970-01-01T00:00:00.000+0000").replace("+0000", "Z")


def _read(caller: _Caller, request: Request) -> str:
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


def _create(caller: _Caller, request: Request) -> str:
    return _save(caller, request, lambda kind, full_name: kind.create)


def _update(caller: _Caller, request: Request) -> str:
    return _save(caller, request, lambda kind, full_name: kind.update)


def _upsert(caller: _Caller, request: Request) -> str:
    def choose(kind: Kind, full_name: str) -> Callable[..., None]:
        return kind.create if kind.find(caller.org, full_name) is None else kind.update

    return _save(caller, request, choose)


def _save(caller: _Caller, request: Request, choose: Callable[[Kind, str], Callable[..., None]]) -> str:
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


def _delete(caller: _Caller, request: Request) -> str:
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


_CALLS: dict[str, Callable[[_Caller, Request], str]] = {
    "describeMetadata": _describe,
    "listMetadata": _list,
    "readMetadata": _read,
    "createMetadata": _create,
    "updateMetadata": _update,
    "upsertMetadata": _upsert,
    "deleteMetadata": _delete,
}
