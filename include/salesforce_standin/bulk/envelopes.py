"""Bulk API 1.0's words about jobs, batches, results and errors, in JSON or in XML."""

from __future__ import annotations

from typing import Any

import orjson

from salesforce_standin import xml_text
from salesforce_standin.bulk import outcomes
from salesforce_standin.bulk.jobs import Batch, Job
from salesforce_standin.bulk.spelling import SPACE, csv_line
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Reply
from salesforce_standin.records import Outcome

JSON_TYPE, XML_TYPE, CSV_TYPE = "application/json", "application/xml", "text/csv"
# Without a charset: clients compare these literally.
CONTENT_TYPES = {"JSON": JSON_TYPE, "XML": XML_TYPE, "CSV": CSV_TYPE}


def reply(name: str, values: Any, *, json: bool, status: int = 200) -> Reply:
    """Return a document: JSON, or XML whose root has the name."""
    if json:
        return Reply(status, values, content_type=JSON_TYPE)
    root = f'<?xml version="1.0" encoding="UTF-8"?><{name}\n   xmlns="{SPACE}"'
    inside = _lines(values, 1)
    body = f"{root}>\n{inside}</{name}>" if inside else f"{root} />"
    return Reply(status, body.encode(), content_type=XML_TYPE)


def _lines(values: dict[str, Any], depth: int) -> str:
    """Spell elements as this API does: a line each, one space deeper a level; None is left out."""
    shown = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                pad = " " * depth
                shown.append(f"{pad}<{name}>\n{_lines(one, depth + 1)}{pad}</{name}>\n")
            elif one is not None:
                shown.append(f"{' ' * depth}{xml_text.spell(name, one)}\n")
    return "".join(shown)


def _order(info: dict[str, Any], *, json: bool) -> dict[str, Any]:
    """Put what is said into its recorded order: the schema's in XML, the alphabet's in JSON."""
    return dict(sorted(info.items())) if json else info


def error(code: str, message: str, *, json: bool, status: int = 400) -> ApiError:
    """Return a request that fails as a whole."""
    said = reply("error", {"exceptionCode": code, "exceptionMessage": message}, json=json)
    return ApiError(status, said.body, {"Content-Type": said.content_type})


def document(content: bytes, *, json: bool) -> dict[str, Any] | None:
    """Read what a client says of a job; None for what can't be read."""
    if json:
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None
    root = xml_text.read(content)
    if root is None:
        return None
    return {xml_text.local(one.tag): (one.text or "").strip() for one in root}


def _stamp(stamp: str, *, json: bool) -> str:
    return stamp if json else stamp.replace("+0000", "Z")


def job_info(job: Job, *, json: bool) -> dict[str, Any]:
    """Say what a job is and how far it is."""
    batches = list(job.batches.values())
    states = [batch.state for batch in batches]
    info: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.user_id,
        "createdDate": _stamp(job.born, json=json),
        "systemModstamp": _stamp(job.changed, json=json),
        "state": job.state,
        "externalIdFieldName": job.key,
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "numberBatchesQueued": states.count("Queued"),
        "numberBatchesInProgress": states.count("InProgress"),
        "numberBatchesCompleted": states.count("Completed"),
        "numberBatchesFailed": states.count("Failed"),
        "numberBatchesTotal": len(states),
        "numberRecordsProcessed": sum(batch.processed for batch in batches),
        "numberRetries": 0,
        "apiVersion": float(job.version),
        "assignmentRuleId": job.assignment_rule,
        "numberRecordsFailed": sum(batch.failed for batch in batches),
        "totalProcessingTime": int(sum(batch.total_ms for batch in batches)),
        "apiActiveProcessingTime": int(sum(batch.active_ms for batch in batches)),
        "apexProcessingTime": 0,
    }
    return _order({**info, "fastPathEnabled": False} if json else info, json=json)


def batch_info(batch: Batch, *, json: bool) -> dict[str, Any]:
    """Say how far a batch is."""
    info = {
        "id": batch.id,
        "jobId": batch.job_id,
        "state": batch.state,
        "stateMessage": batch.message,
        "createdDate": _stamp(batch.born, json=json),
        "systemModstamp": _stamp(batch.changed, json=json),
        "numberRecordsProcessed": batch.processed,
        "numberRecordsFailed": batch.failed,
        "totalProcessingTime": int(batch.total_ms),
        "apiActiveProcessingTime": int(batch.active_ms),
        "apexProcessingTime": 0,
    }
    return _order(info, json=json)


def result_list(batch: Batch, *, json: bool) -> Reply:
    """List the results of a query's batch, by ids of 15 characters."""
    if json:
        return reply("result-list", [batch.result_id[:15]], json=True)
    return reply("result-list", {"result": [batch.result_id[:15]]}, json=False)


def results(found: list[Outcome], content_type: str) -> Reply:
    """Show what became of the rows of a batch, in their order."""
    if content_type == "CSV":
        lines = [csv_line(["Id", "Success", "Created", "Error"], ",", "\n")]
        lines += [_csv_outcome(outcome) for outcome in found]
        return Reply(body=b"".join(lines), content_type=CONTENT_TYPES["CSV"])
    shown = [_outcome(outcome, json=content_type == "JSON") for outcome in found]
    if content_type == "JSON":
        return reply("results", shown, json=True)
    return reply("results", {"result": shown}, json=False)


def _csv_outcome(outcome: Outcome) -> bytes:
    said = [str(outcome.success).lower(), str(bool(outcome.created)).lower(), outcomes.error_text(outcome)]
    return csv_line([outcome.id or "", *said], ",", "\n")


def _outcome(outcome: Outcome, *, json: bool) -> dict[str, Any]:
    more = {"extendedErrorDetails": None} if json else {}
    errors = [
        {"fields": list(fault.fields or ()), "message": fault.message, "statusCode": fault.code, **more}
        for fault in outcome.faults
    ]
    shown = {"success": outcome.success, "created": bool(outcome.created), "id": outcome.id, "errors": errors}
    return shown if json else {key: shown[key] for key in ("errors", "id", "success", "created")}
