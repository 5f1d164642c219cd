"""Logging in over a real socket: the grant, its refusals with what helps, and whose session it is."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey

from crm_sync.access import oauth
from crm_sync.access.app import App, GrantName
from crm_sync.access.grant_errors import REMEDIES, grant_error
from crm_sync.access.login import MemoryLogin, Session, trusted_address
from crm_sync.access.oauth import Identity, OAuthEndpoint, Tokens, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.errors import Misconfigured, NotSent, ReconnectNeeded, RetryLater, SyncError
from tests.crm_sync.access.conftest import Answer, Book, Server

ID = "https://login.salesforce.com/id/00Dxx0000001gPLEAY/005xx000001SwiUAAS"


def granted(server: Server, token: str = "00Dxx!one") -> Answer:
    body = {"access_token": token, "instance_url": server.address, "id": ID, "token_type": "Bearer"}
    return Answer(body={**body, "issued_at": "1763769600000"})


def app(server: Server, **more: Any) -> App:
    return App(server.address, "consumer-key", "consumer-SECRET", **more)


@pytest.fixture
def endpoint(server: Server) -> OAuthEndpoint:
    return OAuthEndpoint(app(server))


@pytest.fixture
def client(endpoint: OAuthEndpoint) -> MemoryLogin:
    return MemoryLogin(lambda: endpoint.fetch().session)


def test_the_grant_sends_key_and_secret_in_the_body(server: Server, client: MemoryLogin) -> None:
    server.script = [granted(server)]
    assert client.token() == Session("00Dxx!one", server.address, ID)
    [seen] = server.seen
    assert (seen.method, seen.path) == ("POST", "/services/oauth2/token")
    assert parse_qs(seen.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["consumer-key"],
        "client_secret": ["consumer-SECRET"],
    }


def test_a_session_is_fetched_once(server: Server, client: MemoryLogin) -> None:
    server.script = [granted(server)]
    assert client.token() is client.token()
    assert len(server.seen) == 1


def test_only_the_first_of_many_renews(server: Server, client: MemoryLogin) -> None:
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
def test_a_refusal_says_what_helps(server: Server, client: MemoryLogin, code: str) -> None:
    server.script = [Answer(400, {"error": code, "error_description": "as Salesforce words it"})]
    with pytest.raises(Misconfigured, match=f"{code}.*as Salesforce words it.*; ") as caught:
        client.token()
    assert "SECRET" not in str(caught.value)


# ------------------------------------------------------------------------------------------- the other grants

REFRESHED = {"access_token": "00Dxx!two", "id": ID}


def form(server: Server, place: int = 0) -> dict[str, str]:
    return dict(parse_qsl(server.seen[place].body.decode()))


def test_the_address_for_the_browser_has_the_challenge_and_not_the_verifier(endpoint: OAuthEndpoint) -> None:
    verifier = "v" * 64
    url = urlsplit(
        endpoint.authorize_url("the-state", verifier, "https://airflow.example/crm-sync/oauth/callback")
    )
    assert url.path == "/services/oauth2/authorize"
    assert dict(parse_qsl(url.query)) == {
        "response_type": "code", "client_id": "consumer-key", "state": "the-state", "scope": "api refresh_token", "prompt": "login",
        "redirect_uri": "https://airflow.example/crm-sync/oauth/callback",
        "code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256",
    }  # fmt: skip
    assert verifier not in url.query


def test_the_code_is_exchanged_with_its_verifier(server: Server, endpoint: OAuthEndpoint) -> None:
    server.script = [Answer(body={**REFRESHED, "instance_url": server.address, "refresh_token": "5Aep-new"})]
    tokens = endpoint.exchange("the-code", "the-verifier", "https://airflow.example/callback")
    assert tokens == Tokens("00Dxx!two", server.address, ID, "5Aep-new")
    assert form(server) == {
        "grant_type": "authorization_code", "code": "the-code", "code_verifier": "the-verifier",
        "redirect_uri": "https://airflow.example/callback", "client_id": "consumer-key",
        "client_secret": "consumer-SECRET",
    }  # fmt: skip


def test_a_grant_without_refresh_token_names_the_scope(server: Server, endpoint: OAuthEndpoint) -> None:
    server.script = [Answer(body={**REFRESHED, "instance_url": server.address})]
    with pytest.raises(Misconfigured, match="refresh_token"):
        endpoint.exchange("the-code", "the-verifier", "https://airflow.example/callback")


@pytest.mark.parametrize(("given", "kept"), [({}, "5Aep-old"), ({"refresh_token": "5Aep-new"}, "5Aep-new")])
def test_a_refresh_keeps_the_old_token_unless_a_new_one_comes(
    server: Server, given: dict[str, str], kept: str
) -> None:
    server.script = [Answer(body={**REFRESHED, "instance_url": server.address, **given})]
    browser = App(server.address, "consumer-key", grant="authorization_code")
    assert OAuthEndpoint(browser).fetch("5Aep-old").refresh_token == kept
    assert form(server) == {
        "grant_type": "refresh_token", "refresh_token": "5Aep-old", "client_id": "consumer-key",
    }  # fmt: skip


def test_a_signed_log_in_is_short_lived_and_for_this_app_and_user(server: Server) -> None:
    server.script = [granted(server)]
    key = RSAKey.generate_key(2048)
    pem = key.as_pem(private=True).decode()
    signer = app(server, grant="jwt_bearer", username="integration@acme.example", private_key=pem)
    assert OAuthEndpoint(signer).fetch() == Tokens("00Dxx!one", server.address, ID)
    sent = form(server)
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token = jwt.decode(sent["assertion"], key, algorithms=["RS256"])
    assert token.header["alg"] == "RS256"
    claims = token.claims
    assert (claims["iss"], claims["sub"]) == ("consumer-key", "integration@acme.example")
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (server.address, 180)


@pytest.mark.parametrize("pem", ["no key", "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----"])
def test_a_private_key_that_is_none_is_not_quoted(server: Server, pem: str) -> None:
    signer = app(server, grant="jwt_bearer", username="integration@acme.example", private_key=pem)
    with pytest.raises(Misconfigured, match="no RSA key in PEM form") as caught:
        OAuthEndpoint(signer).fetch()
    assert pem not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("https://acme.my.salesforce.com", "https://login.salesforce.com"),
        ("https://login.salesforce.com", "https://login.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
        ("https://acme--full.sandbox.my.salesforce.com", "https://test.salesforce.com"),
        ("https://business-app-1234.scratch.my.salesforce.com", "https://test.salesforce.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_whom_a_signed_log_in_is_for(host: str, audience: str) -> None:
    assert oauth._audience(host) == audience


def test_how_long_a_token_is_good_for(server: Server, endpoint: OAuthEndpoint) -> None:
    server.script = [Answer(body={"active": True, "iat": 1000, "exp": 8200})]
    assert endpoint.lifetime("00Dxx!one") == timedelta(hours=2)
    assert (server.seen[0].path, form(server)["token"]) == ("/services/oauth2/introspect", "00Dxx!one")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, {"error": "invalid_client"}), Answer(body={"active": False}), Answer(body=[]), Answer(503, b"<html>"),
        Answer(act="reset"), Answer(302, b""),
    ],
    ids=str,
)  # fmt: skip
def test_an_app_that_may_not_introspect_knows_no_lifetime(
    server: Server, endpoint: OAuthEndpoint, answer: Answer
) -> None:
    server.script = [answer]
    assert endpoint.lifetime("00Dxx!one") is None


def test_whose_session_it_is_by_name(server: Server, endpoint: OAuthEndpoint) -> None:
    server.script = [Answer(body={"preferred_username": "integration@acme.example"})]
    assert endpoint.username(Session("00Dxx!one", "")) == "integration@acme.example"
    assert (server.seen[0].path, server.seen[0].headers["Authorization"]) == (
        "/services/oauth2/userinfo",
        "Bearer 00Dxx!one",
    )


@pytest.mark.parametrize(
    "answer",
    [Answer(403, b"Bad_OAuth_Token"), Answer(body={}), Answer(body=[]), Answer(act="reset")],
    ids=str,
)
def test_an_app_that_may_not_ask_knows_no_name(
    server: Server, endpoint: OAuthEndpoint, answer: Answer
) -> None:
    server.script = [answer]
    assert endpoint.username(Session("00Dxx!one", "")) == ""


@pytest.mark.parametrize(
    ("code", "description", "grant", "kind", "remedy"),
    [
        ("invalid_grant", "expired access/refresh token", "authorization_code", ReconnectNeeded, "sixth log-in"),
        ("invalid_grant", "authentication failure", "client_credentials", ReconnectNeeded, "run-as user"),
        ("invalid_grant", "user hasn't approved this consumer", "jwt_bearer", ReconnectNeeded, "pre-authorize"),
        ("invalid_grant", "expired authorization code", "jwt_bearer", ReconnectNeeded, "clock"),
        ("invalid_grant", "invalid assertion", "jwt_bearer", ReconnectNeeded, "clock"),
        ("invalid_grant", "expired authorization code", "authorization_code", ReconnectNeeded, "too late"),
        ("invalid_request", "invalid code verifier", "authorization_code", ReconnectNeeded, "another one than began"),
        ("invalid_app_access", "user is not admin approved", "authorization_code", ReconnectNeeded, "permission set"),
        ("inactive_user", "user is inactive", "authorization_code", ReconnectNeeded, "activate it"),
        ("inactive_org", "org is inactive", "authorization_code", ReconnectNeeded, "locked or suspended"),
        ("invalid_client", "invalid client credentials", "client_credentials", ReconnectNeeded, "copy both again"),
        ("redirect_uri_mismatch", "redirect_uri must match", "authorization_code", ReconnectNeeded, "callback address"),
        ("invalid_grant", "ip restricted", "client_credentials", Misconfigured, "IP ranges"),
        ("invalid_grant", "IP restricted or invalid login hours", "jwt_bearer", Misconfigured, "login hours"),
        ("rate_limit_exceeded", "login rate exceeded", "client_credentials", NotSent, "too many log-ins"),
        ("of_next_year", "", "client_credentials", ReconnectNeeded, "policies of the app"),
    ],
)  # fmt: skip
def test_what_a_refusal_means(
    code: str, description: str, grant: GrantName, kind: type[SyncError], remedy: str
) -> None:
    error = grant_error(code, description, grant, "https://acme.example")
    assert type(error) is kind
    assert remedy in str(error)


def test_too_many_log_ins_wait(server: Server, client: MemoryLogin) -> None:
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
        (Answer(302, b"", {"Location": "https://elsewhere.example/"}), Misconfigured),
    ],
    ids=str,
)
def test_an_address_without_an_org(
    server: Server, client: MemoryLogin, answer: Answer, expected: type[SyncError]
) -> None:
    server.script = [answer]
    with pytest.raises(expected, match="127"):
        client.token()


def test_an_unreachable_address_is_named() -> None:
    with pytest.raises(RetryLater, match=r"no-such-org\.invalid"):
        OAuthEndpoint(App("https://no-such-org.invalid", "k", "s")).fetch()


def test_no_secret_in_logs_or_reprs(
    server: Server, client: MemoryLogin, caplog: pytest.LogCaptureFixture
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


def test_whose_session_it_is_stands_in_the_token_reply(server: Server, client: MemoryLogin) -> None:
    server.script = [granted(server)]
    book = Book()
    assert identity(MeteredSession(client, book)) == Identity("005xx000001SwiUAAS", "00Dxx0000001gPLEAY")
    assert (len(server.seen), book.purposes) == (1, [])


def test_else_userinfo_is_asked_and_not_booked(server: Server, client: MemoryLogin) -> None:
    body = {"access_token": "t", "instance_url": server.address}
    server.script = [Answer(body=body), Answer(body={"user_id": "005", "organization_id": "00D"})]
    book = Book()
    assert identity(MeteredSession(client, book)) == Identity("005", "00D")
    assert (server.seen[1].path, book.purposes) == ("/services/oauth2/userinfo", [])


def test_userinfo_with_a_dead_session_is_asked_with_a_new_one(server: Server, client: MemoryLogin) -> None:
    body = {"access_token": "t", "instance_url": server.address}
    bad = Answer(403, b"Bad_OAuth_Token")
    server.script = [
        Answer(body=body),
        bad,
        Answer(body={**body, "access_token": "u"}),
        Answer(body={"user_id": "005", "organization_id": "00D"}),
    ]
    assert identity(MeteredSession(client, Book())).user_id == "005"
