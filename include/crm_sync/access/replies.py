"""What a reply of Salesforce to a whole call means: a pure translation into one of our errors.

The codes, statuses and wordings are those of facts/salesforce.md, sections 3.1, 4 and 6; for the rows of a call see ``access.refusals``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from crm_sync.decide.budget import FIRST_LOOK
from crm_sync.errors import (
    BudgetExhausted,
    IncompleteRead,
    Misconfigured,
    Missing,
    NotSent,
    RetryLater,
    SessionExpired,
    SyncError,
    Unanswered,
)

__all__ = ["BUSY", "VendorError", "call_error", "vendor_errors"]

BUSY = frozenset({420, 429, 500, 502, 503, 504})
"""Statuses of trouble at the edge or in an instance; a read may simply be asked again."""
REFUSED_BUSY = frozenset({420, 429})
"""Of these, the statuses by which nothing was processed."""


@dataclass(frozen=True, slots=True)
class VendorError:
    """One error as Salesforce words it, whether it is called errorCode (calls) or statusCode (rows)."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


def vendor_errors(body: object) -> tuple[VendorError, ...]:
    """The errors in a body of whatever shape; none when it has none of the known shapes."""
    items = body if isinstance(body, list) else [body]
    return tuple(
        VendorError(
            str(item.get("errorCode") or item.get("statusCode")),
            str(item.get("message", "")),
            tuple(map(str, item.get("fields") or ())),
        )
        for item in items
        if isinstance(item, Mapping) and (item.get("errorCode") or item.get("statusCode"))
    )


# ------------------------------------------------------------------------------------------- whole calls

PROVISION = "crm_provision__{connection}"

STOPPED = {
    "API_DISABLED_FOR_ORG": "the org has no API access: its edition needs the API add-on; ask the org's administrator",
    "API_CURRENTLY_DISABLED": "the integration user may not use the API: give it the permission 'API Enabled'",
    "INSUFFICIENT_ACCESS": "the integration user lacks a permission: run crm_provision__{connection}",
    "TXN_SECURITY_NO_ACCESS": "a transaction security policy blocks the call: exempt the integration user from it",
    "INVALID_TYPE": "the object is missing or hidden for the integration user: run crm_provision__{connection}",
    "MALFORMED_QUERY": "the query is not valid: compare the names in the mapping files with the org's",
    "INVALID_QUERY_FILTER_OPERATOR": "the query is not valid: compare the field types in the mapping files with the org's",
    "UNSUPPORTED_API_VERSION": "the API version is not served any more: raise it in the connection's settings",
}
LATER = {
    "SERVER_UNAVAILABLE": timedelta(minutes=1),
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": timedelta(minutes=15),
    "QUERY_TIMEOUT": timedelta(minutes=1),
    "OPERATION_TOO_LARGE": timedelta(minutes=1),
    "UNABLE_TO_LOCK_ROW": timedelta(seconds=10),
    "TXN_SECURITY_METERING_ERROR": timedelta(minutes=1),
    "TOO_MANY_APEX_REQUESTS": timedelta(minutes=1),
    "STORAGE_LIMIT_EXCEEDED": timedelta(hours=1),
}
UNPROCESSED = frozenset({"INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "TOO_MANY_APEX_REQUESTS"})
"""Codes that say of a write that it was refused before anything of it was processed, whatever the status."""

BY_STATUS = {
    401: "the session is refused: check the connected app and its run-as user",
    403: "access is refused: check the permissions of the integration user, then run crm_provision__{connection}",
    404: "the address is not served: check the instance address and the API version of the connection",
    410: "the API version is retired: raise it in the connection's settings",
}
HIDDEN_FIELD = re.compile(r"No such column '([^']+)'")
UNFILTERABLE = re.compile(r"field '?([A-Za-z0-9_]+)'? can ?not be filtered", re.IGNORECASE)


def call_error(status: int, body: object, *, writes: bool, what: str, connection: str) -> SyncError:
    """The error that a reply to a whole call or to one of its sub-requests stands for.

    For a write every answer but Unanswered says that nothing of it was processed.
    """
    errors = vendor_errors(body)
    first = errors[0] if errors else VendorError(f"HTTP {status}", "no error body")
    # A query error repeats the whole query, with people's addresses in it; the words come after its place.
    words = " ".join(first.message.rpartition("ERROR at ")[2].split())[:500]
    said = f"{what}: Salesforce answered {status} {first.code}: {words}"
    if first.code == "REQUEST_LIMIT_EXCEEDED":
        return _limit(first.message, said, writes=writes)
    if first.code == "INVALID_SESSION_ID" or status == 401:
        return SessionExpired(f"{said}; {_session_remedy(first.message)}")
    if first.code == "INVALID_QUERY_LOCATOR":
        return IncompleteRead(f"{said}; the pages that were left are gone: the read begins again")
    if first.code not in STOPPED and (status in BUSY or status >= 500 or first.code in LATER):
        return _busy(status, first.code, said, writes=writes)
    stop = Missing if first.code == "NOT_FOUND" else Misconfigured
    return stop(f"{said}; {_remedy(status, first).replace('{connection}', connection)}")


def _limit(message: str, said: str, *, writes: bool) -> SyncError:
    # One code for two limits; only the message tells them apart (facts/salesforce.md 3.1).
    if "concurrent" in message.lower():
        later = NotSent if writes else RetryLater
        return later(f"{said}; too many long calls run in the org at this moment", timedelta(seconds=20))
    return BudgetExhausted(
        f"{said}; the org's own calls of 24 hours are used up, by us and all other applications: it frees up as the "
        "window rolls on; lower the budget of this connection or buy calls if it happens again",
        FIRST_LOOK,
    )


def _busy(status: int, code: str, said: str, *, writes: bool) -> SyncError:
    after = LATER.get(code, timedelta(seconds=30))
    if not writes:
        return RetryLater(f"{said}; it is asked again later", after)
    if code in UNPROCESSED or status in REFUSED_BUSY or status < 500:
        return NotSent(f"{said}; nothing was written, it is sent again later", after)
    return Unanswered(f"{said}; whether it was written is not known, the next reads will show it")


def _session_remedy(message: str) -> str:
    if "not valid for use with the REST API" in message:
        return "the connected app lacks the scope 'api': add 'Manage user data via APIs (api)' to it"
    return "a new session is refused as well: check the connected app and its run-as user"


def _remedy(status: int, error: VendorError) -> str:
    if error.code in STOPPED:
        return STOPPED[error.code]
    if error.code == "INVALID_FIELD":
        return _field_remedy(error.message)
    if 300 <= status < 400:
        return "the org's address has moved: enter its My Domain address in the connection"
    return BY_STATUS.get(status, "Salesforce does not understand this call: report it with this message")


def _field_remedy(message: str) -> str:
    if hidden := HIDDEN_FIELD.search(message):
        field = f"field {hidden.group(1)} is missing or hidden for the integration user"
        return (
            f"{field}; a dry run of {PROVISION} says what changed in the org, and a run of it makes it anew"
        )
    if unfilterable := UNFILTERABLE.search(message):
        return f"records can't be looked up by field {unfilterable.group(1)}; take it out of 'match' in the mapping file"
    return f"compare the field names in the mapping files with the org's; a dry run of {PROVISION} does that"
