"""Connecting in the browser, through Airflow's own application: who may, what comes back, and what nobody gets to see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from crm_sync.access.vault import KeyRing, Vault
from crm_sync.errors import Misconfigured
from tests.crm_airflow.real import Org, airflow_connection, make_connection, rows
from tests.crm_airflow.ui import ADDRESS, BUTTON, browser
from tests.salesforce_standin.browser import Browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
NAME, CONNECT, CALLBACK = "browsing", "/crm-sync/connections/browsing/connect", "/crm-sync/oauth/callback"
USER, PASSWORD = "integration@gptweb.example", "a-pass-word"


@pytest.fixture
def connecting(app, hub, org, monkeypatch) -> str:
    """A connection with the browser's grant, in Airflow, in GPTWeb and in the org; gives the database's address."""
    make_connection(hub, NAME)
    rows(hub, "delete from crm_sync.credential where connection = %s", NAME)
    browser_grant = {**org.extra(), "grant": "authorization_code"}
    airflow_connection(monkeypatch, NAME, browser_grant)
    monkeypatch.setenv("CRM_SYNC_PUBLIC_URL", ADDRESS)
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
    org.control("/passwords", {"username": USER, "password": PASSWORD})
    org.change_app(redirect_uris=[ADDRESS + CALLBACK])
    return str(hub)


@pytest.fixture
def admin(app) -> Iterator:
    with browser(app, "admin") as client:
        yield client


def credentials(hub: str) -> int:
    """How many credentials the connection has."""
    return int(rows(hub, "select count(*) from crm_sync.credential where connection = %s", NAME)[0][0])


def consent(org: Org, address: str, user: str = USER, decision: str = "approve") -> str:
    """Log in and consent; the address to which the org sends the browser back."""
    person = Browser(org.url)
    person.go(address)
    person.log_in(user, PASSWORD)
    if not person.callback:
        person.submit(decision=decision)
    person.http.close()
    return person.address


def test_from_the_click_to_the_first_token(connecting, admin, org, caplog, capfd):
    sent = admin.get(CONNECT)
    assert sent.status_code == 303
    back = consent(org, sent.headers["Location"])
    with caplog.at_level("DEBUG"):
        page = admin.get(back)
    assert (page.status_code, "Connected" in page.text) == (200, True), page.text
    assert f"<dd>{USER}, 005" in page.text
    assert f"{ADDRESS}{CALLBACK}?" in back
    [(sealed, state)] = rows(
        connecting, "select sealed, state from crm_sync.credential where connection = %s", NAME
    )
    tokens = Vault(KeyRing.from_environment()).open(NAME, "tokens", sealed)
    assert state == "good"
    assert tokens["refresh_token"]
    assert tokens["instance_url"] == org.url
    code = parse_qs(urlsplit(back).query)["code"][0]
    told = page.text + str(page.headers) + caplog.text + "".join(capfd.readouterr())
    assert "request finished" in told  # Airflow's access log is among what is searched
    for secret in (code, tokens["access_token"], tokens["refresh_token"], org.client_secret):
        assert secret.rpartition("!")[2][:20] not in told  # a part that no encoding changes
    assert rows(connecting, "select count(*) from crm_sync.authorization") == [(0,)]
    pinned = rows(connecting, "select organization_id from crm_sync.connection where name = %s", NAME)
    assert pinned[0][0].startswith("00D")


def test_only_who_may_edit_connections_may_begin(connecting, app):
    with browser(app, "viewer") as client:
        assert [client.get(CONNECT).status_code, client.post(CONNECT, headers=BUTTON).status_code] == [
            403
        ] * 2
    with browser(app) as client:
        assert client.get(CONNECT).headers["Location"].startswith("/api/v2/auth/login?next=")
        assert client.post(CONNECT, headers=BUTTON).status_code == 401


def test_a_return_is_good_once(connecting, admin, org):
    back = consent(org, admin.get(CONNECT).headers["Location"])
    cookie = admin.cookies.get("crm_sync_state")
    assert admin.get(back).status_code == 200
    admin.cookies.set("crm_sync_state", cookie, path="/crm-sync")
    again = admin.get(back)
    assert (again.status_code, "finished before" in again.text) == (400, True)


def test_a_return_that_is_too_late_is_refused(connecting, admin, org):
    back = consent(org, admin.get(CONNECT).headers["Location"])
    rows(connecting, "update crm_sync.authorization set expires_at = now() - interval '1 second'")
    assert "more than ten minutes ago" in admin.get(back).text


def test_only_the_browser_that_began_may_return(connecting, admin, app, org):
    back = consent(org, admin.get(CONNECT).headers["Location"])
    with browser(app, "admin") as other:
        page = other.get(back)
    assert (page.status_code, "did not begin this log-in" in page.text) == (400, True)
    assert credentials(connecting) == 0


@pytest.mark.parametrize(
    "query", ["", "?code=abc", "?state=guessed&code=abc", "?state=%22%3E%3Cscript%3E&code=a"]
)
def test_a_return_without_a_state_of_ours_is_refused(connecting, app, query):
    with browser(app) as client:
        page = client.get(CALLBACK + query)
    assert page.status_code == 400
    assert "<script>" not in page.text


def test_no_consent_is_told_with_what_to_do(connecting, admin, org):
    org.control("/passwords", {"username": "admin@gptweb.example", "password": PASSWORD})
    back = consent(org, admin.get(CONNECT).headers["Location"], "admin@gptweb.example", "deny")
    page = admin.get(back)
    assert (page.status_code, "connect again and choose Allow" in page.text) == (400, True)


@pytest.mark.parametrize(
    ("action", "said"), [(None, "was revoked again"), ("reset_before", "revoke it there")]
)
def test_another_orgs_tokens_are_not_stored_and_are_given_back(connecting, admin, org, action, said):
    if action:
        org.control("/faults", {"action": action, "path": "/oauth2/revoke"})
    rows(
        connecting,
        "update crm_sync.connection set organization_id = '00D5g000000OTHEREA0' where name = %s",
        NAME,
    )
    page = admin.get(consent(org, admin.get(CONNECT).headers["Location"]))
    assert "belongs to org 00D5g000000OTHEREA0" in page.text
    assert said in page.text
    assert credentials(connecting) == 0
    rows(connecting, "update crm_sync.connection set organization_id = null where name = %s", NAME)


def test_a_page_loads_nothing_from_elsewhere_and_is_kept_by_nobody(connecting, app):
    with browser(app) as client:
        headers = client.get(CALLBACK).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; ")
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "strict-origin")


def test_below_a_path_of_a_proxy_the_browser_brings_its_cookie_back(connecting, admin, monkeypatch):
    monkeypatch.setenv("CRM_SYNC_PUBLIC_URL", f"{ADDRESS}/airflow/")
    sent = admin.get(CONNECT)
    redirect = parse_qs(urlsplit(sent.headers["Location"]).query)["redirect_uri"][0]
    assert redirect == f"{ADDRESS}/airflow{CALLBACK}"
    for reply in (sent, admin.get(CALLBACK)):
        assert "Path=/airflow/crm-sync;" in reply.headers["Set-Cookie"]


def test_a_grant_without_browser_logs_in_by_a_button(connecting, admin, org, monkeypatch):
    airflow_connection(monkeypatch, NAME, org.extra())
    page = admin.get(CONNECT)
    assert (page.status_code, '<form method="post">' in page.text) == (200, True), page.text
    assert "form-action 'self';" in page.headers["Content-Security-Policy"]
    assert credentials(connecting) == 0, "looking logs nobody in"
    page = admin.post(CONNECT, headers=BUTTON)
    assert (page.status_code, "Connected" in page.text) == (200, True), page.text
    assert f"<dd>{USER}, 005" in page.text
    assert credentials(connecting) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_a_page_of_another_site_logs_nobody_in(connecting, admin, org, monkeypatch, site):
    airflow_connection(monkeypatch, NAME, org.extra())
    page = admin.post(CONNECT, headers={"Sec-Fetch-Site": site} if site else {})
    assert (page.status_code, "open the page and press its button" in page.text) == (403, True)
    assert credentials(connecting) == 0


def test_a_grant_with_browser_has_no_button(connecting, admin):
    page = admin.post(CONNECT, headers=BUTTON)
    assert (page.status_code, "logs in through the browser" in page.text) == (400, True)


def test_a_connection_that_airflow_keeps_in_its_database_is_found(connecting, admin, org, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_BROWSING")
    kept = {"connection_id": NAME, "conn_type": "salesforce", "extra": json.dumps(org.extra())}
    assert admin.post("/api/v2/connections", json=kept).status_code == 201
    page = admin.post(CONNECT, headers=BUTTON)
    assert (page.status_code, "Connected" in page.text) == (200, True), page.text
    assert admin.delete(f"/api/v2/connections/{NAME}").status_code == 204


def test_keys_that_are_wrong_are_told_on_the_page_and_not_shown(connecting, admin, org, monkeypatch):
    airflow_connection(monkeypatch, NAME, {**org.extra(), "consumer_secret": "guessed-secret"})
    page = admin.post(CONNECT, headers=BUTTON)
    assert (page.status_code, "copy both again" in page.text) == (400, True)
    assert "guessed-secret" not in page.text


@pytest.mark.parametrize(
    "address", ["http://airflow.example", "", "airflow.example", "ftp://airflow.example"]
)
def test_an_address_that_gets_no_code_is_refused(monkeypatch, address):
    from crm_airflow.web.addresses import public_url

    monkeypatch.setenv("CRM_SYNC_PUBLIC_URL", address)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", address)
    with pytest.raises(Misconfigured, match="set CRM_SYNC_PUBLIC_URL"):
        public_url()


DISCONNECT = "/crm-sync/connections/browsing/disconnect"


def test_disconnecting_revokes_and_wipes_and_pauses(connecting, admin, org):
    admin.get(consent(org, admin.get(CONNECT).headers["Location"]))
    [(sealed,)] = rows(connecting, "select sealed from crm_sync.credential where connection = %s", NAME)
    tokens = Vault(KeyRing.from_environment()).open(NAME, "tokens", sealed)
    reply = admin.post(DISCONNECT, headers=BUTTON)
    assert reply.headers["Location"].endswith("told=disconnected")
    kept = "select sealed, key_id, state, reason from crm_sync.credential where connection = %s"
    assert rows(connecting, kept, NAME) == [(None, None, "reconnect needed", "disconnected by admin")]
    assert rows(connecting, "select active from crm_sync.connection where name = %s", NAME) == [(False,)]
    refused = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
               "client_id": org.client_id, "client_secret": org.client_secret}  # fmt: skip
    assert requests.post(f"{org.url}/services/oauth2/token", data=refused, timeout=10).status_code == 400
    again = admin.post(DISCONNECT, headers=BUTTON)
    assert again.headers["Location"].endswith("told=disconnected"), "there was nothing to revoke"
    told = "select detail from crm_sync.decision where connection = %s and rule = 'connection_disconnected' order by decision_id"
    assert {line for (line,) in rows(connecting, told, NAME)} == {"by admin; tokens wiped, revoked there"}
    admin.get(consent(org, admin.get(CONNECT).headers["Location"]))
    assert rows(connecting, "select state from crm_sync.credential where connection = %s", NAME) == [
        ("good",)
    ]
    rows(connecting, "update crm_sync.connection set active = true where name = %s", NAME)


def test_what_the_org_did_not_revoke_is_wiped_and_said(connecting, admin, org):
    admin.get(consent(org, admin.get(CONNECT).headers["Location"]))
    org.control("/faults", {"action": "reset_before", "path": "/oauth2/revoke"})
    assert admin.post(DISCONNECT, headers=BUTTON).headers["Location"].endswith("told=wiped")
    assert "Salesforce did not say" in admin.get("/crm-sync/connections/browsing?told=wiped").text
    assert rows(connecting, "select sealed from crm_sync.credential where connection = %s", NAME) == [(None,)]
    rows(connecting, "update crm_sync.connection set active = true where name = %s", NAME)


def test_a_grant_without_a_refresh_token_is_revoked_by_its_access_token(connecting, admin, org, monkeypatch):
    airflow_connection(monkeypatch, NAME, org.extra())
    admin.post(CONNECT, headers=BUTTON)
    assert admin.post(DISCONNECT, headers=BUTTON).headers["Location"].endswith("told=disconnected")
    page = admin.post(CONNECT, headers=BUTTON)
    assert "Connected" in page.text, "the button is the way back"
    rows(connecting, "update crm_sync.connection set active = true where name = %s", NAME)
