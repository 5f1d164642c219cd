"""The data calls of SOAP (/services/Soap/u and /c): the REST resources behind them, asked and answered in XML."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from salesforce_standin import (
    appearance,
    describe,
    ids,
    query,
    replication,
    search,
    soap_describe,
    soap_fates,
    soap_records,
    sobject_collections,
    xml_text,
)
from salesforce_standin.errors import fail
from salesforce_standin.soap_request import Request, saved


def _create(request: Request) -> str:
    return saved(sobject_collections.create(request.org, request.inner(body=request.records())).body)


def _update(request: Request) -> str:
    return saved(sobject_collections.update(request.org, request.inner(body=request.records())).body)


def _upsert(request: Request) -> str:
    body = request.records()
    if not body["records"]:
        return ""
    kind = body["records"][0]["attributes"]["type"]
    call = request.inner(body=body)
    items = sobject_collections.upsert(request.org, call, kind, request.text("externalIDFieldName")).body
    return saved([{"created": False, **item} for item in items])


def _delete(request: Request) -> str:
    whole = request.header("AllOrNoneHeader", "allOrNone")
    # Old clients (beatbox, pyforce) write "id", and the platform takes it.
    named = request.texts("ids") or request.texts("id")
    wanted = {"ids": ",".join(named), "allOrNone": whole}
    return saved(sobject_collections.delete(request.org, request.inner(query=wanted)).body)


def _query(request: Request) -> str:
    return _found(request, query.query)


def _query_all(request: Request) -> str:
    return _found(request, query.query_all)


def _found(request: Request, run: Callable[..., Any]) -> str:
    body = run(request.org, request.inner(query={"q": request.text("queryString")})).body
    return soap_records.result("result", body, partner=request.partner)


def _query_more(request: Request) -> str:
    locator, dash, start = request.text("queryLocator").partition("-")
    if not dash or not start.isdigit():
        raise fail(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    body = query.more(request.org, request.inner(), locator, start).body
    return soap_records.result("result", body, partner=request.partner)


def _search(request: Request) -> str:
    """Find records; a search has an id here, which nothing asks for."""
    call = request.inner(query={"q": request.text("searchString")})
    found = search.search(request.org, call).body
    records = found["searchRecords"] if isinstance(found, dict) else found
    told = "".join(
        f"<searchRecords>{soap_records.spell('record', one, partner=request.partner)}</searchRecords>"
        for one in records
    )
    return f"<result>{xml_text.spell('queryId', secrets.token_hex(8))}{told}</result>"


def _retrieve(request: Request) -> str:
    fields = [name.strip() for name in request.text("fieldList").split(",")]
    call = request.inner(method="POST", body={"ids": request.texts("ids"), "fields": fields})
    rows = sobject_collections.retrieve(request.org, call, request.text("sObjectType")).body
    return "".join(
        '<result xsi:nil="true"/>'
        if row is None
        else soap_records.spell("result", row, partner=request.partner)
        for row in rows
    )


def _describe(request: Request) -> str:
    call = request.inner()
    bodies = [describe.describe_one(request.org, call, name).body for name in request.texts("sObjectType")]
    return "".join(soap_describe.whole(body, call.base) for body in bodies)


def _describe_global(request: Request) -> str:
    return soap_describe.listed(describe.describe_all(request.org, request.inner()).body)


def _describe_tabs(request: Request) -> str:
    """Describe the one app of the org with its tabs."""
    call = request.inner()
    app = {
        "description": None,
        "label": "Sales",
        "logoUrl": f"{call.base}/img/salesforce-noname-logo-v2.svg",
        "selected": True,
        "tabSetId": ids.to18("02u5g0000010000"),
        "tabs": appearance.tabs(request.org, call).body,
    }
    return xml_text.spell("result", app)


def _replicated(request: Request, run: Callable[..., Any]) -> str:
    window = {"start": request.text("startDate"), "end": request.text("endDate")}
    body = run(request.org, request.inner(query=window), request.text("sObjectType")).body
    told = [
        {"deletedDate": soap_records.moment(one["deletedDate"]), "id": one["id"]}
        for one in body.get("deletedRecords", [])
    ]
    stamps = {k: soap_records.moment(v) for k, v in body.items() if k.endswith(("Available", "Covered"))}
    return xml_text.spell("result", {"ids": body.get("ids"), "deletedRecords": told, **stamps})


CALLS: dict[str, Callable[[Request], str]] = {
    **soap_fates.CALLS,
    "create": _create,
    "delete": _delete,
    "describeGlobal": _describe_global,
    "describeSObject": _describe,
    "describeSObjects": _describe,
    "describeTabs": _describe_tabs,
    "getDeleted": lambda request: _replicated(request, replication.deleted),
    "getUpdated": lambda request: _replicated(request, replication.updated),
    "query": _query,
    "queryAll": _query_all,
    "queryMore": _query_more,
    "retrieve": _retrieve,
    "search": _search,
    "update": _update,
    "upsert": _upsert,
}
