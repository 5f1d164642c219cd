"""Bulk API 1.0 in JSON, under /services/async: jobs, batches, their results."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from salesforce_standin import clock, ids
from salesforce_standin.bulk_jobs import MOST_ROWS, OPERATIONS, QUERIES, Batch, Job, Queue
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.records import Outcome, key_field

_ROUTE = re.compile(r"/job(?:/(\w+)(?:/batch(?:/(\w+)(?:/(result|request)(?:/(\w+))?)?)?)?)?/?\Z")
_MODES = {0: "Parallel", 1: "Serial", "Parallel": "Parallel", "Serial": "Serial"}


def _fail(code: str, message: str, status: int = 400) -> ApiError:
    return ApiError(status, {"exceptionCode": code, "exceptionMessage": message})


def no_session() -> ApiError:
    """Return the reply to a token that is unknown or has run out."""
    return _fail("InvalidSessionId", "Invalid session id", 401)


def over_limit() -> ApiError:
    """Return the reply once the day's calls are used up."""
    return _fail("ExceededQuota", "TotalRequests Limit exceeded.", 403)


class BulkV1:
    """The resources of Bulk API 1.0."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.org = queue.org

    def serve(self, call: Call) -> Reply:  # noqa: PLR0911 - one way out per resource
        """Answer a request."""
        match = _ROUTE.match(call.path)
        if match is None:
            raise _fail("InvalidUrl", "Destination URL not found")
        job_id, batch_id, part, result_id = match.groups()
        if job_id is None:
            return self._create(call)
        job = self.queue.jobs.get(ids.normalise(job_id) or "")
        if job is None:
            raise _fail("InvalidJob", f"Unable to find job with id: {job_id}")
        if "/batch" not in call.path:
            return self._change(job, call) if call.method == "POST" else Reply(body=_job_info(job))
        if batch_id is None:
            if call.method == "POST":
                return self._add(job, call)
            return Reply(body={"batchInfo": [_batch_info(batch) for batch in job.batches.values()]})
        batch = job.batches.get(ids.normalise(batch_id) or "")
        if batch is None:
            raise _fail("InvalidBatch", f"Unable to find batch with id: {batch_id}")
        if part is None:
            return Reply(body=_batch_info(batch))
        if part == "request":
            return Reply(body=batch.content)
        return self._results(job, batch, result_id)

    def _create(self, call: Call) -> Reply:
        given = call.document()
        operation, name = str(given.get("operation")), str(given.get("object"))
        if operation not in OPERATIONS:
            raise _fail("InvalidJob", f"Unknown operation: {operation}")
        if given.get("contentType", "XML") != "JSON":
            raise _fail("InvalidJob", f"Content type not served: {given.get('contentType', 'XML')}")
        known = {known.lower(): known for known, sobject in self.org.objects.items() if not sobject.tooling}
        if name.lower() not in known:
            raise _fail("InvalidJob", f"Unable to find object: {name}")
        key = given.get("externalIdFieldName")
        if operation == "upsert":
            if not key:
                raise _fail("InvalidJob", "External ID was blank for " + name)
            key_field(self.org.access(call.user_id, known[name.lower()]), str(key))
        job = Job(
            self.org.sequence.next("750"),
            operation,
            known[name.lower()],
            call.user_id,
            call.version,
            self.org.clock.stamp(),
            concurrency=_MODES.get(given.get("concurrencyMode", 0), "Parallel"),
            key=key if operation == "upsert" else None,
        )
        self.queue.jobs[job.id] = job
        return Reply(201, _job_info(job))

    def _change(self, job: Job, call: Call) -> Reply:
        state = call.document().get("state")
        if state not in {"Closed", "Aborted"}:
            raise _fail("InvalidJobState", f"Unsupported job state: {state}")
        if job.state == "Aborted":
            raise _fail("InvalidJobState", f"Job in invalid state to change: {job.state}")
        job.state = state
        return Reply(body=_job_info(job))

    def _add(self, job: Job, call: Call) -> Reply:
        if job.state != "Open":
            raise _fail("InvalidJobState", f"Unable to add batch to job in state: {job.state}")
        batch = Batch(self.org.sequence.next("751"), job.id, self.org.clock.stamp(), call.content)
        if job.operation in QUERIES:
            batch.query = call.content.decode()
        else:
            self._fill(batch, call.content)
        self.queue.add(job, batch)
        return Reply(201, _batch_info(batch))

    def _fill(self, batch: Batch, content: bytes) -> None:
        """Read the rows; a batch that can't be read fails as a whole, later, not the request."""
        try:
            rows = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            batch.state, batch.message = "Failed", f"InvalidBatch : Failed to parse JSON: {error.msg}"
            return
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            batch.state, batch.message = "Failed", "InvalidBatch : Records not found"
        elif len(rows) > MOST_ROWS:
            batch.state, batch.message = "Failed", f"InvalidBatch : Maximum of {MOST_ROWS} records exceeded"
        else:
            batch.rows = rows

    def _results(self, job: Job, batch: Batch, result_id: str | None) -> Reply:
        if batch.state != "Completed":
            raise _fail("InvalidBatch", f"Batch not completed: {batch.state}")
        if job.operation not in QUERIES:
            return Reply(body=[_outcome(outcome) for outcome in batch.outcomes])
        if result_id is None:
            return Reply(body=[batch.result_id])
        if ids.normalise(result_id) != batch.result_id:
            raise _fail("InvalidBatch", f"Unable to find result with id: {result_id}")
        return Reply(body=self._records(job, batch))

    def _records(self, job: Job, batch: Batch) -> list[dict[str, Any]]:
        """Return the found records: this API spells every moment as milliseconds since 1970."""
        fields = self.org.access(job.user_id, job.object).readable
        moments: dict[str, Callable[[str], int]] = {
            name: _milliseconds if field.type == "datetime" else _day_milliseconds
            for name, field in fields.items()
            if field.type in {"date", "datetime"}
        }
        return [
            {
                key: moments[key](value) if value is not None and key in moments else value
                for key, value in one.items()
            }
            for one in batch.records
        ]


