"""Bulk API 1.0, under /services/async: jobs, batches, their results, in JSON, CSV and XML.

What a request's Content-Type says decides how the job is spelled in its reply; a batch and everything that is only read
are spelled as the job's own content, CSV as XML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from salesforce_standin import ids
from salesforce_standin.bulk import envelopes, outcomes, pk_chunks
from salesforce_standin.bulk.jobs import CLASSIC, FINISHED, QUERIES, WRITES, Batch, Job
from salesforce_standin.bulk.shelf import CONTENT, OUTCOMES, RESULT
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.permissions import holds
from salesforce_standin.records import key_field

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_ROUTE = re.compile(r"/job(?:/(\w+)(?:/batch(?:/(\w+)(?:/(result|request)(?:/(\w+))?)?)?)?)?/?\Z")
_MODES = {0: "Parallel", 1: "Serial", "Parallel": "Parallel", "Serial": "Serial"}
_MOST_BYTES = 10_000_000


def wants_json(call: Call) -> bool:
    """Whether a request is spelled in JSON."""
    return call.headers.get("content-type", "").lower().startswith(envelopes.JSON_TYPE)


def _fail(call: Call, code: str, message: str, status: int = 400) -> ApiError:
    return envelopes.error(code, message, json=wants_json(call), status=status)


def no_session(call: Call) -> ApiError:
    """Return the reply to a token that is unknown or has run out: 400, by which clients know to log in anew."""
    return _fail(call, "InvalidSessionId", "Invalid session id")


def api_disabled(call: Call) -> ApiError:
    """Return the reply to a user to whom no API is open."""
    return _fail(call, "FeatureNotEnabled", "API is disabled for this User", 403)


def over_limit(call: Call) -> ApiError:
    """Return the reply once the day's calls are used up."""
    return _fail(call, "ExceededQuota", "TotalRequests Limit exceeded.", 403)


def serve(org: Org, call: Call) -> Reply:
    """Answer a request."""
    match = _ROUTE.match(call.path)
    if match is None:
        raise _fail(call, "InvalidUrl", "Destination URL not found")
    job_id, batch_id, part, result_id = match.groups()
    if job_id is None:
        return _create(org, call)
    job = org.bulk.find(ids.normalise(job_id), CLASSIC)
    if job is None:
        raise _fail(call, "InvalidJob", f"Unable to find job with id: {job_id}")
    if "/batch" not in call.path:
        return _change(org, job, call) if call.method == "POST" else _job_info(job)
    if batch_id is None:
        return _add(org, job, call) if call.method == "POST" else _batches(job)
    batch = job.batches.get(ids.normalise(batch_id) or "")
    if batch is None:
        raise _fail(call, "InvalidBatch", f"Unable to find batch with id: {batch_id}")
    return _part(org, job, batch, call, part, result_id)


def _job_info(job: Job) -> Reply:
    is_json = job.content_type == "JSON"
    return envelopes.reply("jobInfo", envelopes.job_info(job, json=is_json), json=is_json)


def _batches(job: Job) -> Reply:
    is_json = job.content_type == "JSON"
    shown = [envelopes.batch_info(batch, json=is_json) for batch in job.batches.values()]
    return envelopes.reply("batchInfoList", {"batchInfo": shown}, json=is_json)


def _part(org: Org, job: Job, batch: Batch, call: Call, part: str | None, result_id: str | None) -> Reply:
    if part is None:
        is_json = job.content_type == "JSON"
        return envelopes.reply("batchInfo", envelopes.batch_info(batch, json=is_json), json=is_json)
    if part == "request":
        content = org.bulk.path(batch, CONTENT).read_bytes()
        return Reply(body=content, content_type=envelopes.CONTENT_TYPES[job.content_type])
    return _results(org, job, batch, result_id, call)


