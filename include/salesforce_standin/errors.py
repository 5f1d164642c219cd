"""What goes wrong, in the two spellings of the API: top-level replies say errorCode, rows in a list say statusCode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STATUS = {
    "ENTITY_IS_DELETED": 404,
    "NOT_FOUND": 404,
    "INSUFFICIENT_ACCESS_OR_READONLY": 403,
    "INSUFFICIENT_ACCESS": 403,
    # Seen as 500 on a single PATCH, unlike every other row error (facts/salesforce.md 6).
    "UNABLE_TO_LOCK_ROW": 500,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a row. ``fields`` is None where the top-level spelling has no such key."""

    code: str
    message: str
    fields: tuple[str, ...] | None = ()
    # What a single-row reply says beyond that.
    more: dict[str, Any] | None = None

    def as_item(self) -> dict[str, Any]:
        """Spell it as an entry of a row's own error list."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}

    def as_reply(self) -> dict[str, Any]:
        """Spell it as an entry of a top-level error body."""
        if self.more is not None:
            return {**self.more, "errorCode": self.code, "message": self.message}
        if self.code == "NOT_FOUND":
            return {"errorCode": self.code, "message": self.message}
        body: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        if self.fields is not None:
            body["fields"] = list(self.fields)
        return body


class RowError(Exception):
    """A row that can't be written, with every reason."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


class ApiError(Exception):
    """A request that fails as a whole."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


def fail(status: int, code: str, message: str, fields: Sequence[str] | None = None) -> ApiError:
    """Return the error of a request with one reason."""
    return ApiError(status, [Fault(code, message, None if fields is None else tuple(fields)).as_reply()])


def fail_row(faults: Sequence[Fault]) -> ApiError:
    """Return the error of a single-row request: the status follows from the first reason."""
    return ApiError(_STATUS.get(faults[0].code, 400), [fault.as_reply() for fault in faults])


NOT_FOUND = Fault("NOT_FOUND", "The requested resource does not exist")
DELETED = Fault("ENTITY_IS_DELETED", "entity is deleted")


def not_found() -> ApiError:
    """Return the reply to an address that names nothing."""
    return fail_row([NOT_FOUND])


def no_session(message: str = "Session expired or invalid") -> ApiError:
    """Return the reply to a token that is unknown, has run out, or is not good for this API."""
    return ApiError(
        401,
        [Fault("INVALID_SESSION_ID", message, None).as_reply()],
        {"WWW-Authenticate": "Token"},
    )
