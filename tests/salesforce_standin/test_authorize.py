"""The browser's part of OAuth: log-in, consent, and what comes back at the app's address."""

import pytest
import requests

from tests.salesforce_standin.browser import (
    ADMIN,
    CALLBACK,
    CHALLENGE,
    PASSWORD,
    VERIFIER,
    Browser,
    code_of,
    exchange,
    refusal,
    register,
)
from tests.salesforce_standin.running import ADMIN_TOKEN, CLIENT_ID, Client, Running


@pytest.fixture
def browser(standin, admin):
    register(admin)
    made = Browser(standin.base)
    yield made
    made.http.close()


def test_from_the_button_to_the_first_call(standin, browser):
    browser.authorize()
    assert "/login?" in browser.address
    assert browser.page.labels == browser.page.inputs == {"username", "password"}
    browser.log_in()
    assert "GPTWeb CRM Sync is asking to" in browser.text
    assert f"logged in as {ADMIN}" in browser.text
    browser.submit(decision="approve")
    assert browser.address.startswith(CALLBACK + "?code=aPrx")
    assert browser.callback["state"] == "st&te"
    body = exchange(standin.base, browser.callback["code"]).json()
    assert list(body) == [
        "access_token", "refresh_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at",
    ]  # fmt: skip
    assert body["scope"] == "refresh_token api"
    client = Client(standin.base, body["access_token"])
    assert client.get("/services/oauth2/userinfo").json()["preferred_username"] == ADMIN
    assert client.get("/limits").status_code == 200
    client.http.close()


def test_no_script_and_nobody_may_frame_it(browser):
    browser.authorize()
    reply = browser.http.get(browser.address, timeout=5)
    assert "<script" not in reply.text
    assert reply.headers["Content-Type"] == "text/html;charset=UTF-8"
    assert reply.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]


def test_what_comes_in_by_the_address_is_no_html(browser):
    browser.authorize(login_hint='"><script>alert(1)</script>')
    assert "<script" not in browser.text
    assert "&lt;script&gt;" in browser.text


def test_who_denies_sends_the_app_away(browser):
    browser.authorize().log_in().submit(decision="deny")
    assert browser.callback == {
        "error": "access_denied", "error_description": "end-user denied authorization", "state": "st&te",
    }  # fmt: skip
    assert "error_description=end-user+denied+authorization" in browser.address


def test_a_wrong_password_asks_again(browser):
    browser.authorize().log_in(password="wrong")
    assert 'role="alert"' in browser.text
    assert f'value="{ADMIN}"' in browser.text
    assert "is asking to" in browser.log_in().text


def test_the_second_time_nobody_is_asked(browser):
    code_of(browser)
    assert browser.authorize().callback["code"]
    assert "is asking to" in browser.authorize(prompt="consent").text
    assert "is asking to" in browser.authorize(scope="api refresh_token web").text
    assert "/login?" in browser.authorize(prompt="login").address
    assert browser.log_in().callback["code"]


def test_a_hint_at_another_user_asks_for_a_log_in(browser):
    code_of(browser)
    assert browser.authorize(login_hint=ADMIN.upper()).callback["code"]
    browser.authorize(login_hint="integration@gptweb.example")
    assert "/login?" in browser.address
    assert 'value="integration@gptweb.example"' in browser.text


def test_what_may_not_be_shown_is_refused(browser):
    assert browser.authorize(prompt="none").callback["error"] == "login_required"
    assert browser.authorize(immediate="true").callback["error"] == "immediate_unsuccessful"
    browser.authorize().log_in()
    assert browser.authorize(prompt="none").callback["error"] == "consent_required"
    browser.authorize().submit(decision="approve")
    assert browser.authorize(prompt="none").callback["code"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "error=invalid_client_id&amp;error_description=client identifier invalid"),
        (
            {"redirect_uri": CALLBACK + "/"},
            "error=redirect_uri_mismatch&amp;error_description=redirect_uri must match configuration",
        ),
        ({"redirect_uri": ""}, "error=redirect_uri_mismatch"),
        ({"redirect_uri": "https://evil.example/"}, "error=redirect_uri_mismatch"),
    ],
)
def test_a_foreign_address_gets_nothing(browser, changes, error):
    browser.authorize(**changes)
    assert (browser.status, browser.callback) == (400, {})
    assert error in browser.text


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"response_type": "magic"}, "unsupported_response_type", "response type not supported"),
        ({"scope": "api chatter_api"}, "invalid_scope", "the requested scope is not allowed"),
        ({"code_challenge_method": "S512"}, "invalid_request", "code challenge method not supported"),
    ],
)
def test_a_faulty_request_is_refused_at_the_callback(browser, changes, error, description):
    browser.authorize(**changes)
    assert browser.callback == {"error": error, "error_description": description, "state": "st&te"}


def test_an_app_may_insist_on_pkce(admin, browser):
    register(admin, pkce_required=True)
    browser.authorize(code_challenge="", code_challenge_method="")
    assert browser.callback["error_description"] == "missing required code challenge"


