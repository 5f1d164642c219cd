"""Logins over the vault: one refresh for all, what a kill leaves behind, and a dead grant that stops without a storm."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Protocol
from urllib.parse import parse_qsl

import psycopg
import pytest

from crm_sync.access import rotation
from crm_sync.access.app import App
from crm_sync.access.login import Session
from crm_sync.access.oauth import Tokens
from crm_sync.access.transport import MeteredSession
from crm_sync.access.vault import KeyRing, Vault, new_entry
from crm_sync.access.vault_login import VaultLogin, keep
from crm_sync.errors import Misconfigured, NotSent, ReconnectNeeded, RetryLater, SessionExpired
from crm_sync.ledger import credentials, settings
from crm_sync.ledger.database import Database
from tests.crm_sync.access.conftest import ERRORS_401, Answer, Book, Server
from tests.crm_sync.access.processes import workers
from tests.crm_sync.access.worker import NAME, login_of

KEYS = new_entry("k1")
VAULT = Vault(KeyRing.parse(KEYS))
DEAD = Answer(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
NO_INTROSPECTION = Answer(401, {"error": "invalid_client"})


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
        settings.connect(tx, "emea", "salesforce", {})
    yield found
    found.close()


@pytest.fixture
def own_app(server: Server) -> App:
    """Client credentials."""
    return App(server.address, "consumer-key", "consumer-SECRET")


@pytest.fixture
def browser_app(server: Server) -> App:
    """The browser's grant, an app without a secret."""
    return App(server.address, "consumer-key", grant="authorization_code")


class LogsIn(Protocol):
    def __call__(self, app: App, vault: Vault = VAULT, name: str = NAME) -> VaultLogin: ...


@pytest.fixture
def logs_in(database_url: str) -> Iterator[LogsIn]:
    """Logins as if each were in a process of its own."""
    with ExitStack() as stack:
        yield lambda app, vault=VAULT, name=NAME: stack.enter_context(
            login_of(database_url, app, vault, name)
        )


def granted(server: Server, token: str, refresh_token: str = "") -> Answer:
    body = {
        "access_token": token,
        "instance_url": server.address,
        "id": "https://login.salesforce.com/id/00D/005",
    }
    return Answer(body={**body, **({"refresh_token": refresh_token} if refresh_token else {})})


def connected(database: Database, app: App, token: str = "A1", refresh_token: str = "R1") -> None:
    """As a person left it who connected in the browser."""
    with database.transaction() as tx:
        keep(tx, VAULT, NAME, Tokens(token, app.address, "", refresh_token), app.digest())


def aged(database: Database, hours: float, lifetime: timedelta | None = None) -> None:
    with database.transaction() as tx:
        tx.run(
            "update crm_sync.credential set issued_at = issued_at - %s, lifetime = %s",
            (timedelta(hours=hours), lifetime),
        )


def stored(database: Database) -> tuple[credentials.Credential, Tokens | None]:
    with database.transaction() as tx:
        row = credentials.load(tx, NAME)
    return row, Tokens(**VAULT.open(NAME, "tokens", row.sealed)) if row.sealed else None


def asked(server: Server, path: str = "/services/oauth2/token") -> list[dict[str, str]]:
    return [dict(parse_qsl(seen.body.decode())) for seen in server.seen if seen.path == path]


def states(database: Database) -> list[tuple[str, str]]:
    with database.transaction() as tx:
        rows = tx.rows(
            "select outcome, detail from crm_sync.audit_trail where rule = 'connection state' order by at"
        )
    return [(row[0], row[1]) for row in rows]


# ------------------------------------------------------------------------------------------------ keeping


def test_one_process_fetches_for_all_that_come_later(server, database, logs_in, own_app):
    server.script = [granted(server, "A1"), NO_INTROSPECTION]
    first = logs_in(own_app).token()
    assert logs_in(own_app).token() == first == Session("A1", server.address, first.identity)
    assert len(asked(server)) == 1


def test_nothing_in_the_database_can_be_read(server, database, database_url, logs_in, own_app):
    server.script = [granted(server, "A1-the-access-token"), NO_INTROSPECTION]
    logs_in(own_app).token()
    with psycopg.connect(database_url) as connection:
        [row] = connection.execute("select c::text from crm_sync.credential c").fetchall()
    assert "A1-the" not in row[0]
    assert "SECRET" not in row[0]


