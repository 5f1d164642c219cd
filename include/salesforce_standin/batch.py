"""Composite batch: up to 25 independent subrequests in one round trip, each counted as a call of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from salesforce_standin.errors import ApiError, fail
from salesforce_standin.http_call import NOTHING, Call, Reply
from salesforce_standin.router import ROUTER

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST = 25


def batch(org: Org, call: Call) -> Reply:
    """Run the subrequests in order."""
    document = call.document()
    requests = document.get("batchRequests")
    if not isinstance(requests, list) or not requests:
        raise fail(
            400, "JSON_PARSER_ERROR", "The batchRequests property must be a list at [line:1, column:2]"
        )
    if len(requests) > _MOST:
        raise fail(400, "LIMIT_EXCEEDED", f"The batch can't contain more than {_MOST} operations.")
    org.meter.count(len(requests) - 1)  # the round trip itself is counted already
    results: list[dict[str, Any]] = []
    failed = False
    for one in requests:
        if failed and document.get("haltOnError"):
            halted = [
                {"errorCode": "BATCH_PROCESSING_HALTED", "message": "Batch processing halted per request"}
            ]
            results.append({"statusCode": 412, "result": halted})
            continue
        result = _run(org, call, one)
        failed = failed or result["statusCode"] >= 400
        results.append(result)
    return Reply(body={"hasErrors": failed, "results": results})


def _run(org: Org, call: Call, one: dict[str, Any]) -> dict[str, Any]:
    url = urlsplit("/" + str(one.get("url", "")).removeprefix("/services/data/").lstrip("/"))
    version, _, path = url.path[1:].partition("/")
    mark = org.work.mark()
    try:
        if not version.startswith("v") or not version[1:-2].isdigit():
            raise fail(400, "INVALID_INPUT", "The url of a subrequest must start with vXX.X/")
        inner = call.inner(
            method=str(one.get("method")),
            path="/" + path,
            version=int(version[1:-2]),
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={},
            body=one.get("richInput"),
        )
        reply = ROUTER.dispatch(org, inner)
    except ApiError as error:
        org.roll_back(mark)
        return {"statusCode": error.status, "result": error.body}
    return {"statusCode": reply.status, "result": None if reply.body is NOTHING else reply.body}
