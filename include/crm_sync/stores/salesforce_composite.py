"""One ``/composite`` call: up to five queries or collections, in the order given, counted as one call.

Always sent with ``collateSubrequests: false``: else Salesforce may run them in any order since v49, and what a
retrieve shows as "before" would be our own values (facts/salesforce.md 4.4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import IO, Any, Protocol

from crm_sync.access.transport import Download, Reply
from crm_sync.errors import RetryLater, SyncError, Unanswered

__all__ = ["COLLECTION", "SUBREQUESTS", "Composite", "SubReply", "SubRequest", "Transport"]

SUBREQUESTS = 5
"""Queries and collections a call; a retrieve counts as one (algorithm.md, "Read first")."""
COLLECTION = 200
"""Records a collection."""
NO_ASSIGNMENT = {"Sforce-Auto-Assign": "FALSE"}
"""Else an org's assignment rules give a lead a new owner whenever its score changes (facts/salesforce.md 4.2)."""


class Transport(Protocol):
    """The metered way out, as much of it as a store needs (``access.transport.MeteredSession``)."""

    @property
    def connection(self) -> str:
        """The connection's name, for messages."""
        ...

    def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        csv: IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        purpose: str,
        writes: bool = False,
        deadline: float | None = None,
    ) -> Reply:
        """One call; see there."""
        ...

    def download(
        self, path: str, *, params: Mapping[str, str], purpose: str
    ) -> AbstractContextManager[Download]:
        """A reply that is read while it arrives; see there."""
        ...


@dataclass(frozen=True, slots=True)
class SubRequest:
    """One of the five."""

    method: str
    url: str
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SubReply:
    """Its answer; ``body`` holds records, or errors when ``failed``."""

    status: int
    body: Any

    @property
    def failed(self) -> bool:
        """Whether the sub-request as a whole was refused."""
        return self.status >= 300


class Composite:
    """Sends composites of one connection, all for one purpose."""

    def __init__(self, transport: Transport, api_version: str, purpose: str) -> None:
        self.transport = transport
        self.base = f"/services/data/v{api_version}"
        self.purpose = purpose

    def send(
        self,
        requests: Sequence[SubRequest],
        *,
        writes: bool,
        about: str = "",
        deadline: float | None = None,
    ) -> tuple[Reply, list[SubReply]]:
        """The reply without its body, and one answer a sub-request; for writes Unanswered when one is missing.

        ``about``: the one object that it is for, if any: its calls are counted apart, against a loop.
        """
        body = {
            "allOrNone": False,
            "collateSubrequests": False,
            "compositeRequest": [
                _as_json(number, request, writes=writes) for number, request in enumerate(requests)
            ],
        }
        reply = self.transport.call(
            "POST",
            f"{self.base}/composite",
            json=body,
            headers=NO_ASSIGNMENT if writes else None,
            purpose=f"{self.purpose} {about}".strip(),
            writes=writes,
            deadline=deadline,
        )
        try:
            answers = {answer["referenceId"]: answer for answer in reply.body["compositeResponse"]}
            parts = [answers[f"r{number}"] for number in range(len(requests))]
            return replace(reply, body=None), [
                SubReply(int(part["httpStatusCode"]), part["body"]) for part in parts
            ]
        except (KeyError, TypeError, ValueError):
            raise self.garbled("a composite reply lacks an answer", writes=writes) from None

    def garbled(self, what: str, *, writes: bool) -> SyncError:
        """The error for a reply that can't be relied on."""
        if writes:
            return Unanswered(
                f"{what}: whether its records were written is not known, the next reads will show it"
            )
        return RetryLater(f"{what}; it is asked again later")

    def get(self, path: str, headers: Mapping[str, str], about: str) -> Reply:
        """A further page of a query: a call of its own."""
        return self.transport.call("GET", path, headers=headers, purpose=f"{self.purpose} {about}")


def _as_json(number: int, request: SubRequest, *, writes: bool) -> dict[str, object]:
    headers = {**request.headers, **(NO_ASSIGNMENT if writes else {})}
    item: dict[str, object] = {"method": request.method, "url": request.url, "referenceId": f"r{number}"}
    if headers:
        item["httpHeaders"] = headers
    if request.body is not None:
        item["body"] = request.body
    return item
