"""Composite: up to 25 subrequests in one call, with references between them (facts/salesforce.md 4.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from salesforce_standin import references
from salesforce_standin.errors import ApiError, Fault, fail
from salesforce_standin.http_call import NOTHING, Call, Reply
from salesforce_standin.router import ROUTER

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_MOST = 25
_MOST_LISTS = 5
_ADDRESS = re.compile(r"/services/data/v(\d+)\.0(/tooling)?(/.*)\Z")
_LISTS = re.compile(r"/(?:query|queryAll|composite/sobjects)(?:/|\Z)")
_SERVED = re.compile(r"/(?:sobjects|query|queryAll|composite/sobjects|limits)(?:/|\Z)")
_REFERENCE_ID = re.compile(r"[A-Za-z0-9_]+\Z")
_INHERITED = {"accept", "authorization", "content-type"}
_HALTED = "The transaction was rolled back since another operation in the same transaction failed."

Subrequest = Mapping[str, Any]


def resources(_org: Org, call: Call) -> Reply:
    """List the composite resources (REST:get-a-list-of-composite-resources)."""
    return Reply(
        body={name: f"{call.root}/composite/{name}" for name in ("tree", "batch", "sobjects", "graph")}
    )


def composite(org: Org, call: Call) -> Reply:
    """Run the subrequests of a call."""
    document = call.document()
    requests = subrequests(document.get("compositeRequest"))
    refused = _too_many(requests)
    if refused is not None:
        return Reply(body={"compositeResponse": [refused]})
    all_or_none = bool(document.get("allOrNone"))
    # Collation is the default since v49, and then the order of independent subrequests is anybody's guess.
    collate = bool(document.get("collateSubrequests", call.version >= 49))
    responses, _ = run(org, call, requests, all_or_none=all_or_none, shuffle=collate)
    return Reply(body={"compositeResponse": responses})


def subrequests(found: Any) -> list[Subrequest]:
    """Return the subrequests of a body, or refuse the whole of it."""
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise fail(
            400,
            "JSON_PARSER_ERROR",
            "The compositeRequest property must be a list of subrequests at [line:1, column:2]",
        )
    seen: set[str] = set()
    for one in found:
        reference = one.get("referenceId")
        if not isinstance(reference, str) or not _REFERENCE_ID.match(reference):
            raise fail(
                400,
                "INVALID_INPUT",
                "Provided referenceId must start with a letter or a number, and it can contain only letters, numbers and underscores ('_').",
            )
        if reference in seen:
            raise fail(400, "INVALID_INPUT", f"Duplicate reference id found: {reference}")
        seen.add(reference)
        if {name.lower() for name in one.get("httpHeaders") or {}} & _INHERITED:
            raise fail(
                400, "INVALID_INPUT", "Accept, Authorization and Content-Type can't be set in a subrequest"
            )
    return found


def _too_many(requests: list[Subrequest]) -> dict[str, Any] | None:
    message = ""
    if len(requests) > _MOST:
        message = f"The request can\N{RIGHT SINGLE QUOTATION MARK}t contain more than {_MOST} operations."
    elif sum(1 for one in requests if _is_list(one)) > _MOST_LISTS:
        message = f"The request can\N{RIGHT SINGLE QUOTATION MARK}t contain more than {_MOST_LISTS} Query / sObject Collections operations."
    if not message:
        return None
    return _response([{"errorCode": "LIMIT_EXCEEDED", "message": message}], {}, 400, None)


def _is_list(one: Subrequest) -> bool:
    match = _ADDRESS.match(urlsplit(str(one.get("url"))).path)
    return bool(match and _LISTS.match(match[3]))


def run(
    org: Org, call: Call, requests: list[Subrequest], *, all_or_none: bool, shuffle: bool
) -> tuple[list[dict[str, Any]], bool]:
    """Run subrequests; return their responses in the order asked for, and whether all went well."""
    results: dict[str, Any] = {}
    responses: dict[str, dict[str, Any]] = {}
    start = org.work.mark()
    failed: list[str] = []
    for one in _ordered(org, requests) if shuffle else requests:
        name = one["referenceId"]
        if all_or_none and failed:
            responses[name] = _halted(name, _HALTED)
            continue
        response, good = _run_one(org, call, one, results, all_or_none=all_or_none)
        responses[name] = response
        if not good:
            failed.append(name)
        elif response["httpStatusCode"] < 300:
            results[name] = response["body"]
    if all_or_none and failed:
        org.roll_back(start)
        for name in responses.keys() - set(failed):
            # A collection still shows its rows as they went, although nothing of it stays.
            if not isinstance(responses[name]["body"], list) or responses[name]["httpStatusCode"] != 200:
                responses[name] = _halted(name, _HALTED)
    return [responses[one["referenceId"]] for one in requests], not failed


def _ordered(org: Org, requests: list[Subrequest]) -> list[Subrequest]:
    """Return the subrequests in some order in which each comes after those that it refers to."""
    known = {one["referenceId"] for one in requests}
    waiting = {
        one["referenceId"]: (references.named([one.get("url"), one.get("body")]) & known, one)
        for one in requests
    }
    order: list[Subrequest] = []
    while waiting:
        ready = [name for name, (needs, _) in waiting.items() if not needs & waiting.keys()] or list(waiting)
        order.append(waiting.pop(org.random.choice(ready))[1])
    return order


def _run_one(
    org: Org, call: Call, one: Subrequest, results: dict[str, Any], *, all_or_none: bool
) -> tuple[dict[str, Any], bool]:
    name = one["referenceId"]
    mark = org.work.mark()
    try:
        inner = _inner(call, one, results)
        reply = ROUTER.dispatch(org, inner)
    except references.Unresolved as missing:
        return _halted(name, str(missing)), False
    except ApiError as error:
        org.roll_back(mark)
        return _response(error.body, error.headers, error.status, name), False
    body = None if reply.body is NOTHING else reply.body
    headers = {
        key: value for key, value in reply.headers.items() if key in {"Location", "ETag", "Last-Modified"}
    }
    good = reply.status < 400
    if all_or_none and inner.path.startswith("/composite/sobjects") and isinstance(body, list):
        good = good and all(not isinstance(item, dict) or item.get("success", True) for item in body)
    return _response(body, headers, reply.status, name), good


def _inner(call: Call, one: Subrequest, results: dict[str, Any]) -> Call:
    url = urlsplit(references.resolve(str(one.get("url")), results))
    match = _ADDRESS.match(url.path)
    if match is None:
        raise fail(400, "INVALID_INPUT", "The url of a subrequest must start with /services/data/vXX.X/")
    if bool(match[2]) is not call.tooling or not _SERVED.match(match[3]):
        raise ApiError(404, [Fault("NOT_FOUND", "The requested resource does not exist").as_reply()])
    given = {str(k).lower(): str(v) for k, v in (one.get("httpHeaders") or {}).items()}
    return call.inner(
        method=str(one.get("method")),
        path=(match[2] or "") + match[3],
        version=int(match[1]),
        query=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=given,
        body=references.resolve(one.get("body"), results),
        content=b"",
    )


def _halted(name: str, message: str) -> dict[str, Any]:
    return _response([{"errorCode": "PROCESSING_HALTED", "message": message}], {}, 400, name)


def _response(body: Any, headers: dict[str, str], status: int, name: str | None) -> dict[str, Any]:
    return {"body": body, "httpHeaders": headers, "httpStatusCode": status, "referenceId": name}
