"""The metered transport over a real socket: what is booked, replayed, retried, refused and kept secret."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from simple_salesforce.api import Salesforce

from crm_sync.access.transport import ApiUsage, MeteredSession
from crm_sync.errors import (
    BudgetExhausted,
    Misconfigured,
    NotSent,
    RetryLater,
    SessionExpired,
    SyncError,
    Unanswered,
)
from tests.crm_sync.access.conftest import ERRORS_401, Answer, Book, FakeLogin, Server

QUERY = "/services/data/v66.0/queryAll"
COMPOSITE = "/services/data/v66.0/composite"

Make = Callable[..., MeteredSession]


@pytest.fixture
def make(login: FakeLogin, book: Book) -> Make:
    def make(**settings: object) -> MeteredSession:
        return MeteredSession(login, book, sleep=lambda _seconds: None, **settings)  # type: ignore[arg-type]

    return make


def write(session: MeteredSession, deadline: float | None = None) -> object:
    return session.call("POST", COMPOSITE, json={"a": 1}, purpose="sync", writes=True, deadline=deadline).body


def read(session: MeteredSession) -> object:
    return session.call("GET", QUERY, params={"q": "SELECT Id FROM Contact"}, purpose="sync").body


# ------------------------------------------------------------------------------------------------ a good call


def test_a_call_carries_the_session_and_is_booked(server: Server, make: Make, book: Book) -> None:
    server.script = [Answer(body={"done": True}, headers={"Sforce-Limit-Info": "api-usage=10018/100000"})]
    session = make()
    assert read(session) == {"done": True}
    [seen] = server.seen
    assert seen.headers["Authorization"] == "Bearer 00Dtest!SECRET-TOKEN-0"
    assert seen.path == f"{QUERY}?q=SELECT+Id+FROM+Contact"
    assert book.purposes == ["sync"]
    assert session.usage == ApiUsage(10018, 100000)


def test_the_reply_tells_the_servers_clock(server: Server, make: Make) -> None:
    reply = make().call("GET", QUERY, purpose="sync")
    assert abs(reply.server_date - datetime.now(UTC)) < timedelta(seconds=3)
    assert timedelta(0) < reply.took < timedelta(seconds=3)
    assert abs(reply.sent_at - datetime.now(UTC)) < timedelta(seconds=3)


def test_only_a_read_needs_the_servers_clock(server: Server, make: Make) -> None:
    server.script = [Answer(body={"written": True}, headers={"Date": "no date"})]
    assert write(make()) == {"written": True}
    with pytest.raises(RetryLater, match="no Date"):
        read(make())


def test_an_empty_answer_has_no_body(server: Server, make: Make) -> None:
    server.script = [Answer(status=204, body=b"")]
    assert write(make()) is None


def test_a_character_that_postgres_can_not_hold_is_left_out(server: Server, make: Make) -> None:
    server.script = [Answer(body={"a": ["x\0y", {"b": "\\u0000"}], "n": 1})]
    assert read(make()) == {"a": ["xy", {"b": "\\u0000"}], "n": 1}


def test_a_download_has_neither_it_nor_a_byte_order_mark(server: Server, make: Make) -> None:
    server.script = [Answer(body='\ufeff"Id",Title\n1,a\0b\n'.encode())]
    with make().download(QUERY, params={}, purpose="sync") as reply:
        assert list(reply.lines) == ['"Id",Title\n', "1,ab\n"]


@pytest.mark.parametrize(
    ("path", "booked"),
    [
        ("/services/data/", 0),
        ("/services/data", 0),
        ("/services/oauth2/userinfo", 0),
        ("/services/data/v66.0/limits", 1),
        ("/services/data/v66.0/", 1),
    ],
)
def test_only_what_salesforce_counts_is_booked(make: Make, book: Book, path: str, booked: int) -> None:
    make().call("GET", path, purpose="sync")
    assert len(book.purposes) == booked


def test_a_refused_budget_stops_the_call(server: Server, login: FakeLogin) -> None:
    def refuse() -> None:
        raise BudgetExhausted("15,000 calls are used", timedelta(hours=1))

    with pytest.raises(BudgetExhausted):
        read(MeteredSession(login, Book(refuse)))
    assert server.seen == []


# -------------------------------------------------------------------------------------------------- sessions


@pytest.mark.parametrize("call", [read, write])
def test_a_dead_session_is_renewed_once_and_the_call_replayed(
    server: Server, make: Make, login: FakeLogin, book: Book, call: Callable[[MeteredSession], object]
) -> None:
    server.script = [Answer(401, ERRORS_401), Answer(body={"fine": True})]
    assert call(make()) == {"fine": True}
    assert [s.headers["Authorization"][-1] for s in server.seen] == ["0", "1"]
    assert (login.renewed, len(book.purposes)) == (1, 2)


@pytest.mark.parametrize("call", [read, write])
def test_a_session_that_stays_dead_ends_the_call(
    server: Server, make: Make, login: FakeLogin, call: Callable[[MeteredSession], object]
) -> None:
    server.script = [Answer(401, ERRORS_401)]
    with pytest.raises(SessionExpired, match="connected app"):
        call(make())
    assert (len(server.seen), login.renewed) == (2, 1)


def test_a_read_that_is_asked_again_renews_its_session_once(
    server: Server, make: Make, login: FakeLogin
) -> None:
    server.script = [Answer(401, ERRORS_401), Answer(503), Answer(401, ERRORS_401)]
    with pytest.raises(SessionExpired):
        read(make())
    assert (len(server.seen), login.renewed) == (3, 1)


def test_a_missing_scope_is_not_renewed(server: Server, make: Make, login: FakeLogin) -> None:
    message = "This session is not valid for use with the REST API"
    server.script = [Answer(401, [{"message": message, "errorCode": "INVALID_SESSION_ID"}])]
    with pytest.raises(SessionExpired, match="scope 'api'"):
        read(make())
    assert login.renewed == 0


# ------------------------------------------------------------------------------------------- reads and writes


@pytest.mark.parametrize("trouble", [Answer(503), Answer(420), Answer(429), Answer(502), Answer(act="reset")])
def test_a_read_is_asked_again_and_each_try_is_booked(
    server: Server, make: Make, book: Book, trouble: Answer
) -> None:
    server.script = [trouble, trouble, Answer(body={"done": True})]
    assert read(make()) == {"done": True}
    assert (len(server.seen), len(book.purposes)) == (3, 3)


def test_a_read_gives_up_after_its_attempts(server: Server, make: Make) -> None:
    server.script = [Answer(503, [{"message": "Server is too busy", "errorCode": "SERVER_UNAVAILABLE"}])]
    with pytest.raises(RetryLater, match="Server is too busy") as caught:
        read(make(attempts=3))
    assert len(server.seen) == 3
    assert not isinstance(caught.value, NotSent)


def test_the_pauses_between_tries_grow(server: Server, login: FakeLogin, book: Book) -> None:
    pauses: list[float] = []
    server.script = [Answer(503)]
    with pytest.raises(RetryLater):
        read(MeteredSession(login, book, sleep=pauses.append))
    assert len(pauses) == 4
    assert pauses[0] < 1.1
    assert pauses[3] > 3.5


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (Answer(act="reset"), Unanswered),
        (Answer(body={"long": "x" * 1000}, act="truncate"), Unanswered),
        (Answer(body=b"<html>gateway</html>"), Unanswered),
        (Answer(500, b"<html>"), Unanswered),
        (Answer(502), Unanswered),
        (Answer(503), Unanswered),
        (Answer(504), Unanswered),
        (Answer(420), NotSent),
        (Answer(429), NotSent),
    ],
    ids=str,
)
def test_a_write_is_never_repeated(
    server: Server, make: Make, book: Book, trouble: Answer, expected: type[SyncError]
) -> None:
    server.script = [trouble]
    with pytest.raises(expected):
        write(make())
    assert (len(server.seen), len(book.purposes)) == (1, 1)


def test_a_write_without_an_answer_in_time_is_in_doubt(server: Server, make: Make) -> None:
    server.script = [Answer(act="hang")]
    with pytest.raises(Unanswered, match="no answer within the time-out"):
        write(make(read_timeout=0.2))
    assert len(server.seen) == 1


@pytest.mark.parametrize(("call", "expected"), [(read, RetryLater), (write, NotSent)])
def test_a_refused_connection_sent_nothing(
    book: Book, call: Callable[[MeteredSession], object], expected: type[SyncError]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(expected, match="connection was refused"):
        call(MeteredSession(FakeLogin(address), book, sleep=lambda _: None))


@pytest.mark.parametrize(("call", "expected"), [(read, RetryLater), (write, NotSent)])
def test_tls_that_fails_sent_nothing(
    server: Server, book: Book, call: Callable[[MeteredSession], object], expected: type[SyncError]
) -> None:
    login = FakeLogin(server.address.replace("http:", "https:"))
    with pytest.raises(expected):
        call(MeteredSession(login, book, attempts=1))


def test_an_unknown_name_sent_nothing(book: Book) -> None:
    with pytest.raises(NotSent, match="name is not known"):
        write(MeteredSession(FakeLogin("https://no-such-org.invalid"), book))


@pytest.mark.parametrize("call", [read, write])
def test_the_two_limits_of_one_code_are_told_apart(
    server: Server, make: Make, call: Callable[[MeteredSession], object]
) -> None:
    code = "REQUEST_LIMIT_EXCEEDED"
    server.script = [Answer(403, [{"message": "TotalRequests Limit exceeded.", "errorCode": code}])]
    with pytest.raises(BudgetExhausted, match="24 hours"):
        call(make())
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    server.script = [Answer(403, [{"message": text, "errorCode": code}])]
    with pytest.raises(NotSent if call is write else RetryLater, match="at this moment"):
        call(make())


def test_a_redirect_is_not_followed(server: Server, make: Make) -> None:
    server.script = [Answer(302, b"", {"Location": "https://elsewhere.example/"})]
    with pytest.raises(Misconfigured, match="My Domain"):
        read(make())
    assert len(server.seen) == 1


# ------------------------------------------------------------------------------------------------- deadlines


def test_a_write_whose_answer_could_be_late_is_not_sent(server: Server, make: Make, book: Book) -> None:
    session = make(monotonic=lambda: 1000.0, read_timeout=50.0)
    with pytest.raises(NotSent, match="claim"):
        write(session, deadline=1060.0)  # 10 s to connect and 50 s to answer could be just too long
    assert (server.seen, book.purposes) == ([], [])
    write(session, deadline=1060.1)
    assert len(server.seen) == 1


def test_the_deadline_is_checked_after_the_booking_too(server: Server, login: FakeLogin) -> None:
    now = 1000.0

    def slow_booking() -> None:
        nonlocal now
        now += 100

    session = MeteredSession(login, Book(slow_booking), monotonic=lambda: now, read_timeout=50.0)
    with pytest.raises(NotSent):
        write(session, deadline=1100.0)
    assert server.seen == []


def test_a_replay_keeps_the_deadline(server: Server, login: FakeLogin, book: Book) -> None:
    clock = iter([1000.0, 1000.0, 1999.0])
    server.script = [Answer(401, ERRORS_401), Answer()]
    session = MeteredSession(login, book, monotonic=lambda: next(clock), read_timeout=50.0)
    with pytest.raises(NotSent):
        write(session, deadline=2000.0)
    assert len(server.seen) == 1


# --------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(401, ERRORS_401),
        Answer(400, [{"message": "bad", "errorCode": "JSON_PARSER_ERROR"}]),
        Answer(500, b"<html>"),
        Answer(act="reset"),
        Answer(body={"x": 1}, act="truncate"),
    ],
    ids=str,
)
def test_no_token_in_messages_logs_or_reprs(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture, trouble: Answer
) -> None:
    server.script = [trouble]
    session = make(attempts=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(SyncError) as caught:
        write(session)
    told = [str(caught.value), repr(caught.value), caplog.text, repr(session), repr(session.login.token())]
    assert "SECRET" not in "".join(told)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_error_does_not_repeat_the_query(server: Server, make: Make) -> None:
    server.script = [Answer(act="reset")]
    with pytest.raises(RetryLater) as caught:
        make(attempts=1).call("GET", QUERY, params={"q": "Email = 'someone@example.com'"}, purpose="sync")
    assert "someone" not in str(caught.value)


def test_the_token_goes_to_its_own_instance_only(server: Server, make: Make) -> None:
    with pytest.raises(Misconfigured, match="was stopped"):
        make().get("https://elsewhere.example/services/data/v66.0/limits")
    assert server.seen == []


def test_plain_http_off_this_machine_is_refused(book: Book) -> None:
    with pytest.raises(Misconfigured, match="plain http"):
        read(MeteredSession(FakeLogin("http://org.example"), book))
    assert book.purposes == []


# ----------------------------------------------------------------------------------------- simple-salesforce


def test_simple_salesforce_is_metered_and_reaches_plain_http(server: Server, make: Make, book: Book) -> None:
    server.script = [Answer(body={"totalSize": 0, "done": True, "records": []})]
    client = Salesforce(
        session=make(purpose="agent"), instance_url=server.address, session_id="stale", version="66.0"
    )
    assert client.query("SELECT Id FROM Contact")["totalSize"] == 0
    assert server.seen[0].headers["Authorization"] == "Bearer 00Dtest!SECRET-TOKEN-0"
    assert book.purposes == ["agent"]


def test_simple_salesforce_does_not_recurse_on_a_persistent_401(server: Server, make: Make) -> None:
    server.script = [Answer(401, ERRORS_401)]
    client = Salesforce(session=make(), instance_url=server.address, session_id="stale", version="66.0")
    with pytest.raises(SessionExpired):
        client.query("SELECT Id FROM Contact")
    assert len(server.seen) == 2


def test_a_create_by_simple_salesforce_is_not_repeated(server: Server, make: Make) -> None:
    server.script = [Answer(act="reset")]
    client = Salesforce(session=make(), instance_url=server.address, session_id="stale", version="66.0")
    with pytest.raises(Unanswered):
        client.restful("sobjects/Contact", method="POST", json={"LastName": "A"})
    assert len(server.seen) == 1


def test_the_bulk_api_of_simple_salesforce_gets_the_present_session(server: Server, make: Make) -> None:
    headers = {"X-SFDC-Session": "stale"}
    make().post(server.address + "/services/async/66.0/job", headers=headers, data=b"{}")
    assert server.seen[0].headers["X-SFDC-Session"] == "00Dtest!SECRET-TOKEN-0"
