"""What came back from a call, with what its headers say about the org."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from crm_sync.model import ApiUsage

__all__ = ["ApiUsage", "Reply", "allocation", "api_usage", "is_used_up", "server_date"]

API_USAGE = re.compile(r"(?:^|[ ;])api-usage=(\d+)/(\d+)")


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