def test_other_keys_of_the_app_log_in_anew(server, database, logs_in, own_app):
    server.script = [granted(server, "A1"), NO_INTROSPECTION, granted(server, "A2"), NO_INTROSPECTION]
    logs_in(own_app).token()
    assert logs_in(replace(own_app, consumer_secret="another")).token().access_token == "A2"


def test_the_lifetime_is_asked_once_where_the_app_may_introspect(server, database, logs_in, own_app):
    lives = Answer(body={"active": True, "iat": 0, "exp": 7200})
    server.script = [granted(server, "A1"), lives, granted(server, "A2")]
    login = logs_in(own_app)
    login.renew(login.token())
    assert stored(database)[0].lifetime == timedelta(hours=2)
    assert len(asked(server, "/services/oauth2/introspect")) == 1


def test_a_token_is_renewed_before_it_is_too_old(server, database, logs_in, own_app):
    connected(database, own_app)
    aged(database, 1.7, timedelta(hours=2))
    server.script = [granted(server, "A2")]
    assert logs_in(own_app).token().access_token == "A2"


def test_a_token_that_is_young_enough_is_not(server, database, logs_in, own_app):
    connected(database, own_app)
    aged(database, 1.5, timedelta(hours=2))
    assert logs_in(own_app).token().access_token == "A1"
    assert server.seen == []


def test_renewing_early_that_fails_keeps_the_present_token(server, database, logs_in, own_app):
    connected(database, own_app)
    aged(database, 1.7, timedelta(hours=2))
    server.script = [Answer(503, b"")]
    login = logs_in(own_app)
    assert [login.token().access_token for _ in range(3)] == ["A1"] * 3
    assert len(server.seen) == 1


@pytest.mark.parametrize(("hours", "learned"), [(3, timedelta(hours=3)), (0.1, None)])
def test_the_first_refusal_tells_the_lifetime_but_a_revocation_does_not(
    server, database, logs_in, browser_app, hours, learned
):
    connected(database, browser_app)
    aged(database, hours)
    server.script = [granted(server, "A2")]
    login = logs_in(browser_app)
    login.renew(login.token())
    lifetime = stored(database)[0].lifetime
    assert (lifetime and timedelta(seconds=round(lifetime.total_seconds()))) == learned


# ---------------------------------------------------------------------------------------------- refreshing


def test_a_rotated_refresh_token_is_stored_before_the_access_token_is_given(
    server, database, logs_in, browser_app
):
    connected(database, browser_app)
    server.script = [granted(server, "A2", "R2"), granted(server, "A3", "R3")]
    login = logs_in(browser_app)
    second = login.renew(login.token())
    assert stored(database)[1] == Tokens("A2", server.address, second.identity, "R2")
    login.renew(second)
    assert [form["refresh_token"] for form in asked(server)] == ["R1", "R2"]


def test_a_token_that_another_process_renewed_is_taken(server, database, logs_in, browser_app):
    connected(database, browser_app)
    slow, quick = (logs_in(browser_app) for _ in range(2))
    old = slow.token()
    server.script = [granted(server, "A2", "R2")]
    quick.renew(quick.token())
    assert slow.renew(old).access_token == "A2"
    assert len(server.seen) == 1


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code"])
def test_ten_processes_with_an_expired_token_refresh_once(
    server, database, database_url, own_app, browser_app, grant
):
    """Failure case 14."""
    app = own_app if grant == "client_credentials" else browser_app
    connected(database, app)
    server.script = [granted(server, "A2", "R2"), NO_INTROSPECTION]
    with workers(database_url, app, KEYS, 10) as all_renew:
        assert all_renew() == ["A2"] * 10
    assert len(asked(server)) == 1
    assert stored(database)[0].generation == 2


@pytest.mark.parametrize("rotates", [True, False])
def test_a_process_killed_between_receiving_and_storing_leaves_a_trace(
    server, database, database_url, logs_in, browser_app, caplog, rotates
):
    connected(database, browser_app)
    server.script = [granted(server, "A2", "R2" if rotates else "")]
    with workers(database_url, browser_app, KEYS, 1, "deadly") as all_renew:
        assert all_renew() == ["ended with -9"]
    assert stored(database)[1] == Tokens("A1", server.address, "", "R1")
    login = logs_in(browser_app)
    if rotates:  # the org has voided R1
        server.script = [DEAD]
        with pytest.raises(
            ReconnectNeeded, match=r"the reply to a refresh of .* UTC was lost.*connect again"
        ):
            login.renew(login.token())
        assert states(database)[0][0] == "reconnect needed"
    else:
        server.script = [granted(server, "A3")]
        assert login.renew(login.token()).access_token == "A3"
        assert "was lost; the refresh token still worked" in caplog.text
        assert states(database) == []