def _create(org: Org, call: Call) -> Reply:
    is_json = wants_json(call)
    given = envelopes.document(call.content, json=is_json)
    if given is None:
        raise _fail(call, "InvalidJob" if is_json else "InvalidXML", "Unable to parse the job")
    operation, name = str(given.get("operation")), str(given.get("object"))
    if operation not in WRITES | QUERIES:
        raise _fail(call, "InvalidJob", f"Unknown operation: {operation}")
    content_type = given.get("contentType") or "XML"
    if content_type not in envelopes.CONTENT_TYPES:
        raise _fail(call, "InvalidJob", f"Content type not served: {content_type}")
    sobject = org.object_named(name)
    if sobject is None or sobject.tooling:
        raise _fail(call, "InvalidJob", f"Unable to find object: {name}")
    key = given.get("externalIdFieldName") or None
    if operation == "upsert":
        _check_key(org, call, sobject.name, key)
    if operation == "hardDelete" and not holds(org, call.user_id, "BulkApiHardDelete"):
        message = "hardDelete operation requires special user profile permission"
        raise _fail(call, "FeatureNotEnabled", message)
    chunk, start_row = pk_chunks.asked(call.headers.get("sforce-enable-pkchunking", ""))
    stamp = org.clock.stamp()
    job = Job(
        org.sequence.next("750"), CLASSIC, operation, sobject.name, call.user_id, call.version, stamp, stamp,
        content_type=content_type,
        concurrency=_MODES.get(given.get("concurrencyMode", 0), "Parallel"),
        key=key if operation == "upsert" else None,
        assignment_rule=given.get("assignmentRuleId") or None,
        chunk=chunk if operation in QUERIES else 0,
        start_row=start_row,
    )  # fmt: skip
    org.bulk.add(job)
    reply = envelopes.reply("jobInfo", envelopes.job_info(job, json=is_json), json=is_json, status=201)
    reply.headers["Location"] = f"/services/async/{call.version}.0/job/{job.id}"
    return reply


def _check_key(org: Org, call: Call, name: str, key: str | None) -> None:
    if not key:
        raise _fail(call, "InvalidJob", f"External ID was blank for {name}")
    try:
        key_field(org.access(call.user_id, name), key)
    except ApiError:
        message = f"Field name provided, {key} does not match an External ID for {name}"
        raise _fail(call, "InvalidJob", message) from None


def _change(org: Org, job: Job, call: Call) -> Reply:
    is_json = wants_json(call)
    state = (envelopes.document(call.content, json=is_json) or {}).get("state")
    if state not in {"Closed", "Aborted"}:
        raise _fail(call, "InvalidJobState", f"Unsupported job state: {state}")
    if job.state not in {"Open", state}:
        message = f"Job in invalid state to change: {job.state}"
        raise _fail(call, "InvalidJobState", message)
    job.state, job.changed = state, org.clock.stamp()
    org.bulk.keep(job)
    return envelopes.reply("jobInfo", envelopes.job_info(job, json=is_json), json=is_json)


def _add(org: Org, job: Job, call: Call) -> Reply:
    if job.state != "Open":
        raise _fail(call, "InvalidJobState", f"Unable to add batch to job in state: {job.state}")
    if len(call.content) > _MOST_BYTES:
        raise _fail(call, "InvalidBatch", f"The batch is longer than {_MOST_BYTES} bytes")
    if call.version != job.version:
        message = f"The API version of a batch must be the job's: {job.version}.0"
        raise _fail(call, "InvalidVersion", message)
    if not call.content:
        raise _fail(call, "ClientInputError", "Unable to find any data to create batch")
    if org.bulk.is_full():
        raise _fail(call, "ExceededQuota", "The batches of 24 hours are used up")
    batch = org.bulk.add_batch(job, call.content)
    org.bulk.submit(batch)
    is_json = job.content_type == "JSON"
    reply = envelopes.reply("batchInfo", envelopes.batch_info(batch, json=is_json), json=is_json, status=201)
    reply.headers["Location"] = f"/services/async/{call.version}.0/job/{job.id}/batch/{batch.id}"
    return reply


def _results(org: Org, job: Job, batch: Batch, result_id: str | None, call: Call) -> Reply:
    if batch.state not in FINISHED or (batch.state != "Completed" and not batch.processed):
        raise _fail(call, "InvalidBatch", f"Batch not completed: {batch.state}")
    if not job.queries:
        found = list(outcomes.read(org.bulk.path(batch, OUTCOMES)))
        return envelopes.results(found, job.content_type)
    if result_id is None:
        return envelopes.result_list(batch, json=job.content_type == "JSON")
    if ids.normalise(result_id) != batch.result_id:
        raise _fail(call, "InvalidBatch", f"Unable to find result with id: {result_id}")
    content = org.bulk.path(batch, RESULT).read_bytes()
    return Reply(body=content, content_type=envelopes.CONTENT_TYPES[job.content_type])
