"""Provisioning's words on Salesforce's wire: bodies of steps, describe and set-up rows as values, errors by remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_sync.access.replies import vendor_errors
from crm_sync.decide.schema import PERMISSION_SET, SALES_SET, FoundField, Grant
from crm_sync.decide.schema_steps import Step
from crm_sync.errors import IncompleteRead, Misconfigured, RetryLater, SyncError

__all__ = [
    "DATA",
    "SETS",
    "Targets",
    "already_there",
    "described",
    "errors_of",
    "field_body",
    "from_metadata",
    "grants",
    "is_cause",
    "is_unknown_field",
    "quoted",
    "records",
    "refusal",
    "row_body",
]

DATA = "/services/data/v66.0"

SETS = {
    "create_permission_set": {"Name": PERMISSION_SET, "Label": "GPTWeb CRM Sync"},
    "create_sales_set": {"Name": SALES_SET, "Label": "GPTWeb Insights"},
}
"""The permission sets by the step that creates them."""

# Codes by what to do next (facts/salesforce.md 6 and 7).
_THERE = {"DUPLICATE_DEVELOPER_NAME", "DUPLICATE_VALUE"}
_HALTED = {"PROCESSING_HALTED", "ALL_OR_NONE_OPERATION_ROLLED_BACK"}
_FORBIDDEN = {
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    "INVALID_TYPE",
}
_LATER = {"UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_RUNNING_TOO_LONG", "UNKNOWN_EXCEPTION"}
_NOT_PERMISSIBLE = {"INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "FIELD_INTEGRITY_EXCEPTION", "INVALID_FIELD"}

_METADATA_TYPES = {"Number": "double", "Checkbox": "boolean", "DateTime": "datetime", "Text": "string"}


def field_body(step: Step) -> dict[str, Any]:
    """The Tooling CustomField of a step; outer keys capitalised, inner ones not (facts/salesforce.md 7.1)."""
    spec = step.create
    if spec is None:
        raise ValueError(step.key)
    metadata: dict[str, Any] = {"label": spec.label, "type": spec.type}
    if spec.type == "Checkbox":
        metadata["defaultValue"] = "false"
    elif spec.type == "Number":
        metadata |= {"precision": spec.precision, "scale": spec.scale, "required": False}
    elif spec.type == "Text":
        metadata |= {"length": spec.length, "required": False}
        metadata |= {"externalId": True} if spec.external_id else {}
        metadata |= {"unique": True, "caseSensitive": True} if spec.unique else {}
    return {"FullName": f"{step.type}.{step.field}", "Metadata": metadata}


@dataclass(frozen=True, slots=True)
class Targets:
    """What new permission rows belong to: the two sets, by id or by reference, and the integration user."""

    main: str
    sales: str
    user: str


def row_body(step: Step, targets: Targets) -> dict[str, Any]:
    """The permission row of a step, new or (with ``row_id``) with more rights than it had."""
    match step.kind:
        case "assign":
            return _row("PermissionSetAssignment", AssigneeId=targets.user, PermissionSetId=targets.main)
        case "assign_user":
            return _row("PermissionSetAssignment", AssigneeId=step.target, PermissionSetId=targets.sales)
        case "grant_object":
            return _object_row(step, targets)
        case _:
            return _field_row(step, targets)


def _object_row(step: Step, targets: Targets) -> dict[str, Any]:
    rights = {"PermissionsRead": True, "PermissionsCreate": True, "PermissionsEdit": True}
    if step.row_id:
        return _row("ObjectPermissions", id=step.row_id, **rights)
    never = dict.fromkeys(
        ("PermissionsDelete", "PermissionsViewAllRecords", "PermissionsModifyAllRecords"), False
    )
    return _row("ObjectPermissions", ParentId=targets.main, SobjectType=step.type, **rights, **never)


def _field_row(step: Step, targets: Targets) -> dict[str, Any]:
    rights = {"PermissionsRead": True, "PermissionsEdit": step.edit}
    if step.row_id:
        return _row("FieldPermissions", id=step.row_id, **rights)
    parent = targets.sales if step.kind == "show_field" else targets.main
    return _row(
        "FieldPermissions",
        ParentId=parent,
        SobjectType=step.type,
        Field=f"{step.type}.{step.field}",
        **rights,
    )


def _row(kind: str, **values: Any) -> dict[str, Any]:
    return {"attributes": {"type": kind}, **values}


def described(body: Mapping[str, Any]) -> Iterator[FoundField]:
    """The fields that an object's describe shows."""
    for field in body["fields"]:
        yield FoundField(
            name=field["name"],
            type=field["type"],
            length=field["length"],
            precision=field["precision"],
            scale=field["scale"],
            external_id=field["externalId"],
            unique=field["unique"],
            calculated=field["calculated"] or field["autoNumber"],
            createable=field["createable"],
            updateable=field["updateable"],
            permissionable=field["permissionable"],
        )