def test_an_app_for_chosen_users_only(admin, browser):
    register(admin, permitted_users="approved", approved=["someone@gptweb.example"])
    browser.authorize().log_in()
    assert browser.callback["error"] == "invalid_app_access"
    assert browser.callback["error_description"] == "user is not admin approved to access this app"
    register(admin, approved=[ADMIN])
    assert browser.authorize().callback["code"]


def test_a_form_from_elsewhere_decides_nothing(browser):
    browser.authorize().log_in()
    address = browser.address
    browser.go(address, "POST", {"decision": "approve", "proof": "guessed"})
    assert not browser.callback
    assert "is asking to" in browser.text


def test_the_log_in_page_leads_nowhere_else(standin):
    form = {"startURL": "https://evil.example/", "username": ADMIN, "pw": PASSWORD}
    reply = requests.post(f"{standin.base}/login", data=form, allow_redirects=False, timeout=5)
    assert reply.status_code == 200
    assert "Location" not in reply.headers


def test_logging_out(browser):
    code_of(browser)
    browser.go(f"{browser.base}/secur/logout.jsp")
    assert "/login?" in browser.authorize().address


class TestCodes:
    def test_a_code_is_good_once(self, standin, browser):
        code = code_of(browser)
        assert exchange(standin.base, code).status_code == 200
        assert refusal(exchange(standin.base, code)) == ("invalid_grant", "expired authorization code")

    def test_a_code_is_good_for_a_quarter_of_an_hour(self, standin, browser, admin):
        late, in_time = code_of(browser), code_of(browser)
        admin.post("/standin/clock", {"advance": 899})
        assert exchange(standin.base, in_time).status_code == 200
        admin.post("/standin/clock", {"advance": 1})
        assert refusal(exchange(standin.base, late)) == ("invalid_grant", "expired authorization code")

    @pytest.mark.parametrize(
        ("changes", "error", "description"),
        [
            ({"code": "aPrxNobody"}, "invalid_grant", "invalid authorization code"),
            ({"redirect_uri": CALLBACK + "/"}, "redirect_uri_mismatch", "redirect_uri must match configuration"),
            ({"client_secret": ""}, "invalid_client", "invalid client credentials"),
            ({"client_secret": "wrong"}, "invalid_client", "invalid client credentials"),
            ({"code_verifier": ""}, "invalid_grant", "invalid code verifier"),
            ({"code_verifier": VERIFIER + "x"}, "invalid_request", "invalid code verifier"),
            ({"code_verifier": CHALLENGE}, "invalid_request", "invalid code verifier"),
        ],
    )  # fmt: skip
    def test_refusals_leave_the_code_good(self, standin, browser, changes, error, description):
        code = code_of(browser)
        assert refusal(exchange(standin.base, code, **changes)) == (error, description)
        assert exchange(standin.base, code).status_code == 200

    def test_a_code_belongs_to_its_app(self, standin, browser, admin):
        other = admin.post("/standin/apps", {"redirect_uris": [CALLBACK]}).json()
        reply = exchange(
            standin.base,
            code_of(browser),
            client_id=other["client_id"],
            client_secret=other["client_secret"],
        )
        assert refusal(reply) == ("invalid_grant", "invalid authorization code")

    def test_plain_pkce_and_none(self, standin, browser):
        code = code_of(browser, code_challenge=VERIFIER, code_challenge_method="plain")
        assert exchange(standin.base, code).status_code == 200
        code = code_of(browser, code_challenge_method="")  # a hash all the same
        assert exchange(standin.base, code).status_code == 200
        code = code_of(browser, code_challenge="", code_challenge_method="")
        assert refusal(exchange(standin.base, code))[0] == "invalid_grant"
        assert exchange(standin.base, code, code_verifier="").status_code == 200

    def test_a_public_client_has_no_secret(self, standin, browser, admin):
        register(admin, public=True)
        assert exchange(standin.base, code_of(browser), client_secret="").status_code == 200

    def test_without_the_scope_there_is_no_refresh_token(self, standin, browser):
        body = exchange(standin.base, code_of(browser, scope="api id")).json()
        assert "refresh_token" not in body
        assert body["scope"] == "api id"

    def test_a_token_without_api_opens_no_api(self, standin, browser):
        client = Client(
            standin.base, exchange(standin.base, code_of(browser, scope="id")).json()["access_token"]
        )
        reply = client.get("/limits")
        assert reply.status_code == 401
        assert reply.json() == [
            {"message": "This session is not valid for use with the REST API", "errorCode": "INVALID_SESSION_ID"}
        ]  # fmt: skip
        assert client.get("/services/oauth2/userinfo").status_code == 200
        client.http.close()


def test_the_code_is_there_after_a_restart(tmp_path):
    first = Running("--data", str(tmp_path))
    admin = Client(first.base, ADMIN_TOKEN)
    register(admin, rotation=True)
    browser = Browser(first.base)
    code = code_of(browser)
    first.stop()
    second = Running("--data", str(tmp_path))
    body = exchange(second.base, code).json()
    assert body["refresh_token"].startswith("5Aep861")
    app = Client(second.base, ADMIN_TOKEN).get("/standin/apps").json()["apps"][0]
    assert (app["client_id"], app["rotation"], app["redirect_uris"]) == (CLIENT_ID, True, [CALLBACK])
    second.stop()
