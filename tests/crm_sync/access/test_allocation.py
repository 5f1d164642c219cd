"""What the transport tells the meter of each reply, and how it asks the org for its limits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crm_sync.access.reply import allocation
from crm_sync.access.transport import MeteredSession
from crm_sync.errors import BudgetExhausted, RetryLater
from crm_sync.model import ApiUsage
from tests.crm_sync.access.conftest import Answer, Book, FakeLogin, Server

QUERY = "/services/data/v66.0/query"
HEADER = {"Sforce-Limit-Info": "api-usage=13490/15000", "Date": "Sun, 01 Mar 2026 05:00:00 GMT"}
EXACT = {
    "DailyApiRequests": {"Max": 15000, "Remaining": 1505},
    "DailyBulkApiBatches": {"Max": 1, "Remaining": 1},
}


def read(login: FakeLogin, book: Book) -> Any:
    with MeteredSession(login, book, attempts=1) as session:
        return session.call("GET", QUERY, purpose="sync").body


def test_each_reply_tells_the_time_of_the_org_and_its_calls(
    server: Server, login: FakeLogin, book: Book
) -> None:
    server.script = [Answer(headers=HEADER)]
    read(login, book)
    assert book.times == [datetime(2026, 3, 1, 5, 0, tzinfo=UTC)]
    assert book.usages == [(ApiUsage(13_490, 15_000), False)]


@pytest.mark.parametrize(
    ("limit", "told", "expected"),
    [
        ("TotalRequests", ApiUsage(15_000, 15_000), BudgetExhausted),
        ("ConcurrentRequests (Concurrent API Requests)", ApiUsage(13_490, 15_000), RetryLater),
    ],
)
def test_a_refusal_because_of_the_days_calls_says_that_none_is_left(
    server: Server, login: FakeLogin, book: Book, limit: str, told: ApiUsage, expected: type[Exception]
) -> None:
    error = {"message": f"{limit} Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    server.script = [Answer(403, [error], HEADER)]
    with pytest.raises(expected):
        read(login, book)
    assert book.usages == [(told, False)]


def test_in_doubt_limits_is_asked_before_the_next_call(server: Server, login: FakeLogin, book: Book) -> None:
    server.script = [Answer(body=EXACT, headers=HEADER), Answer(body={"done": True})]
    book.doubts = True
    assert read(login, book) == {"done": True}
    assert [seen.path for seen in server.seen] == ["/services/data/v66.0/limits", QUERY]
    assert book.purposes == ["limits", "sync"]
    assert book.usages[:2] == [(ApiUsage(13_490, 15_000), False), (ApiUsage(13_495, 15_000), True)]


def test_who_may_not_see_the_limits_goes_by_the_replies(server: Server, login: FakeLogin, book: Book) -> None:
    refused = [{"message": "no", "errorCode": "API_DISABLED_FOR_ORG"}]
    server.script = [Answer(403, refused), Answer(body={"done": True})]
    book.doubts = True
    assert read(login, book) == {"done": True}
    assert book.usages[1] == (None, True)


@pytest.mark.parametrize("body", [None, {}, [], {"DailyApiRequests": {"Max": "15000", "Remaining": None}}])
def test_limits_that_do_not_say_it(body: object) -> None:
    assert allocation(body) is None
