"""Replies that a fault can give by name, worded as recorded ones are (facts/salesforce.md 3.1 and 6)."""

from __future__ import annotations

from typing import Any

from salesforce_standin.http_call import Reply

_HTML = "text/html;charset=UTF-8"


def _rest(status: int, code: str, message: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, [{"message": message, "errorCode": code}], named


def _page(status: int, title: str) -> tuple[int, Any, dict[str, str]]:
    """Return what stands in front of the platform: a page, where the client expects JSON."""
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return status, html.encode(), {"Content-Type": _HTML}


NAMED: dict[str, tuple[int, Any, dict[str, str]]] = {
    "session_expired": _rest(
        401, "INVALID_SESSION_ID", "Session expired or invalid", WWW_Authenticate="Token"
    ),
    "no_api_scope": _rest(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"),
    "daily_limit": _rest(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    "concurrent_limit": _rest(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    ),
    "long_transactions": _rest(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    "api_disabled": _rest(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"),
    "blocked_by_policy": _rest(
        403, "TXN_SECURITY_NO_ACCESS", "The operation was blocked by a security policy."
    ),
    "maintenance": _rest(
        503,
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "Data can't be changed during maintenance; try again later.",
    ),
    "server_unavailable": _rest(503, "SERVER_UNAVAILABLE", "Server is too busy"),
    "server_error": _rest(
        500,
        "UNKNOWN_EXCEPTION",
        "An unexpected error occurred. ErrorId: 174832921-112233 (1928374)",
    ),
    "lock_row": _rest(
        500,
        "UNABLE_TO_LOCK_ROW",
        "unable to obtain exclusive access to this record or 1 records: <unknown>",
    ),
    "query_timeout": _rest(400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    "query_locator": _rest(400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
    "storage_limit": _rest(400, "STORAGE_LIMIT_EXCEEDED", "storage limit exceeded"),
    "too_many_requests": _page(429, "Too Many Requests"),
    "edge_refused": _page(420, "Request Refused"),
    "bad_gateway": _page(502, "Bad Gateway"),
    "down": _page(503, "We are down for maintenance."),
    "gateway_timeout": _page(504, "Gateway Time-out"),
    "login_rate": (400, {"error": "rate_limit_exceeded", "error_description": "login rate exceeded"}, {}),
    "grant_expired": (
        400,
        {"error": "invalid_grant", "error_description": "expired access/refresh token"},
        {},
    ),
}


def reply_of(name: str) -> Reply:
    """Return a named reply."""
    status, body, headers = NAMED[name]
    return Reply(status, body, dict(headers))
