"""What Bulk API 2.0 says about its jobs, one or all of them, and the errors that both of its families share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import ids
from salesforce_standin.bulk.jobs import CLASSIC, DELIMITERS, INGEST, LINE_ENDINGS, QUERY, Job
from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.http_call import Call, Reply

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_PAGE = 1_000
# Ingest jobs are told so in recorded replies of v61 and v62, and not yet of v58.
_CHUNKING_TOLD = 61
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})
_WORDS = {"JobComplete": "Completed"}


def bad_value(name: str, value: Any) -> ApiError:
    """Return the refusal of a property's value."""
    return fail(400, "API_ERROR", f"Invalid value: '{value}' supplied for property: '{name}'")


def one_of(document: dict[str, Any], name: str, choices: Any, usual: str) -> str:
    """Return a property that must have one of some values."""
    value = document.get(name) or usual
    if value not in choices:
        raise bad_value(name, value)
    return str(value)


def format_of(document: dict[str, Any]) -> tuple[str, str]:
    """Return (delimiter, line ending) of a job's CSV."""
    one_of(document, "contentType", ("CSV",), "CSV")
    delimiter = one_of(document, "columnDelimiter", DELIMITERS, "COMMA")
    return delimiter, one_of(document, "lineEnding", LINE_ENDINGS, "LF")


def find(org: Org, id_text: str, kind: str) -> Job:
    """Return the job in an address."""
    job = org.bulk.find(ids.normalise(id_text), kind)
    if job is None:
        raise not_found()
    return job


def short(job: Job, call: Call) -> dict[str, Any]:
    """Say what a job is."""
    info: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.user_id,
        "createdDate": job.born,
        "systemModstamp": job.changed,
        "state": job.state,
    }
    if job.key:
        info["externalIdFieldName"] = job.key
    if job.assignment_rule:
        info["assignmentRuleId"] = job.assignment_rule
    info |= {
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "apiVersion": float(job.version),
        "jobType": job.kind,
    }
    if job.kind == INGEST and job.state == "Open":
        info["contentUrl"] = f"{call.root[1:]}/jobs/ingest/{job.id}/batches"
    if job.kind != CLASSIC:
        info |= {"lineEnding": job.line_ending, "columnDelimiter": job.delimiter}
    return info


def full(job: Job, call: Call) -> dict[str, Any]:
    """Say what a job is and how far it is."""
    batches = list(job.batches.values())
    info = short(job, call)
    info["numberRecordsProcessed"] = sum(batch.processed for batch in batches)
    if job.kind != QUERY:
        info["numberRecordsFailed"] = sum(batch.failed for batch in batches)
    info |= {"retries": 0, "totalProcessingTime": int(sum(batch.total_ms for batch in batches))}
    if job.kind == QUERY:
        info["isPkChunkingSupported"] = True
    else:
        active = int(sum(batch.active_ms for batch in batches))
        info |= {"apiActiveProcessingTime": active, "apexProcessingTime": 0}
        if call.version >= _CHUNKING_TOLD:
            info["isPkChunkingSupported"] = False
    if job.message:
        info["errorMessage"] = job.message
    return info


def listing(org: Org, call: Call, family: str) -> Reply:
    """List the jobs of all APIs, or of one type, a thousand at a time."""
    kind = call.query.get("jobType")
    chunked = call.query.get("isPkChunkingEnabled", "").lower() == "true"
    jobs = [
        job for job in org.bulk.jobs.values() if kind in (None, job.kind) and (job.chunk > 0 or not chunked)
    ]
    start = _start(call.query.get("queryLocator", ""))
    end = start + _PAGE
    done = end >= len(jobs)
    following = None if done else f"{call.root}/jobs/{family}?queryLocator={_locator(end)}"
    return Reply(
        body={
            "done": done,
            "records": [short(job, call) for job in jobs[start:end]],
            "nextRecordsUrl": following,
        }
    )


def _locator(place: int) -> str:
    return f"{ids.to18('01g5g0000000001')}-{place}"


def _start(locator: str) -> int:
    if not locator:
        return 0
    place = locator.rpartition("-")[2]
    if not place.isdigit() or locator != _locator(int(place)):
        raise fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(place)


def remove(org: Org, call: Call, id_text: str, kind: str) -> Reply:
    """Delete a job that has ended, with its data."""
    job = find(org, id_text, kind)
    if job.state not in ENDED:
        message = "Error encountered when deleting the job because the job is not terminated"
        raise fail(400, "API_ERROR", message)
    org.bulk.remove(job)
    return Reply(204)


def abort(org: Org, job: Job) -> None:
    """Stop a job; what it has written stays."""
    if job.state in ENDED:
        message = f"Aborting already {_WORDS.get(job.state, job.state)} Job not allowed"
        raise fail(400, "INVALIDJOBSTATE", message)
    job.state, job.changed = "Aborted", org.clock.stamp()
    org.bulk.keep(job)


def same_version(job: Job, call: Call) -> None:
    """Refuse to show results in another version than the job's (facts/salesforce.md 5.2)."""
    if call.version != job.version:
        message = f"The job was created with API version {job.version}.0, not {call.version}.0"
        raise fail(409, "API_ERROR", message)


def ended(job: Job) -> None:
    """Refuse the results of a job that is still at work."""
    if job.state not in ENDED:
        message = f"Results are not available: the job is in state {job.state}"
        raise fail(400, "INVALIDJOBSTATE", message)