def from_metadata(name: str, metadata: Mapping[str, Any]) -> FoundField:
    """A field that the integration user does not see, as Tooling knows it."""
    kind = metadata.get("type") or "unknown"
    return FoundField(
        name=name,
        type=_METADATA_TYPES.get(kind, kind.lower()),
        length=int(metadata.get("length") or 0),
        precision=int(metadata.get("precision") or 0),
        scale=int(metadata.get("scale") or 0),
        external_id=bool(metadata.get("externalId")),
        unique=bool(metadata.get("unique")),
        calculated=bool(metadata.get("formula")) or kind == "AutoNumber",
        permissionable=not metadata.get("required"),
        visible=False,
    )


def grants(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, Grant]:
    """Permission rows by what they are for (column ``name``), in lower case."""
    rights = ("read", "create", "edit")
    return {
        row[name].lower(): Grant(
            row["Id"], frozenset(r for r in rights if row.get(f"Permissions{r.capitalize()}"))
        )
        for row in rows
    }


def records(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a query within a composite; every announced row, or an error."""
    if result["httpStatusCode"] >= 400:
        raise refusal(errors_of(result["body"]), None)
    rows: list[dict[str, Any]] = result["body"]["records"]
    if len(rows) != result["body"]["totalSize"]:
        raise IncompleteRead(f"{len(rows)} set-up rows arrived of {result['body']['totalSize']} announced")
    return rows


def quoted(names: Iterable[str]) -> str:
    """A list of names for SOQL's IN."""
    return "(" + ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in names) + ")"


def errors_of(answer: Any) -> list[tuple[str, str]]:
    """Code and message of everything that the answer to a step complains of."""
    body = answer["errors"] if isinstance(answer, dict) and "errors" in answer else answer
    rows = body if isinstance(body, list) else [body]
    return [
        (error.code, error.message)
        for row in rows
        for error in vendor_errors(row["errors"] if isinstance(row, dict) and "errors" in row else row)
    ]


def already_there(errors: Sequence[tuple[str, str]]) -> bool:
    """Whether somebody else made the same thing first, and nothing else went wrong."""
    causes = {code for code, _ in errors} - _HALTED
    return bool(causes) and causes <= _THERE


def is_cause(errors: Sequence[tuple[str, str]]) -> bool:
    """Whether these errors are the reason of a roll-back, and not its consequence for another row."""
    return any(code not in _HALTED | _THERE for code, _ in errors)


def is_unknown_field(errors: Sequence[tuple[str, str]]) -> bool:
    """Whether a permission was refused because its field is not known, or not yet."""
    return any(code in _NOT_PERMISSIBLE for code, _ in errors)


def refusal(errors: Sequence[tuple[str, str]], step: Step | None) -> SyncError:
    """What a refused step means; ``None`` stands for looking at the set-up."""
    causes = [(code, message) for code, message in errors if code not in _HALTED] or list(errors)
    said = "; ".join(dict.fromkeys(f"{message} [{code}]" for code, message in causes)) or "no reason given"
    codes = {code for code, _ in causes}
    what = f"Salesforce refused to {step.words}" if step else "Salesforce refused to show its set-up"
    if codes & _LATER:
        return RetryLater(f"{what}: {said}; the stage may be repeated")
    if codes & _FORBIDDEN:
        return Misconfigured(f"{what}: {said}. Grant {_needed(step)} {_WHERE}, then run provisioning again")
    if step and step.kind == "grant_field" and codes & _NOT_PERMISSIBLE:
        return Misconfigured(
            f"{what}: {said}. Either {step.type} has no such field: correct `theirs:` of {step.column} in the mapping "
            f"file; or permission can't be granted for it: ask the org's administrator"
        )
    return Misconfigured(
        f"{what}: {said}. Correct it in Setup or in the mapping file, then run provisioning again"
    )


_WHERE = "to the integration user (Setup → Profiles → its profile → System Permissions)"


def _needed(step: Step | None) -> str:
    if step is None:
        return "'View Setup and Configuration'"
    if step.kind == "create_field":
        return "'Customize Application' and 'Modify All Data'"
    if step.kind in {"assign", "assign_user"}:
        return "'Assign Permission Sets'"
    return "'Manage Profiles and Permission Sets'"