@pytest.mark.parametrize("act", ["reset", "truncate"])
def test_a_reply_that_the_network_lost_is_told_like_that_of_a_killed_process(
    server, database, logs_in, browser_app, act
):
    connected(database, browser_app)
    login = logs_in(browser_app)
    server.script = [replace(granted(server, "A2", "R2"), act=act), DEAD]
    with pytest.raises(NotSent, match="no answer came, or it broke off"):
        login.renew(login.token())
    with pytest.raises(ReconnectNeeded, match="the reply to a refresh of"):
        login.renew(login.token())


def test_a_request_that_never_left_loses_nothing(server, database, logs_in, browser_app):
    connected(database, browser_app)
    unreachable = logs_in(replace(browser_app, address="http://127.0.0.1:1"))
    with pytest.raises(RetryLater, match="connection was refused"):
        unreachable.token()
    server.script = [DEAD]
    with pytest.raises(ReconnectNeeded) as caught:
        logs_in(browser_app).renew(Session("A1", server.address))
    assert "lost" not in str(caught.value)


# --------------------------------------------------------------------------------------------- dead grants


@pytest.mark.parametrize(
    "code", ["invalid_grant", "inactive_user", "inactive_org", "invalid_app_access", "invalid_client_id"]
)
def test_a_dead_grant_stops_the_connection_with_one_alert_and_no_storm(
    server, database, logs_in, browser_app, caplog, code
):
    connected(database, browser_app)
    server.script = [Answer(400, {"error": code, "error_description": "no longer"})]
    login = logs_in(browser_app)
    for _ in range(3):
        with pytest.raises(ReconnectNeeded, match=code):
            login.renew(Session("A1", server.address))
        with pytest.raises(
            ReconnectNeeded, match=rf"reconnect needed since .*{code}.*connections/{NAME}/connect"
        ):
            logs_in(browser_app).token()
    assert len(server.seen) == 1
    assert [state for state, _ in states(database)] == ["reconnect needed"]
    [alert] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert f"(in Airflow: /crm-sync/connections/{NAME}/connect)" in alert


def test_connecting_again_makes_it_good_and_says_so(server, database, logs_in, browser_app):
    connected(database, browser_app)
    server.script = [DEAD]
    with pytest.raises(ReconnectNeeded):
        logs_in(browser_app).renew(Session("A1", server.address))
    connected(database, browser_app, "A9", "R9")
    assert logs_in(browser_app).token().access_token == "A9"
    assert [state for state, _ in states(database)] == ["reconnect needed", "good"]


def test_changed_keys_are_tried(server, database, logs_in, own_app):
    server.script = [Answer(400, {"error": "invalid_client", "error_description": "wrong"})]
    with pytest.raises(ReconnectNeeded):
        logs_in(own_app).token()
    server.script = [granted(server, "A2"), NO_INTROSPECTION]
    logs_in(replace(own_app, consumer_secret="the-right-one")).token()
    assert [state for state, _ in states(database)] == ["reconnect needed", "good"]


def test_a_person_may_have_it_tried_again(server, database, logs_in, own_app):
    server.script = [Answer(400, {"error": "inactive_user", "error_description": "user is inactive"})]
    login = logs_in(own_app)
    with pytest.raises(ReconnectNeeded):
        login.token()
    server.script = [granted(server, "A2"), NO_INTROSPECTION]
    assert login.try_again().access_token == "A2"
    assert stored(database)[0].state == "good"


def test_a_connection_that_was_never_connected_says_where(server, database, logs_in, browser_app):
    with pytest.raises(
        ReconnectNeeded, match=f"never been connected: open /crm-sync/connections/{NAME}/connect"
    ):
        logs_in(browser_app).token()
    assert states(database) == []
    assert server.seen == []


