"""What a reply to a whole call means, with the bodies that real orgs sent (facts/salesforce.md 3.1 and 6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from crm_sync.access.replies import VendorError, call_error, vendor_errors
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

NO_COLUMN = (
    "\nSELECT Id, Nope__c FROM Contact WHERE Email IN ('someone@example.com')\n           ^\n"
    "ERROR at Row:1:Column:12\nNo such column 'Nope__c' on entity 'Contact'. If you are attempting to use a custom "
    "field, be sure to append the '__c' after the custom field name."
)
NO_TYPE = "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\nsObject type 'XYZZY' is not supported."


def error_of(status: int, code: str, message: str = "", *, writes: bool = False) -> SyncError:
    body = [{"errorCode": code, "message": message}] if code else None
    return call_error(status, body, writes=writes, what="POST /composite", connection="salesforce_main")


@pytest.mark.parametrize(
    ("status", "code", "message", "reading", "writing"),
    [
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", BudgetExhausted, BudgetExhausted),
        (
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
            RetryLater,
            NotSent,
        ),
        (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded", RetryLater, NotSent),
        (401, "INVALID_SESSION_ID", "Session expired or invalid", SessionExpired, SessionExpired),
        (401, "", "", SessionExpired, SessionExpired),
        (
            403,
            "API_DISABLED_FOR_ORG",
            "API is not enabled for this Organization or Partner",
            Misconfigured,
            Misconfigured,
        ),
        (403, "API_CURRENTLY_DISABLED", "API is disabled for this User", Misconfigured, Misconfigured),
        (503, "SERVER_UNAVAILABLE", "Server is too busy", RetryLater, Unanswered),
        (503, "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "read-only", RetryLater, NotSent),
        (500, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", RetryLater, Unanswered),
        (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", RetryLater, NotSent),
        (400, "QUERY_TIMEOUT", "Your query request was running for too long.", RetryLater, NotSent),
        (400, "INVALID_QUERY_LOCATOR", "invalid query locator", IncompleteRead, IncompleteRead),
        (400, "INVALID_FIELD", NO_COLUMN, Misconfigured, Misconfigured),
        (400, "INVALID_TYPE", NO_TYPE, Misconfigured, Misconfigured),
        (400, "MALFORMED_QUERY", "unexpected token: 'FORM'", Misconfigured, Misconfigured),
        (400, "JSON_PARSER_ERROR", "Unexpected character", Misconfigured, Misconfigured),
        (404, "NOT_FOUND", "The requested resource does not exist", Missing, Missing),
        (410, "UNSUPPORTED_API_VERSION", "gone", Misconfigured, Misconfigured),
        (414, "", "", Misconfigured, Misconfigured),
        (420, "", "", RetryLater, NotSent),
        (429, "", "", RetryLater, NotSent),
        (500, "", "", RetryLater, Unanswered),
        (502, "", "", RetryLater, Unanswered),
        (504, "", "", RetryLater, Unanswered),
        (599, "", "", RetryLater, Unanswered),
        (302, "", "", Misconfigured, Misconfigured),
    ],
)
def test_what_to_do_next(
    status: int, code: str, message: str, reading: type[SyncError], writing: type[SyncError]
) -> None:
    assert type(error_of(status, code, message)) is reading
    assert type(error_of(status, code, message, writes=True)) is writing


def test_a_hidden_field_is_named_with_its_remedy() -> None:
    text = str(error_of(400, "INVALID_FIELD", NO_COLUMN))
    assert (
        "field Nope__c is missing or hidden for the integration user; a dry run of crm_provision__salesforce_main"
        in text
    )


def test_a_query_error_does_not_repeat_the_query() -> None:
    assert "someone@example.com" not in str(error_of(400, "INVALID_FIELD", NO_COLUMN))


def test_an_unfilterable_match_column_is_named() -> None:
    text = str(error_of(400, "INVALID_FIELD", "field 'Description' can not be filtered in a query call"))
    assert "looked up by field Description" in text


def test_a_used_up_day_waits_longer_than_a_busy_moment() -> None:
    day = error_of(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
    moment = error_of(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded.")
    assert isinstance(day, BudgetExhausted)
    assert isinstance(moment, RetryLater)
    assert day.resume_after >= timedelta(minutes=5) > moment.after


def test_a_missing_scope_says_so() -> None:
    assert "scope 'api'" in str(
        error_of(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
    )


@pytest.mark.parametrize(
    "body",
    [None, b"", "<html>", {}, [], [None], [{"message": "no code"}], {"error": "x"}, 7],
    ids=repr,
)
def test_bodies_of_unknown_shape_have_no_errors(body: object) -> None:
    assert vendor_errors(body) == ()
    assert isinstance(call_error(500, body, writes=True, what="w", connection="c"), Unanswered)


def test_both_shapes_of_an_error_are_read() -> None:
    assert vendor_errors([{"errorCode": "A", "message": "m"}]) == (VendorError("A", "m"),)
    assert vendor_errors([{"statusCode": "B", "message": "m", "fields": ["X"]}]) == (
        VendorError("B", "m", ("X",)),
    )
