"""Grants: refreshing, rotation, the five-grants rule, JWT bearer, and what ends them."""

import time

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.salesforce_standin.browser import (
    ADMIN,
    PASSWORD,
    Browser,
    ask,
    code_of,
    exchange,
    refresh,
    refusal,
    register,
)
from tests.salesforce_standin.running import (
    ADMIN_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    OPTIONS,
    Client,
    Running,
    token_of,
)

EXPIRED = ("invalid_grant", "expired access/refresh token")
INTEGRATION = "integration@gptweb.example"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def browser(standin, admin):
    register(admin)
    made = Browser(standin.base)
    yield made
    made.http.close()


def lives(base: str, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    status = requests.get(f"{base}/services/data/v66.0/limits", headers=headers, timeout=5).status_code
    assert status in {200, 401}
    return status == 200


class TestRefresh:
    def test_the_refresh_token_stays(self, standin, browser):
        first = exchange(standin.base, code_of(browser)).json()
        body = refresh(standin.base, first["refresh_token"]).json()
        assert "refresh_token" not in body
        assert body["access_token"] != first["access_token"]
        assert lives(standin.base, first["access_token"])
        assert lives(standin.base, body["access_token"])
        assert refresh(standin.base, first["refresh_token"]).status_code == 200

    def test_the_secret_may_be_asked_for(self, standin, browser, admin):
        token = exchange(standin.base, code_of(browser)).json()["refresh_token"]
        assert refusal(refresh(standin.base, token, client_secret="wrong"))[0] == "invalid_client"
        register(admin, secret_to_refresh=True)
        assert refusal(refresh(standin.base, token)) == ("invalid_client", "invalid client credentials")
        assert refresh(standin.base, token, client_secret=CLIENT_SECRET).status_code == 200

    def test_a_token_belongs_to_its_app(self, standin, browser, admin):
        token = exchange(standin.base, code_of(browser)).json()["refresh_token"]
        other = admin.post("/standin/apps", {"public": True}).json()["client_id"]
        assert refusal(refresh(standin.base, token, client_id=other)) == EXPIRED

    def test_revoking_it_ends_its_access_tokens(self, standin, browser):
        body = exchange(standin.base, code_of(browser)).json()
        for data in ({"token": body["refresh_token"]}, {"token": "nothing"}):
            reply = requests.post(f"{standin.base}/services/oauth2/revoke", data=data, timeout=5)
            assert reply.status_code == (200 if data["token"] != "nothing" else 400)
        assert not lives(standin.base, body["access_token"])
        assert refusal(refresh(standin.base, body["refresh_token"])) == EXPIRED

    def test_with_the_last_grant_the_consent_goes(self, standin, browser):
        tokens = [exchange(standin.base, code_of(browser)).json()["refresh_token"] for _ in range(2)]
        for token, is_asked in zip(tokens, (False, True), strict=True):
            requests.post(f"{standin.base}/services/oauth2/revoke", data={"token": token}, timeout=5)
            assert ("is asking to" in browser.authorize().text) is is_asked

    def test_revoking_an_access_token_leaves_the_grant(self, standin, browser):
        body = exchange(standin.base, code_of(browser)).json()
        reply = requests.get(
            f"{standin.base}/services/oauth2/revoke", params={"token": body["access_token"]}, timeout=5
        )
        assert (reply.status_code, lives(standin.base, body["access_token"])) == (200, False)
        assert refresh(standin.base, body["refresh_token"]).status_code == 200


class TestRotation:
    @pytest.fixture
    def first(self, standin, browser, admin):
        register(admin, rotation=True)
        return exchange(standin.base, code_of(browser)).json()

    def test_each_refresh_gives_a_new_one(self, standin, first):
        second = refresh(standin.base, first["refresh_token"]).json()
        assert second["refresh_token"] != first["refresh_token"]
        third = refresh(standin.base, second["refresh_token"]).json()
        assert lives(standin.base, third["access_token"])

    def test_an_old_one_shown_again_ends_the_grant(self, standin, first):
        second = refresh(standin.base, first["refresh_token"]).json()
        assert refusal(refresh(standin.base, first["refresh_token"])) == EXPIRED
        assert refusal(refresh(standin.base, second["refresh_token"])) == EXPIRED
        assert not lives(standin.base, second["access_token"])

    def test_a_reply_that_is_lost_costs_the_grant(self, standin, first, admin):
        admin.post("/standin/faults", {"action": "reset_after", "path": "/services/oauth2/token"})
        with pytest.raises(requests.ConnectionError):
            refresh(standin.base, first["refresh_token"])
        assert refusal(refresh(standin.base, first["refresh_token"])) == EXPIRED

    def test_a_request_that_is_lost_costs_nothing(self, standin, first, admin):
        admin.post("/standin/faults", {"action": "reset_before", "path": "/services/oauth2/token"})
        with pytest.raises(requests.ConnectionError):
            refresh(standin.base, first["refresh_token"])
        assert refresh(standin.base, first["refresh_token"]).status_code == 200

    def test_it_survives_a_restart(self, tmp_path):
        base = ("--data", str(tmp_path))
        running = Running(*base)
        admin = Client(running.base, ADMIN_TOKEN)
        register(admin, rotation=True)
        first = exchange(running.base, code_of(Browser(running.base))).json()
        second = refresh(running.base, first["refresh_token"]).json()
        running.stop()
        running = Running(*base)
        assert lives(running.base, second["access_token"])
        assert refusal(refresh(running.base, first["refresh_token"])) == EXPIRED
        assert refusal(refresh(running.base, second["refresh_token"])) == EXPIRED
        running.stop()


class TestFiveGrants:
    def test_a_sixth_drops_the_first_with_its_access_token(self, standin, browser):
        bodies = [exchange(standin.base, code_of(browser)).json() for _ in range(6)]
        assert [lives(standin.base, body["access_token"]) for body in bodies] == [False] + 5 * [True]
        assert refusal(refresh(standin.base, bodies[0]["refresh_token"])) == EXPIRED
        assert refresh(standin.base, bodies[1]["refresh_token"]).status_code == 200

    def test_users_and_apps_count_for_themselves(self, standin, browser, admin):
        mine = exchange(standin.base, code_of(browser)).json()
        browser.go(f"{standin.base}/secur/logout.jsp")
        for _ in range(5):
            browser.authorize(login_hint=INTEGRATION)
            if not browser.callback:
                browser.log_in(INTEGRATION, PASSWORD).submit(decision="approve")
            exchange(standin.base, browser.callback["code"])
        assert lives(standin.base, mine["access_token"])

    def test_the_rule_can_be_switched_off(self, standin, browser, admin):
        admin.post("/standin/settings", {"grants_per_user": 0})
        bodies = [exchange(standin.base, code_of(browser)).json() for _ in range(7)]
        assert all(lives(standin.base, body["access_token"]) for body in bodies)


@pytest.fixture(scope="module")
def key():
    return RSAKey.generate_key(2048, private=True)


def public(key: RSAKey) -> str:
    return key.as_pem(private=False).decode()


def assertion(key: RSAKey, **changes: object) -> str:
    claims = {
        "iss": CLIENT_ID,
        "sub": INTEGRATION,
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
        **changes,
    }
    return jwt.encode({"alg": "RS256"}, claims, key)


class TestJwtBearer:
    @pytest.fixture(autouse=True)
    def _app(self, admin, key):
        register(admin, certificate=public(key), permitted_users="approved", approved=[INTEGRATION])

    def test_a_signed_assertion_gives_a_token(self, standin, key):
        body = ask(standin.base, grant_type=JWT_BEARER, assertion=assertion(key)).json()
        assert lives(standin.base, body["access_token"])
        assert "refresh_token" not in body
        assert "refresh_token" not in body["scope"].split()
        for audience in (
            standin.base,
            standin.base + "/services/oauth2/token",
            "https://test.salesforce.com",
        ):
            reply = ask(standin.base, grant_type=JWT_BEARER, assertion=assertion(key, aud=audience))
            assert reply.status_code == 200

    @pytest.mark.parametrize(
        ("changes", "error", "description"),
        [
            ({"iss": "nobody"}, "invalid_client_id", "client identifier invalid"),
            ({"aud": "https://evil.example"}, "invalid_grant", "audience is invalid"),
            ({"exp": 1}, "invalid_grant", "expired authorization code"),
            ({"sub": "nobody@gptweb.example"}, "invalid_grant", "user hasn't approved this consumer"),
            ({"sub": ADMIN}, "invalid_app_access", "user is not admin approved to access this app"),
        ],
    )
    def test_refusals(self, standin, key, changes, error, description):
        reply = ask(standin.base, grant_type=JWT_BEARER, assertion=assertion(key, **changes))
        assert refusal(reply) == (error, description)

    def test_an_expiry_in_milliseconds_as_the_salesforce_cli_sends_it(self, standin, key):
        given = assertion(key, exp=int(time.time() * 1000) + 300)
        assert ask(standin.base, grant_type=JWT_BEARER, assertion=given).status_code == 200

    def test_another_key_or_no_jwt(self, standin):
        stranger = RSAKey.generate_key(2048, private=True)
        for given in (assertion(stranger), "a.b.c", "", assertion(stranger).rpartition(".")[0] + "."):
            reply = ask(standin.base, grant_type=JWT_BEARER, assertion=given)
            assert refusal(reply) == ("invalid_grant", "invalid assertion")

    def test_a_user_must_have_agreed_first(self, standin, admin, key):
        register(admin, permitted_users="all", approved=[])
        given = assertion(key, sub=ADMIN)
        reply = ask(standin.base, grant_type=JWT_BEARER, assertion=given)
        assert refusal(reply) == ("invalid_grant", "user hasn't approved this consumer")
        code_of(Browser(standin.base))
        assert ask(standin.base, grant_type=JWT_BEARER, assertion=given).status_code == 200


def test_the_certificate_can_come_by_the_command_line(tmp_path, key):
    certificate = tmp_path / "app.pem"
    certificate.write_text(public(key))
    running = Running("--certificate", str(certificate))
    admin = Client(running.base, ADMIN_TOKEN)
    register(admin, approved=[INTEGRATION])
    assert ask(running.base, grant_type=JWT_BEARER, assertion=assertion(key)).status_code == 200
    running.stop()


class TestWhatEndsAnApp:
    def test_a_deleted_app(self, standin, admin, browser):
        body = exchange(standin.base, code_of(browser)).json()
        assert admin.delete(f"/standin/apps/{CLIENT_ID}").status_code == 204
        assert not lives(standin.base, body["access_token"])
        for reply in (
            refresh(standin.base, body["refresh_token"]),
            ask(
                standin.base,
                grant_type="client_credentials",
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
            ),
        ):
            assert refusal(reply) == ("invalid_client_id", "client identifier invalid")

    def test_a_user_who_may_no_longer_use_it(self, standin, admin, browser):
        body = exchange(standin.base, code_of(browser)).json()
        register(admin, permitted_users="approved")
        assert refusal(refresh(standin.base, body["refresh_token"])) == (
            "invalid_app_access", "user is not admin approved to access this app",
        )  # fmt: skip

    def test_a_blocked_app(self, standin, admin, browser):
        register(admin, blocked=True)
        assert "OAUTH_APP_BLOCKED" in browser.authorize().text

    def test_no_user_for_client_credentials(self, standin, admin):
        register(admin, run_as="")
        reply = ask(
            standin.base, grant_type="client_credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET
        )
        assert refusal(reply) == ("invalid_grant", "no client credentials user enabled")

    def test_nonsense_is_refused(self, admin):
        for body in ({"color": "red"}, {"rotation": "yes"}, {"scopes": ["fly"]}, {"permitted_users": "some"}):
            assert admin.patch(f"/standin/apps/{CLIENT_ID}", body).status_code == 400
        assert admin.post("/standin/apps", {"client_id": CLIENT_ID}).status_code == 400
        assert admin.patch("/standin/apps/nobody", {}).status_code == 404


def test_a_deleted_app_stays_deleted(tmp_path):
    running = Running("--data", str(tmp_path))
    Client(running.base, ADMIN_TOKEN).delete(f"/standin/apps/{CLIENT_ID}")
    running.stop()
    running = Running("--data", str(tmp_path))
    assert Client(running.base, ADMIN_TOKEN).get("/standin/apps").json() == {"apps": []}
    running.stop()
    assert OPTIONS[2:4] == ["--client-id", CLIENT_ID]


class TestIntrospection:
    def look(self, base: str, token: str, **form: str) -> requests.Response:
        data = {"token": token, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **form}
        return requests.post(f"{base}/services/oauth2/introspect", data=data, timeout=5)

    def test_both_kinds_of_token(self, standin, browser):
        body = exchange(standin.base, code_of(browser)).json()
        access = self.look(standin.base, body["access_token"], token_type_hint="access_token").json()
        assert list(access) == [
            "active", "scope", "client_id", "username", "sub", "token_type", "exp", "iat", "nbf",
        ]  # fmt: skip
        assert (access["token_type"], access["username"]) == ("access_token", ADMIN)
        assert self.look(standin.base, body["refresh_token"]).json()["token_type"] == "refresh_token"

    def test_other_apps_learn_nothing(self, standin, admin):
        other = admin.post("/standin/apps", {}).json()
        credentials = {"client_id": other["client_id"], "client_secret": other["client_secret"]}
        assert self.look(standin.base, token_of(standin.base), **credentials).json() == {"active": False}
        assert self.look(standin.base, "x", client_secret="wrong").status_code == 400

    def test_a_session_that_ran_out(self, standin, admin):
        token = token_of(standin.base)
        admin.post("/standin/settings", {"session_seconds": 60})
        before = self.look(standin.base, token).json()
        assert before["exp"] - before["iat"] == 60
        admin.post("/standin/clock", {"advance": 60})
        assert self.look(standin.base, token).json() == {"active": False}
        assert not lives(standin.base, token)
