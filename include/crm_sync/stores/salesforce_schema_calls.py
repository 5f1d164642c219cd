"""Provisioning's calls to Salesforce: one request, or several in one composite, each counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote_plus

from requests import Response

from crm_sync.access.login import Login
from crm_sync.access.transport import Reply
from crm_sync.errors import IncompleteRead
from crm_sync.stores.salesforce_schema_wire import DATA, errors_of, quoted, records, refusal

__all__ = [
    "Calls",
    "Results",
    "Subrequest",
    "Transport",
    "composite_body",
    "get",
    "query",
    "results_of",
    "soql",
    "write",
]

Subrequest = dict[str, Any]
Results = dict[str, dict[str, Any]]


class Session(Protocol):
    """The metered session as SOAP uses it (``crm_sync.access.transport``)."""

    connection: str

    @property
    def login(self) -> Login:
        """Who knows the token."""
        ...

    def post(self, url: str, data: bytes, *, headers: Mapping[str, str]) -> Response:
        """Send and book one call."""
        ...


class Transport(Session, Protocol):
    """The metered transport (``crm_sync.access.transport``): books every call, names what goes wrong as a whole."""

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
        writes: bool = False,
        deadline: float | None = None,
    ) -> Reply:
        """Make one call."""
        ...


class Calls:
    """The transport as provisioning uses it; ``made`` counts the calls, ``purpose`` is what they are booked under."""

    def __init__(self, transport: Transport, purpose: str = "provision") -> None:
        self._transport = transport
        self._purpose = purpose
        self.made = 0

    def call(self, method: str, path: str, *, writes: bool = False, **content: Any) -> Any:
        """Make one call and return the body."""
        return self.reply(method, path, writes=writes, **content).body

    def reply(self, method: str, path: str, *, writes: bool = False, **content: Any) -> Reply:
        """Make one call and return all that came back."""
        self.made += 1
        return self._transport.call(method, path, purpose=self._purpose, writes=writes, **content)

    def uncounted(self, path: str) -> Any:
        """Read from an OAuth endpoint: Salesforce does not count those (facts/salesforce.md 3.2)."""
        return self._transport.call("GET", path, purpose=self._purpose).body

    def composite(
        self,
        requests: Sequence[Subrequest],
        api: str = "",
        *,
        all_or_none: bool = False,
        writes: bool = False,
    ) -> Results:
        """Make one call of several requests, in their order; the results by reference id."""
        body = composite_body(requests, api, all_or_none=all_or_none)
        return results_of(self.reply("POST", f"{DATA}{api}/composite", json=body, writes=writes))

    def custom_fields(self, types: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
        """Those of the objects that have one of the developer names, also those that the integration user can't see."""
        question = soql(
            ("Id", "DeveloperName", "TableEnumOrId"),
            "CustomField",
            f"WHERE NamespacePrefix = null AND TableEnumOrId IN {quoted(types)}",
            f"AND DeveloperName IN {quoted(names)}",
        )
        body = self.call("GET", f"{DATA}/tooling/query", params={"q": question})
        return records({"httpStatusCode": 200, "body": body})

    def all_rows(self, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a query within a composite, its further pages fetched; every announced row, or an error."""
        if result["httpStatusCode"] >= 400:
            raise refusal(errors_of(result["body"]), None)
        page = result["body"]
        rows, announced = list(page["records"]), page["totalSize"]
        while not page["done"]:
            page = self.call("GET", page["nextRecordsUrl"])
            rows += page["records"]
        if len(rows) != announced:
            raise IncompleteRead(f"{len(rows)} set-up rows arrived of {announced} announced")
        return rows


def composite_body(
    requests: Sequence[Subrequest], api: str = "", *, all_or_none: bool = False
) -> dict[str, Any]:
    """The body of a composite; its requests are taken in their order."""
    body = {"allOrNone": all_or_none, "collateSubrequests": False, "compositeRequest": list(requests)}
    if api:
        del body["collateSubrequests"]  # Tooling's composite does not know it
    return body


def results_of(reply: Reply) -> Results:
    """The results of a composite by reference id."""
    return {result["referenceId"]: result for result in reply.body["compositeResponse"]}


def get(reference: str, path: str) -> Subrequest:
    """A subrequest that reads."""
    return {"method": "GET", "url": f"{DATA}/{path}", "referenceId": reference}


def soql(columns: Sequence[str], source: str, *rest: str) -> str:
    """A query; the names in it are those of mapping files, which are letters, digits and underscores."""
    return " ".join(("SELECT", ", ".join(columns), "FROM", source, *rest))


def query(reference: str, columns: Sequence[str], source: str, *rest: str) -> Subrequest:
    """A subrequest that queries."""
    return get(reference, f"query/?q={quote_plus(soql(columns, source, *rest))}")


def write(reference: str, method: str, path: str, body: Mapping[str, Any]) -> Subrequest:
    """A subrequest that writes."""
    return {**get(reference, path), "method": method, "body": body}
