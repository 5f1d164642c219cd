"""sObject Collections: up to 200 rows per call, each with an outcome of its own (facts/salesforce.md 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.errors import Fault, RowError, fail
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.records import Outcome, Writer, key_field
from salesforce_standin.rows import access_to, field_names, render
from salesforce_standin.upsert_keys import Upserts

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_ROWS = 200
_RETRIEVED = 2000
_RUNS = 10
_ROLLED_BACK = Fault(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
    (),
)

Write = Callable[[Writer, dict[str, Any]], Outcome]


def create(org: Org, call: Call) -> Reply:
    """Create rows of up to ten runs of one type."""
    records = _records(call)

    def write(writer: Writer, record: dict[str, Any]) -> Outcome:
        return Outcome(writer.insert(_type(record), record).id)

    return _write(org, call, records, write)


def update(org: Org, call: Call) -> Reply:
    """Change rows by their ids."""
    records = _records(call)

    def write(writer: Writer, record: dict[str, Any]) -> Outcome:
        name = next((key for key in record if key.lower() == "id"), None)
        given = record.get(name) if name else None
        if not given:
            raise RowError(Fault("MISSING_ARGUMENT", "Id not specified in an update call", ()))
        id18 = ids.normalise(given)
        if id18 is None:
            label = writer.access(_type(record)).sobject.label
            raise RowError(Fault("MALFORMED_ID", f"{label} ID: id value of incorrect type: {given}", ("Id",)))
        data = {key: value for key, value in record.items() if key != name}
        return Outcome(writer.update(_type(record), id18, data).id)

    return _write(org, call, records, write)


def upsert(org: Org, call: Call, name: str, key: str) -> Reply:
    """Change or create rows by an external id."""
    access = access_to(org, call, name)
    field = key_field(access, key)
    records = _records(call)
    kind = access.sobject.name
    if any(_type(record).lower() != kind.lower() for record in records):
        raise fail(400, "INVALID_TYPE", "The sobject type in the URI must match the type of every record")
    upserts = Upserts(field, records)

    def write(writer: Writer, record: dict[str, Any]) -> Outcome:
        return upserts.write(writer, kind, record)

    return _write(org, call, records, write)


def delete(org: Org, call: Call) -> Reply:
    """Delete rows by their ids."""
    wanted = [part.strip() for part in call.query.get("ids", "").split(",") if part.strip()]
    if not wanted:
        raise fail(400, "MALFORMED_ID", "ids parameter is required")
    _not_too_many(wanted, _ROWS)

    def write(writer: Writer, record: dict[str, Any]) -> Outcome:
        id18 = ids.normalise(record["Id"])
        sobject = org.sobject_of_id(id18) if id18 else None
        if id18 is None or sobject is None:
            raise RowError(Fault("MALFORMED_ID", f"malformed id {record['Id']}", ()))
        return writer.delete(sobject.name, id18)

    records = [{"Id": one} for one in wanted]
    return _write(org, call, records, write, flag=call.query.get("allOrNone", "").lower() == "true")


def retrieve(org: Org, call: Call, name: str) -> Reply:
    """Read rows by id in the order asked for, null where there is none; by address or by body."""
    access = access_to(org, call, name)
    if call.method == "POST":
        document = call.document()
        wanted, fields = document.get("ids"), document.get("fields")
    else:
        wanted = [one for one in call.query.get("ids", "").split(",") if one]
        fields = [one for one in call.query.get("fields", "").split(",") if one]
    if not isinstance(wanted, list) or not isinstance(fields, list) or not wanted or not fields:
        raise fail(400, "MISSING_ARGUMENT", "ids and fields are required")
    _not_too_many(wanted, _RETRIEVED)
    names = field_names(access, [str(field) for field in fields])
    rows = [access.table.rows.get(ids.normalise(str(one)) or "") for one in wanted]
    shown = [
        None
        if row is None or row.get("IsDeleted") or not access.shows(row)
        else render(access, row, call.root, names)
        for row in rows
    ]
    return Reply(body=shown)


def _records(call: Call) -> list[dict[str, Any]]:
    document = call.document()
    records = document.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise fail(
            400, "JSON_PARSER_ERROR", "The records property must be a list of sobjects at [line:1, column:2]"
        )
    _not_too_many(records, _ROWS)
    for record in records:
        if not isinstance(record.get("attributes"), dict) or not record["attributes"].get("type"):
            raise fail(400, "INVALID_INPUT", "Include an entity type for each record in the attributes map.")
    if sum(1 for _ in groupby(records, key=_type)) > _RUNS:
        raise fail(
            400,
            "LIMIT_EXCEEDED",
            "Cannot have more than 10 chunks in a single operation. Please rearrange the data to reduce chunking.",
        )
    return records


def _not_too_many(items: list[Any], most: int) -> None:
    if len(items) > most:
        message = f"record limit reached. cannot submit more than {most} records into this call"
        raise fail(400, "EXCEEDED_ID_LIMIT", message)


def _type(record: dict[str, Any]) -> str:
    return str(record["attributes"]["type"])


def _write(
    org: Org, call: Call, records: list[dict[str, Any]], write: Write, *, flag: bool | None = None
) -> Reply:
    """Write every row; with allOrNone one bad row takes the good ones back."""
    all_or_none = flag if flag is not None else bool((call.body or {}).get("allOrNone"))
    writer = Writer(org, call.user_id, call.headers)
    start = org.work.mark()
    outcomes = [_one(org, writer, record, write) for record in records]
    if all_or_none and not all(outcome.success for outcome in outcomes):
        org.roll_back(start)
        outcomes = [
            Outcome(None, None, (_ROLLED_BACK,)) if outcome.success else outcome for outcome in outcomes
        ]
    return Reply(body=[outcome.as_item() for outcome in outcomes])


def _one(org: Org, writer: Writer, record: dict[str, Any], write: Write) -> Outcome:
    mark = org.work.mark()
    try:
        return write(writer, record)
    except RowError as refused:
        org.roll_back(mark)
        return Outcome(None, None, refused.faults)
