"""OpenID Connect, with a client library that checks what it gets."""

from typing import Any
from urllib.parse import urlencode

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.salesforce_standin.browser import (
    ADMIN,
    CALLBACK,
    Browser,
    code_of,
    exchange,
    refresh,
    register,
)
from tests.salesforce_standin.running import ADMIN_TOKEN, CLIENT_ID, CLIENT_SECRET, Client, Running


def discover(base: str) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{base}/.well-known/openid-configuration", timeout=5).json()
    return found


def test_the_id_token_says_who_logged_in(standin, admin):
    register(admin)
    browser = Browser(standin.base)
    body = exchange(standin.base, code_of(browser, scope="openid api refresh_token", nonce="n-1")).json()
    assert list(body).index("id_token") == list(body).index("scope") + 1
    where = discover(standin.base)
    keys = KeySet.import_key_set(admin.get(where["jwks_uri"].removeprefix(standin.base)).json())
    claims = jwt.decode(body["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (where["issuer"], CLIENT_ID, "n-1")
    assert claims["sub"] == body["id"]
    again = refresh(standin.base, body["refresh_token"]).json()
    assert jwt.decode(again["id_token"], keys, algorithms=["RS256"]).claims["sub"] == body["id"]
    assert "id_token" not in exchange(standin.base, code_of(browser)).json()


def test_the_key_stays(tmp_path):
    shown = []
    for _ in range(2):
        running = Running("--data", str(tmp_path))
        admin = Client(running.base, ADMIN_TOKEN)
        shown.append(admin.get("/id/keys").json())
        admin.http.close()
        running.stop()
    assert shown[0] == shown[1]
    assert "d" not in shown[0]["keys"][0]


def test_authlib_from_the_address_to_the_second_refresh(standin, admin, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # plain http on loopback
    register(admin, rotation=True)
    where = discover(standin.base)
    verifier = "v" * 64
    with OAuth2Session(
        CLIENT_ID,
        CLIENT_SECRET,
        scope="openid api refresh_token",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint=where["token_endpoint"],
    ) as client:
        address, state = client.create_authorization_url(
            where["authorization_endpoint"], code_verifier=verifier
        )
        browser = Browser(standin.base).go(address).log_in().submit(decision="approve")
        assert browser.callback["state"] == state
        token = client.fetch_token(
            where["token_endpoint"],
            authorization_response=f"{CALLBACK}?{urlencode(browser.callback)}",
            code_verifier=verifier,
        )
        assert client.get(where["userinfo_endpoint"]).json()["preferred_username"] == ADMIN
        second = client.refresh_token(where["token_endpoint"], token["refresh_token"])
        third = client.refresh_token(where["token_endpoint"], second["refresh_token"])
        assert len({one["refresh_token"] for one in (token, second, third)}) == 3
        seen = client.introspect_token(where["introspection_endpoint"], third["access_token"]).json()
        assert (seen["active"], seen["username"]) == (True, ADMIN)
        assert client.revoke_token(where["revocation_endpoint"], third["refresh_token"]).status_code == 200
        seen = client.introspect_token(where["introspection_endpoint"], third["access_token"]).json()
        assert seen == {"active": False}
