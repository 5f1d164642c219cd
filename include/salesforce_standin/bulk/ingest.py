"""Bulk API 2.0, ingest: /jobs/ingest (facts/salesforce.md 5.1)."""

from __future__ import annotations

from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from io import BytesIO
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import orjson

from salesforce_standin.bulk import job_info, outcomes
from salesforce_standin.bulk.content import raw_rows
from salesforce_standin.bulk.jobs import INGEST, WRITES, Batch, Job
from salesforce_standin.bulk.shelf import CONTENT, OUTCOMES
from salesforce_standin.bulk.spelling import csv_line
from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import holds
from salesforce_standin.records import key_field

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_OLDEST = 41
_MOST_BYTES = 150 * 1024 * 1024 * 3 // 4  # 150 MB in base64
_MOST_MULTIPART = 100_000
_CSV = "text/csv"


def _served(call: Call) -> None:
    if call.version < _OLDEST:
        raise not_found()


def list_jobs(org: Org, call: Call) -> Reply:
    """List the jobs."""
    _served(call)
    return job_info.listing(org, call, "ingest")


def create(org: Org, call: Call) -> Reply:
    """Open a job; a multipart request brings its data along and closes it."""
    _served(call)
    if call.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        document, content = _parts(call)
        job = _open(org, call, document)
        org.bulk.add_batch(job, content)
        _close(org, job)
    else:
        job = _open(org, call, call.document())
    return Reply(body=job_info.short(job, call))


def _parts(call: Call) -> tuple[dict[str, Any], bytes]:
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + call.content)
    parts = {
        part.get_param("name", header="content-disposition"): bytes(part.get_payload(decode=True) or b"")
        for part in message.iter_parts()
    }
    try:
        document = orjson.loads(parts["job"])
        content = parts["content"]
    except (KeyError, orjson.JSONDecodeError) as error:
        raise fail(400, "API_ERROR", f"The parts 'job' and 'content' are needed: {error}") from None
    if len(content) > _MOST_MULTIPART:
        raise fail(
            400, "API_ERROR", f"A multipart request takes {_MOST_MULTIPART} characters of data at most"
        )
    return document, content


def _open(org: Org, call: Call, document: dict[str, Any]) -> Job:
    operation = str(document.get("operation", ""))
    if operation not in WRITES:
        raise job_info.bad_value("operation", operation)
    delimiter, line_ending = job_info.format_of(document)
    name = str(document.get("object", ""))
    sobject = org.object_named(name)
    if sobject is None or sobject.tooling:
        raise fail(400, "INVALIDJOB", f"InvalidJob : Unable to find object: {name}")
    key = document.get("externalIdFieldName")
    if operation == "upsert":
        _check_key(org, call, sobject.name, str(key or ""))
    elif key:
        message = "InvalidJob : External ID field name is only valid for upsert operations"
        raise fail(400, "INVALIDJOB", message)
    if operation == "hardDelete" and not holds(org, call.user_id, "BulkApiHardDelete"):
        message = "FeatureNotEnabled : hardDelete operation requires special user profile permission"
        raise fail(400, "FEATURENOTENABLED", message)
    if org.bulk.is_full():
        raise fail(400, "EXCEEDEDQUOTA", "ExceededQuota : The batches of 24 hours are used up")
    stamp = org.clock.stamp()
    job = Job(
        org.sequence.next("750"), INGEST, operation, sobject.name, call.user_id, call.version, stamp, stamp,
        key=key, assignment_rule=document.get("assignmentRuleId"), delimiter=delimiter, line_ending=line_ending,
    )  # fmt: skip
    return org.bulk.add(job)


def _check_key(org: Org, call: Call, name: str, key: str) -> None:
    try:
        key_field(org.access(call.user_id, name), key)
    except ApiError:
        message = f"InvalidJob : Field name provided, {key} does not match an External ID for {name}"
        raise fail(400, "INVALIDJOB", message) from None


