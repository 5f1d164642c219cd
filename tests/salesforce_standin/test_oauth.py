"""Tokens: how they are got, what they say, how they end."""

import base64
import hashlib
import hmac
import re
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import pytest
import requests

from tests.salesforce_standin.running import CLIENT_ID, CLIENT_SECRET, Client, Running, token_of

GOOD = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def ask(standin: Running, form: dict[str, str], **options: Any) -> requests.Response:
    return requests.post(f"{standin.base}/services/oauth2/token", data=form, timeout=5, **options)


def test_client_credentials(standin):
    reply = ask(standin, GOOD)
    body = reply.json()
    assert reply.status_code == 200
    assert list(body) == [
        "access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at",
    ]  # fmt: skip
    assert re.fullmatch(r"00D5g0000012345![\w.]+", body["access_token"])
    assert body["instance_url"] == standin.base
    assert re.fullmatch(standin.base + "/id/00D5g0000012345EAA/005[0-9A-Za-z]{15}", body["id"])
    assert re.fullmatch(r"\d{13}", body["issued_at"])
    signed = hmac.new(CLIENT_SECRET.encode(), (body["id"] + body["issued_at"]).encode(), hashlib.sha256)
    assert body["signature"] == base64.b64encode(signed.digest()).decode()


def test_the_address_is_the_one_by_which_the_client_came(standin):
    reply = ask(standin, GOOD, headers={"Host": "acme.my.salesforce.com"})
    assert reply.json()["instance_url"] == "http://acme.my.salesforce.com"


def test_credentials_by_basic(standin):
    reply = ask(standin, {"grant_type": "client_credentials"}, auth=(CLIENT_ID, CLIENT_SECRET))
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_id": "x"}, "invalid_client_id", "client identifier invalid"),
        ({"client_secret": "x"}, "invalid_client", "invalid client credentials"),
        ({"grant_type": "magic"}, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": "password"}, "invalid_grant", "authentication failure"),
        (
            {"grant_type": "refresh_token", "refresh_token": "x"},
            "invalid_grant",
            "expired access/refresh token",
        ),
    ],
)
def test_refusals(standin, changes, error, description):
    reply = ask(standin, {**GOOD, **changes})
    assert reply.status_code == 400
    assert reply.json() == {"error": error, "error_description": description}


def test_user_name_and_password(standin, admin):
    form = {
        **GOOD,
        "grant_type": "password",
        "username": "admin@gptweb.example",
        "password": "pass-wordsec-token",
    }
    body = ask(standin, form).json()
    assert "refresh_token" not in body
    assert Client(standin.base, body["access_token"]).get("/limits").status_code == 200
    refused = {"error": "invalid_grant", "error_description": "authentication failure"}
    assert ask(standin, {**form, "password": "wrong"}).json() == refused
    admin.post("/standin/settings", {"password_flow": False})
    assert ask(standin, form).json() == refused


def test_an_inactive_user_gets_no_token(standin, admin):
    user = admin.rows("SELECT Id FROM User WHERE Username = 'integration@gptweb.example'")[0]["Id"]
    admin.patch(f"/sobjects/User/{user}", {"IsActive": False})
    assert ask(standin, GOOD).json() == {"error": "inactive_user", "error_description": "user is inactive"}


def test_refresh_and_revoke(standin):
    sessions = standin.org.sessions
    user = next(iter(standin.org.users()))["Id"]
    grant = sessions.grant(user, CLIENT_ID, "api refresh_token")
    form = {"grant_type": "refresh_token", "refresh_token": grant.token, "client_id": CLIENT_ID}
    body = ask(standin, form).json()
    assert "refresh_token" not in body
    assert body["scope"] == "api refresh_token"
    client = Client(standin.base, body["access_token"])
    assert client.get("/limits").status_code == 200
    assert client.post("/services/oauth2/revoke", data={"token": grant.token}).status_code == 200
    assert client.get("/limits").status_code == 401
    assert ask(standin, form).json()["error"] == "invalid_grant"


