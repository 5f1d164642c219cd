"""A chunk of a batch's rows written, every row by itself: the same writer as the REST API's, 200 rows a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.bulk.jobs import Job
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.faults import Faults
from salesforce_standin.records import Outcome, Writer, key_field
from salesforce_standin.row_faults import refusal
from salesforce_standin.upsert_keys import Upserts

if TYPE_CHECKING:
    from salesforce_standin.org import Org

CHUNK = 200
Write = Callable[[dict[str, Any]], Outcome]


def write_chunk(org: Org, job: Job, rows: list[dict[str, Any]], faults: Faults) -> list[Outcome]:
    """Write rows; a row that is refused leaves nothing behind and stops nothing."""
    write = _operation(org, job, rows)

    def unless_refused(row: dict[str, Any]) -> Outcome:
        fault = refusal(faults, address(job), row)
        return Outcome(None, None, (fault,)) if fault else _one(org, write, row)

    return [unless_refused(row) for row in rows]


def address(job: Job) -> str:
    """Return how fault rules name a job."""
    return f"/{job.kind}/{job.object}/{job.operation}"


def _one(org: Org, write: Write, row: dict[str, Any]) -> Outcome:
    mark = org.work.mark()
    try:
        return write(row)
    except RowError as refused:
        org.roll_back(mark)
        return Outcome(None, None, refused.faults)


def _operation(org: Org, job: Job, rows: list[dict[str, Any]]) -> Write:
    writer, name = Writer(org, job.user_id), job.object
    if job.operation == "insert":
        return lambda row: writer.insert(name, row)
    if job.operation == "upsert":
        upserts = Upserts(key_field(writer.access(name), job.key or "Id"), rows)
        return lambda row: upserts.write(writer, name, row)

    def change(row: dict[str, Any]) -> Outcome:
        id18, values = _id_of(job, writer, row)
        if job.operation == "update":
            return writer.update(name, id18, values)
        outcome = writer.delete(name, id18)
        if job.operation == "hardDelete":
            org.put(org.tables[name], id18, None)
        return outcome

    return change


def _id_of(job: Job, writer: Writer, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = next((key for key in row if key.lower() == "id"), None)
    if name is None or not row[name]:
        raise RowError(Fault("MISSING_ARGUMENT", f"Id not specified in an {job.operation} call", ()))
    id18 = ids.normalise(row[name])
    if id18 is None:
        label = writer.access(job.object).sobject.label
        raise RowError(Fault("MALFORMED_ID", f"{label} ID: id value of incorrect type: {row[name]}", ("Id",)))
    return id18, {key: value for key, value in row.items() if key != name}
