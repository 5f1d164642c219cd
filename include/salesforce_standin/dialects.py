"""Errors of the REST API in the words of the other APIs, for faults that hit those."""

from __future__ import annotations

from salesforce_standin import metadata_envelope
from salesforce_standin.bulk import envelopes
from salesforce_standin.errors import ApiError
from salesforce_standin.http_call import Incoming, Reply

_BULK_CODES = {
    "INVALID_SESSION_ID": "InvalidSessionId",
    "REQUEST_LIMIT_EXCEEDED": "ExceededQuota",
    "API_DISABLED_FOR_ORG": "FeatureNotEnabled",
    "QUERY_TIMEOUT": "Timeout",
}


def spoken(incoming: Incoming, reply: Reply) -> Reply:
    """Return an error as the API that a request is for spells it; pages and other bodies stay as they are."""
    body = reply.body
    if not (isinstance(body, list) and body and isinstance(body[0], dict) and "errorCode" in body[0]):
        return reply
    code, message = str(body[0]["errorCode"]), str(body[0].get("message", ""))
    if incoming.path.startswith("/services/Soap/"):
        return _reply(metadata_envelope.fault(code, message))
    if incoming.path.startswith("/services/async/"):
        is_json = incoming.headers.get("content-type", "").lower().startswith(envelopes.JSON_TYPE)
        code = _BULK_CODES.get(code, "Unknown")
        status = 400 if reply.status == 401 else reply.status
        return _reply(envelopes.error(code, message, json=is_json, status=status))
    return reply


def _reply(error: ApiError) -> Reply:
    return Reply(error.status, error.body, error.headers)
