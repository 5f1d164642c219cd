"""Bulk API 2.0, queries: /jobs/query (facts/salesforce.md 5.2)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from salesforce_standin.bulk import job_info
from salesforce_standin.bulk.extract import columns_of, slice_of
from salesforce_standin.bulk.jobs import QUERIES, QUERY, Batch, Job
from salesforce_standin.bulk.shelf import INDEX, RESULT
from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.soql.parser import parse

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_OLDEST, _OLDEST_PARALLEL = 47, 58
# Records of a page if the client does not say how many.
_USUAL_PAGE = 50_000
_PARALLEL = 5
_CSV = "text/csv"


def _served(call: Call, oldest: int = _OLDEST) -> None:
    if call.version < oldest:
        raise not_found()


def list_jobs(org: Org, call: Call) -> Reply:
    """List the jobs."""
    _served(call)
    return job_info.listing(org, call, "query")


def create(org: Org, call: Call) -> Reply:
    """Take a query and put it in line."""
    _served(call)
    document = call.document()
    operation, text = str(document.get("operation", "")), document.get("query")
    if operation not in QUERIES:
        raise job_info.bad_value("operation", operation)
    if not isinstance(text, str) or not text.strip():
        raise job_info.bad_value("query", text)
    delimiter, line_ending = job_info.format_of(document)
    try:
        name, _ = columns_of(org, call.user_id, parse(text))
    except ApiError as error:
        raise _spelled(error) from None
    stamp = org.clock.stamp()
    job = Job(
        org.sequence.next("750"), QUERY, operation, name, call.user_id, call.version, stamp, stamp,
        state="UploadComplete", delimiter=delimiter, line_ending=line_ending,
    )  # fmt: skip
    org.bulk.add(job)
    org.bulk.submit(org.bulk.add_batch(job, text.encode()))
    info = job_info.short(job, call)
    return Reply(body={key: value for key, value in info.items() if key != "jobType"})


def _spelled(error: ApiError) -> ApiError:
    """Spell what the query can't be as this API does: its own restrictions come without their code."""
    fault = error.body[0]
    code = "API_ERROR" if fault["errorCode"] == "FUNCTIONALITY_NOT_ENABLED" else fault["errorCode"]
    return fail(error.status, code, fault["message"])


def show(org: Org, call: Call, id_text: str) -> Reply:
    """Say how far a job is."""
    return Reply(body=job_info.full(job_info.find(org, id_text, QUERY), call))


def change(org: Org, call: Call, id_text: str) -> Reply:
    """Abort a job."""
    job = job_info.find(org, id_text, QUERY)
    state = call.document().get("state")
    if state != "Aborted":
        raise job_info.bad_value("state", state)
    job_info.abort(org, job)
    return Reply(body=job_info.short(job, call))


def remove(org: Org, call: Call, id_text: str) -> Reply:
    """Delete a job."""
    return job_info.remove(org, call, id_text, QUERY)


def _found(org: Org, call: Call, id_text: str) -> tuple[Job, Batch]:
    job = job_info.find(org, id_text, QUERY)
    job_info.same_version(job, call)
    if job.state != "JobComplete" or job.batch is None:
        message = f"Results are not available: the job is in state {job.state}"
        raise fail(400, "INVALIDJOBSTATE", message)
    return job, job.batch


def results(org: Org, call: Call, id_text: str) -> Reply:
    """Show a page of the records that were found."""
    _, batch = _found(org, call, id_text)
    start = _start(call.query.get("locator", ""))
    most = call.query.get("maxRecords", "")
    if most and (not most.isdigit() or int(most) < 1):
        raise job_info.bad_value("maxRecords", most)
    path = org.bulk.path
    page, count, total = slice_of(path(batch, RESULT), path(batch, INDEX), start, int(most or _USUAL_PAGE))
    if start > total:
        raise _bad_locator()
    end = start + count
    headers = {
        "Sforce-Locator": "null" if end >= total else _locator(end),
        "Sforce-NumberOfRecords": str(count),
    }
    return Reply(body=page, headers=headers, content_type=_CSV)


def result_pages(org: Org, call: Call, id_text: str) -> Reply:
    """Show addresses of pages that can be read side by side, five at a time."""
    _served(call, _OLDEST_PARALLEL)
    job, batch = _found(org, call, id_text)
    start = _start(call.query.get("locator", ""))
    address = f"{call.root}/jobs/query/{job.id}"
    places = list(range(start, max(batch.processed, 1), _USUAL_PAGE))
    done = len(places) <= _PARALLEL
    return Reply(
        body={
            "resultPages": [
                {"resultUrl": f"{address}/results?locator={_locator(place)}"} for place in places[:_PARALLEL]
            ],
            "nextRecordsUrl": None
            if done
            else f"{address}/resultPages?locator={_locator(places[_PARALLEL])}",
            "done": done,
        }
    )


def _locator(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _start(locator: str) -> int:
    if not locator:
        return 0
    try:
        place = int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except ValueError:
        raise _bad_locator() from None
    return place


def _bad_locator() -> ApiError:
    return fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
