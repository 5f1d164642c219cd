"""What came back from a call: its body, and what status and headers say about session and org."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from crm_sync.errors import RetryLater, Unanswered
from crm_sync.model import ApiUsage

__all__ = [
    "ApiUsage",
    "Reply",
    "allocation",
    "api_usage",
    "is_dead_session",
    "is_used_up",
    "json_body",
    "server_date",
]

API_USAGE = re.compile(r"(?:^|[ ;])api-usage=(\d+)/(\d+)")
NUL, NUL_IN_JSON = "\0", b"\\u0000"
"""The one character that Postgres can't hold; a record that had it could never be stored, nor any page that it is on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: ``body`` is the parsed JSON, None when there was none.

    ``server_date`` is the server's clock in whole seconds, read within ``took`` after ``sent_at`` (our clock).
    """

    status: int
    headers: Mapping[str, str]
    body: Any
    server_date: datetime
    sent_at: datetime
    took: timedelta


def api_usage(headers: Mapping[str, str]) -> ApiUsage | None:
    """From Sforce-Limit-Info."""
    found = API_USAGE.search(headers.get("Sforce-Limit-Info", ""))
    return ApiUsage(int(found[1]), int(found[2])) if found else None


def is_dead_session(response: requests.Response) -> bool:
    """Whether the session was refused and a new one may help; not when it lacks a scope (facts 6)."""
    if response.status_code == 403:
        return b"Bad_OAuth_Token" in response.content  # what userinfo says instead of 401
    return response.status_code == 401 and b"not valid for use with the REST API" not in response.content


def is_used_up(status: int, content: bytes) -> bool:
    """Whether the org refused because its calls of 24 hours are used up; too many at once have the same code (3.1)."""
    return status == 403 and b"REQUEST_LIMIT_EXCEEDED" in content and b"oncurrent" not in content


def server_date(headers: Mapping[str, str]) -> datetime | None:
    """From Date."""
    try:
        return parsedate_to_datetime(headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None


def allocation(body: object) -> ApiUsage | None:
    """From the body of ``/limits``, None if it does not say (facts 3.2)."""
    match body:
        case {"DailyApiRequests": {"Max": int(limit), "Remaining": int(left)}}:
            return ApiUsage(limit - left, limit)
    return None


def json_body(response: requests.Response, what: str, *, writes: bool) -> Any:
    """The parsed body without NUL characters, None where there is none; ``what`` names the call in a message.

    A success whose body can't be read: RetryLater, of a write (``writes``) Unanswered.
    """
    if not response.content:
        return None
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        if response.status_code >= 300:
            return None
        error = Unanswered if writes else RetryLater
        raise error(f"{what}: the reply is cut off or no JSON ({len(response.content)} bytes)") from None
    return _without_nul(body) if NUL_IN_JSON in response.content else body


def _without_nul(body: Any) -> Any:
    if isinstance(body, str):
        return body.replace(NUL, "")
    if isinstance(body, list):
        return [_without_nul(item) for item in body]
    return {key: _without_nul(value) for key, value in body.items()} if isinstance(body, dict) else body