def test_login_hours_stop_this_run_only(server, database, logs_in, own_app):
    server.script = [Answer(400, {"error": "invalid_grant", "error_description": "ip restricted"})]
    with pytest.raises(Misconfigured, match="IP ranges"):
        logs_in(own_app).token()
    assert states(database) == []


# ------------------------------------------------------------------------------------------- the transport


def calls(login: VaultLogin, book: Book) -> MeteredSession:
    return MeteredSession(login, book, sleep=lambda _seconds: None)


def test_a_token_that_ends_in_the_middle_of_a_long_run_costs_one_refresh_and_one_replay(
    server, database, logs_in, browser_app, book
):
    """Failure case 15."""
    connected(database, browser_app)
    fine, refused = Answer(body={"done": True}), Answer(401, ERRORS_401)
    server.script = [fine, fine, refused, granted(server, "A2", "R2"), fine]
    with calls(logs_in(browser_app), book) as session:
        for _ in range(5):
            session.call("POST", "/services/data/v66.0/composite", json={}, purpose="sync", writes=True)
    bearers = [seen.headers["Authorization"] for seen in server.seen if "Authorization" in seen.headers]
    assert bearers == ["Bearer A1"] * 3 + ["Bearer A2"] * 3
    assert len(book.purposes) == 6
    assert len(asked(server)) == 1


def test_a_session_that_is_always_refused_is_bounded(server, database, logs_in, own_app, book):
    """Failure case 16: one refresh and one replay, then it stops."""
    connected(database, own_app)
    refused = Answer(401, ERRORS_401)
    server.script = [refused, granted(server, "A2"), NO_INTROSPECTION, refused]
    with calls(logs_in(own_app), book) as session, pytest.raises(SessionExpired):
        session.call("GET", "/services/data/v66.0/limits", purpose="sync")
    assert (len(asked(server)), len(book.purposes)) == (1, 2)


def test_a_dead_grant_in_the_middle_of_a_run_stops_it_at_once(server, database, logs_in, browser_app, book):
    connected(database, browser_app)
    server.script = [Answer(401, ERRORS_401), DEAD]
    with calls(logs_in(browser_app), book) as session:
        for _ in range(2):
            with pytest.raises(ReconnectNeeded):
                session.call("GET", "/services/data/v66.0/limits", purpose="sync")
    assert len(asked(server)) == 1


# --------------------------------------------------------------------------------------------- vault keys


def test_keys_are_rotated_while_others_read(server, database, logs_in, own_app):
    connected(database, own_app)
    ring = KeyRing.parse(f"{new_entry('k2')},{KEYS}")
    done = rotation.rotate(database, Vault(ring))
    assert (done.key_id, done.counts) == ("k2", {"resealed": 1, "kept": 0})
    assert logs_in(own_app, Vault(ring)).token().access_token == "A1"
    with pytest.raises(Misconfigured, match="vault key 'k2'"):
        logs_in(own_app).token()
    assert rotation.rotate(database, Vault(ring)).counts == {"resealed": 0, "kept": 1}


def test_a_value_that_can_not_be_opened_stops_no_other_and_is_named(server, database, own_app):
    connected(database, own_app)
    foreign = Vault(KeyRing.parse(new_entry("gone")))
    with database.transaction() as tx:
        keep(tx, foreign, "emea", Tokens("E1", own_app.address), own_app.digest())
    ring = KeyRing.parse(f"{new_entry('k2')},{KEYS}")
    with pytest.raises(
        Misconfigured, match=r"of connection emea need vault key 'gone'.*1 values sealed anew"
    ):
        rotation.rotate(database, Vault(ring))
    with database.transaction() as tx:
        problems = tx.rows(
            "select connection, rotation_problem ~ 'vault key' from crm_sync.credential order by 1"
        )
    assert dict(problems)["emea"]
    assert [told for _, told in problems].count(True) == 1


def test_a_row_copied_to_another_connection_does_not_log_in(server, database, logs_in, own_app):
    connected(database, own_app)
    with database.transaction() as tx:
        tx.run(
            "insert into crm_sync.credential (connection, sealed, key_id, app_digest) "
            "select 'emea', sealed, key_id, app_digest from crm_sync.credential"
        )
    with pytest.raises(Misconfigured, match="copied"):
        logs_in(own_app, VAULT, "emea").token()
    assert server.seen == []
