"""Logging in over a real socket: the grant, its refusals with what helps, and whose session it is."""

from __future__ import annotations

import logging
import threading
from urllib.parse import parse_qs

import pytest

from crm_sync.access.login import Session, trusted_address
from crm_sync.access.oauth import REMEDIES, ClientCredentials, Identity, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.errors import Misconfigured, RetryLater, SyncError
from tests.crm_sync.access.conftest import Answer, Book, Server

ID = "https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS"


def granted(server: Server, token: str = "00Dxx!one") -> Answer:
    body = {"access_token": token, "instance_url": server.address, "id": ID, "token_type": "Bearer"}
    return Answer(body={**body, "issued_at": "1763769600000"})


@pytest.fixture
def client(server: Server) -> ClientCredentials:
    return ClientCredentials(server.address, "consumer-key", "consumer-SECRET")


def test_the_grant_sends_key_and_secret_in_the_body(server: Server, client: ClientCredentials) -> None:
    server.script = [granted(server)]
    assert client.token() == Session("00Dxx!one", server.address, ID)
    [seen] = server.seen
    assert (seen.method, seen.path) == ("POST", "/services/oauth2/token")
    assert parse_qs(seen.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["consumer-key"],
        "client_secret": ["consumer-SECRET"],
    }


def test_a_session_is_fetched_once(server: Server, client: ClientCredentials) -> None:
    server.script = [granted(server)]
    assert client.token() is client.token()
    assert len(server.seen) == 1


def test_only_the_first_of_many_renews(server: Server, client: ClientCredentials) -> None:
    server.script = [granted(server), granted(server, "00Dxx!two")]
    refused = client.token()
    got: list[Session] = []
    threads = [threading.Thread(target=lambda: got.append(client.renew(refused))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {session.access_token for session in got} == {"00Dxx!two"}
    assert len(server.seen) == 2


@pytest.mark.parametrize("code", [*REMEDIES, "something_new"])
def test_a_refusal_says_what_helps(server: Server, client: ClientCredentials, code: str) -> None:
    server.script = [Answer(400, {"error": code, "error_description": "as Salesforce words it"})]
    with pytest.raises(Misconfigured, match=f"{code}.*as Salesforce words it.*; ") as caught:
        client.token()
    assert "SECRET" not in str(caught.value)


def test_too_many_log_ins_wait(server: Server, client: ClientCredentials) -> None:
    server.script = [
        Answer(400, {"error": "rate_limit_exceeded", "error_description": "login rate exceeded"})
    ]
    with pytest.raises(RetryLater, match="too many log-ins"):
        client.token()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(503, b"<html>"), RetryLater),
        (Answer(act="reset"), RetryLater),
        (Answer(200, b"<html>a login page</html>"), Misconfigured),
        (Answer(200, {"access_token": "00Dxx!one"}), Misconfigured),
        (Answer(404, b"not here"), Misconfigured),
    ],
    ids=str,
)
def test_an_address_without_an_org(
    server: Server, client: ClientCredentials, answer: Answer, expected: type[SyncError]
) -> None:
    server.script = [answer]
    with pytest.raises(expected, match="127"):
        client.token()


def test_an_unreachable_address_is_named() -> None:
    with pytest.raises(RetryLater, match=r"no-such-org\.invalid"):
        ClientCredentials("https://no-such-org.invalid", "k", "s").token()


def test_no_secret_in_logs_or_reprs(
    server: Server, client: ClientCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [granted(server)]
    with caplog.at_level(logging.DEBUG):
        session = client.token()
    told = caplog.text + repr(client) + repr(session) + str(session)
    assert "SECRET" not in told
    assert "00Dxx!one" not in told


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://acme.my.salesforce.com/", "https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com", "https://acme.my.salesforce.com"),
        ("https://acme.my.salesforce.com/services/oauth2/token", "https://acme.my.salesforce.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_addresses_that_are_trusted(address: str, kept: str) -> None:
    assert trusted_address(address) == kept


@pytest.mark.parametrize(
    "address",
    [
        "http://acme.my.salesforce.com",
        "http://10.0.0.1",
        "ftp://acme",
        "",
        "https://",
        "https://u:p@acme",
        "http://127.0.0.1.evil.example",
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        trusted_address(address)
    assert "u:p" not in str(caught.value)


def test_whose_session_it_is_stands_in_the_token_reply(server: Server, client: ClientCredentials) -> None:
    server.script = [granted(server)]
    book = Book()
    assert identity(MeteredSession(client, book)) == Identity("005xx000001SwiUAAS", "00Dxx0000001gPLEAY")
    assert (len(server.seen), book.purposes) == (1, [])


def test_else_userinfo_is_asked_and_not_booked(server: Server, client: ClientCredentials) -> None:
    body = {"access_token": "t", "instance_url": server.address}
    server.script = [Answer(body=body), Answer(body={"user_id": "005", "organization_id": "00D"})]
    book = Book()
    assert identity(MeteredSession(client, book)) == Identity("005", "00D")
    assert (server.seen[1].path, book.purposes) == ("/services/oauth2/userinfo", [])


def test_userinfo_with_a_dead_session_is_asked_with_a_new_one(
    server: Server, client: ClientCredentials
) -> None:
    body = {"access_token": "t", "instance_url": server.address}
    bad = Answer(403, b"Bad_OAuth_Token")
    server.script = [
        Answer(body=body),
        bad,
        Answer(body={**body, "access_token": "u"}),
        Answer(body={"user_id": "005", "organization_id": "00D"}),
    ]
    assert identity(MeteredSession(client, Book())).user_id == "005"