def _milliseconds(stamp: str) -> int:
    return int(clock.epoch_of(stamp) * 1000)


def _day_milliseconds(day: str) -> int:
    return _milliseconds(f"{day}T00:00:00.000+0000")


def _outcome(outcome: Outcome) -> dict[str, Any]:
    errors = [
        {
            "message": f.message,
            "fields": list(f.fields or ()),
            "statusCode": f.code,
            "extendedErrorDetails": None,
        }
        for f in outcome.faults
    ]
    return {
        "success": outcome.success,
        "created": bool(outcome.created),
        "id": outcome.id if outcome.success else None,
        "errors": errors,
    }


def _job_info(job: Job) -> dict[str, Any]:
    states = [batch.state for batch in job.batches.values()]
    return {
        "apexProcessingTime": 0,
        "apiActiveProcessingTime": 0,
        "apiVersion": float(job.version),
        "assignmentRuleId": None,
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "createdById": job.user_id,
        "createdDate": job.born,
        "externalIdFieldName": job.key,
        "fastPathEnabled": False,
        "id": job.id,
        "numberBatchesCompleted": states.count("Completed"),
        "numberBatchesFailed": states.count("Failed"),
        "numberBatchesInProgress": states.count("InProgress"),
        "numberBatchesQueued": states.count("Queued"),
        "numberBatchesTotal": len(states),
        "numberRecordsFailed": sum(batch.failed for batch in job.batches.values()),
        "numberRecordsProcessed": sum(_processed(batch) for batch in job.batches.values()),
        "numberRetries": 0,
        "object": job.object,
        "operation": job.operation,
        "state": job.state,
        "systemModstamp": job.born,
        "totalProcessingTime": 0,
    }


def _processed(batch: Batch) -> int:
    return len(batch.outcomes) or len(batch.records)


def _batch_info(batch: Batch) -> dict[str, Any]:
    return {
        "apexProcessingTime": 0,
        "apiActiveProcessingTime": 0,
        "createdDate": batch.born,
        "id": batch.id,
        "jobId": batch.job_id,
        "numberRecordsFailed": batch.failed,
        "numberRecordsProcessed": _processed(batch),
        "state": batch.state,
        "stateMessage": batch.message,
        "systemModstamp": batch.born,
        "totalProcessingTime": 0,
    }