def test_a_sixth_grant_drops_the_first(standin):
    user = next(iter(standin.org.users()))["Id"]
    grants = [standin.org.sessions.grant(user, CLIENT_ID, "api") for _ in range(6)]
    form = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
    replies = [ask(standin, {**form, "refresh_token": grant.token}).status_code for grant in grants]
    assert replies == [400, 200, 200, 200, 200, 200]


def test_a_session_ends_after_two_idle_hours(standin, client, admin):
    admin.post("/standin/clock", {"offset": 7100})
    assert client.get("/limits").status_code == 200
    admin.post("/standin/clock", {"offset": 14000})
    assert client.get("/limits").status_code == 200
    admin.post("/standin/clock", {"offset": 21200})
    assert client.get("/limits").status_code == 401
    assert admin.get("/limits").status_code == 200


def test_introspect(standin, client):
    form = {"token": client.token, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    body = requests.post(f"{standin.base}/services/oauth2/introspect", data=form, timeout=5).json()
    assert (body["active"], body["username"]) == (True, "integration@gptweb.example")
    assert body["exp"] - body["iat"] in range(7200, 7210)
    form["token"] = "nobody"
    assert requests.post(f"{standin.base}/services/oauth2/introspect", data=form, timeout=5).json() == {
        "active": False
    }


def test_userinfo_and_identity(standin, client, admin):
    mine = client.get("/services/oauth2/userinfo").json()
    assert mine["organization_id"] == "00D5g0000012345EAA"
    assert mine["preferred_username"] == "integration@gptweb.example"
    assert mine["urls"]["rest"] == standin.base + "/services/data/v{version}/"
    assert admin.get("/services/oauth2/userinfo").json()["preferred_username"] == "admin@gptweb.example"
    identity = client.get(mine["sub"].removeprefix(standin.base)).json()
    assert (identity["user_id"], identity["username"]) == (mine["user_id"], mine["preferred_username"])


def test_records_carry_who_wrote_them(client, admin):
    account = client.create("Account", Name="Acme")
    admin.patch(f"/sobjects/Account/{account}", {"Phone": "1"})
    assert admin.rows("SELECT CreatedBy.Username, LastModifiedBy.Username, Owner.Name FROM Account")[0] == {
        "CreatedBy": {
            "attributes": _user(client),
            "Username": "integration@gptweb.example",
        },
        "LastModifiedBy": {"attributes": _user(admin), "Username": "admin@gptweb.example"},
        "Owner": {"attributes": _user(client), "Name": "GPTWeb Integration"},
    }


def _user(client: Client) -> dict[str, str]:
    user = client.get("/services/oauth2/userinfo").json()["user_id"]
    return {"type": "User", "url": f"/services/data/v66.0/sobjects/User/{user}"}


def test_every_grant_gives_a_token_of_its_own(standin):
    assert token_of(standin.base) != token_of(standin.base)


def test_tokens_in_other_formats(standin):
    address = f"{standin.base}/services/oauth2/token"
    spelled = requests.post(address, data={**GOOD, "format": "xml"}, timeout=10)
    assert spelled.headers["Content-Type"] == "application/xml;charset=UTF-8"
    root = ElementTree.fromstring(spelled.content)
    assert (root.tag, root.findtext("token_type"), root.findtext("instance_url")) == (
        "OAuth",
        "Bearer",
        standin.base,
    )
    headers = {"Accept": "application/x-www-form-urlencoded"}
    listed = dict(parse_qsl(requests.post(address, data=GOOD, headers=headers, timeout=10).text))
    client = Client(standin.base, listed["access_token"])
    assert client.get("/services/oauth2/userinfo").status_code == 200
    client.http.close()
    refused = requests.post(address, data={**GOOD, "client_secret": "no", "format": "urlencoded"}, timeout=10)
    assert (refused.status_code, dict(parse_qsl(refused.text))["error"]) == (400, "invalid_client")
    usual = requests.post(
        f"{address}?format=json", data=GOOD, headers={"Accept": "application/xml"}, timeout=10
    )
    assert usual.json()["token_type"] == "Bearer"
