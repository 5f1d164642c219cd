"""sObject tree: records with their children created together, all or none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from salesforce_standin.errors import Fault, RowError, fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.records import Writer
from salesforce_standin.rows import access_to
from salesforce_standin.soql.binding import child_relationship

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST = 200
_DEEPEST = 5


@dataclass(slots=True)
class _Node:
    kind: str
    reference: str
    values: dict[str, Any]
    parent: _Node | None
    parent_field: str
    id: str | None = None


def tree(org: Org, call: Call, name: str) -> Reply:
    """Create the records of the trees in the body."""
    kind = access_to(org, call, name).sobject.name
    records = call.document().get("records")
    if not isinstance(records, list):
        raise fail(400, "JSON_PARSER_ERROR", "The records property must be a list at [line:1, column:2]")
    nodes = [node for record in records for node in _walk(org, record, kind, None, "", 1)]
    if len(nodes) > _MOST:
        raise fail(400, "LIMIT_EXCEEDED", f"The request has more than {_MOST} records")
    references = [node.reference for node in nodes]
    if len(set(references)) < len(references):
        raise fail(400, "INVALID_INPUT", "Duplicate ReferenceId provided in the request.")
    start = org.work.mark()
    writer = Writer(org, call.user_id, call.headers)
    errors = [error for node in nodes if (error := _create(writer, node))]
    if errors:
        org.roll_back(start)
        return Reply(400, {"hasErrors": True, "results": errors})
    results = [{"referenceId": node.reference, "id": node.id} for node in nodes]
    return Reply(201, {"hasErrors": False, "results": results})


def _walk(org: Org, record: Any, kind: str, parent: _Node | None, field: str, depth: int) -> Iterator[_Node]:
    attributes = record.get("attributes") if isinstance(record, dict) else None
    if not isinstance(attributes, dict) or not attributes.get("type") or not attributes.get("referenceId"):
        raise fail(400, "INVALID_INPUT", "Include a type and a referenceId in the attributes of every record")
    if attributes["type"] != kind:
        raise fail(400, "INVALID_INPUT", f"The record's type {attributes['type']} must be {kind}")
    if depth > _DEEPEST:
        raise fail(400, "INVALID_INPUT", f"The tree is deeper than {_DEEPEST} levels")
    inside = {key: value for key, value in record.items() if isinstance(value, dict) and "records" in value}
    values = {key: value for key, value in record.items() if key not in inside}
    node = _Node(kind, str(attributes["referenceId"]), values, parent, field)
    yield node
    for relationship, content in inside.items():
        child, reference = _child(org, kind, relationship)
        for below in content["records"] or ():
            yield from _walk(org, below, child, node, reference, depth + 1)


def _child(org: Org, kind: str, relationship: str) -> tuple[str, str]:
    for name, sobject in org.objects.items():
        for field in sobject.references():
            if kind in field.reference_to and child_relationship(name, field) == relationship:
                return name, field.name
    raise fail(400, "INVALID_FIELD", f"No such column '{relationship}' on sobject of type {kind}")


def _create(writer: Writer, node: _Node) -> dict[str, Any] | None:
    values = dict(node.values)
    if node.parent is not None:
        if node.parent.id is None:
            return None  # its parent failed, and says so itself
        values[node.parent_field] = node.parent.id
    try:
        node.id = writer.insert(node.kind, values).id
    except RowError as refused:
        return {"referenceId": node.reference, "errors": [_item(fault) for fault in refused.faults]}
    return None


def _item(fault: Fault) -> dict[str, Any]:
    return fault.as_item()