def upload(org: Org, call: Call, id_text: str) -> Reply:
    """Take the data of a job, once."""
    job = job_info.find(org, id_text, INGEST)
    if job.state != "Open":
        raise fail(400, "INVALIDJOBSTATE", f"Data can't be added to a job in state {job.state}")
    if job.batches:
        message = (
            f"Found multiple contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job then"
            " create a new Job and make sure you only do 'PUT' once on a given Job."
        )
        raise fail(400, "BULK_API_ERROR", message)
    if len(call.content) > _MOST_BYTES:
        raise fail(400, "BULK_API_ERROR", "The data is longer than 150 MB in base64")
    org.bulk.add_batch(job, call.content)
    return Reply(201)


def show(org: Org, call: Call, id_text: str) -> Reply:
    """Say how far a job is."""
    return Reply(body=job_info.full(job_info.find(org, id_text, INGEST), call))


def change(org: Org, call: Call, id_text: str) -> Reply:
    """Close a job, or abort it."""
    job = job_info.find(org, id_text, INGEST)
    state = call.document().get("state")
    if state == "Aborted":
        job_info.abort(org, job)
    elif state == "UploadComplete":
        if job.state != "Open":
            raise fail(400, "INVALIDJOBSTATE", f"Closing already {job.state} Job not allowed")
        _close(org, job)
    else:
        raise job_info.bad_value("state", state)
    return Reply(body=job_info.short(job, call))


def _close(org: Org, job: Job) -> None:
    batch = job.batch or org.bulk.add_batch(job, b"")
    job.state, job.changed = "UploadComplete", org.clock.stamp()
    org.bulk.keep(job)
    org.bulk.submit(batch)


def remove(org: Org, call: Call, id_text: str) -> Reply:
    """Delete a job."""
    return job_info.remove(org, call, id_text, INGEST)


def successful(org: Org, call: Call, id_text: str) -> Reply:
    """Show the rows that were written."""
    return _results(org, call, id_text, ["sf__Id", "sf__Created"], good=True)


def failed(org: Org, call: Call, id_text: str) -> Reply:
    """Show the rows that were refused, with the reason."""
    return _results(org, call, id_text, ["sf__Id", "sf__Error"], good=False)


def _results(org: Org, call: Call, id_text: str, titles: list[str], *, good: bool) -> Reply:
    job = job_info.find(org, id_text, INGEST)
    job_info.ended(job)
    batch = job.batch
    if batch is None:
        return Reply(body=csv_line(titles, job.separator, job.ending), content_type=_CSV)
    lines = _lines(org, job, batch)
    header = next(lines, [])
    shown = BytesIO()
    shown.write(csv_line([*titles, *header], job.separator, job.ending))
    ids_at = [place for place, name in enumerate(header) if name.lower() == "id"]
    done = outcomes.read(org.bulk.path(batch, OUTCOMES))
    for outcome, line in zip(done, lines, strict=False):
        if outcome.success is good:
            said = str(outcome.created or False).lower() if good else outcomes.error_text(outcome)
            id_text = outcome.id or "".join(line[place] for place in ids_at)
            shown.write(csv_line([id_text, said, *line], job.separator, job.ending))
    return Reply(body=shown.getvalue(), content_type=_CSV)


def unprocessed(org: Org, call: Call, id_text: str) -> Reply:
    """Show the rows that nobody came to."""
    job = job_info.find(org, id_text, INGEST)
    job_info.ended(job)
    batch = job.batch
    if batch is None:
        return Reply(body=b"", content_type=_CSV)
    lines = _lines(org, job, batch)
    header = next(lines, [])
    rest = islice(lines, batch.processed, None)
    shown = BytesIO()
    shown.writelines(csv_line(line, job.separator, job.ending) for line in chain((header,), rest))
    return Reply(body=shown.getvalue(), content_type=_CSV)


def _lines(org: Org, job: Job, batch: Batch) -> Iterator[list[str]]:
    return raw_rows(org.bulk.path(batch, CONTENT), job.separator)
