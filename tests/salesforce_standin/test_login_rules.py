"""Who may log in, and how many calls there are: the org's settings under /standin/settings."""

import pytest
import requests

from tests.salesforce_standin.browser import ADMIN, Browser, ask, refusal, register, soap_login
from tests.salesforce_standin.running import ADMIN_TOKEN, CLIENT_ID, CLIENT_SECRET, Client, Running, token_of

INTEGRATION = "integration@gptweb.example"


def log_in(base: str) -> requests.Response:
    return ask(base, grant_type="client_credentials", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest.mark.parametrize(
    ("settings", "error", "description"),
    [
        ({"login_ranges": ["203.0.113.0/24"]}, "invalid_grant", "ip restricted"),
        ({"login_hours": [0, 0]}, "invalid_grant", "IP restricted or invalid login hours"),
        ({"org_locked": True}, "inactive_org", "organization is locked or suspended"),
        ({"logins_per_hour": 0}, "rate_limit_exceeded", "login rate exceeded"),
    ],
)
def test_who_is_kept_out(standin, admin, settings, error, description):
    assert admin.post("/standin/settings", settings).status_code == 200
    assert refusal(log_in(standin.base)) == (error, description)
    register(admin)
    page = Browser(standin.base).authorize().log_in()
    assert f"You can&#x27;t log in: {description}." in page.text


def test_networks_and_hours_that_fit(standin, admin):
    hour = int(admin.get("/standin/clock").json()["now"][11:13])
    admin.post("/standin/settings", {"login_ranges": ["203.0.113.0/24", "127.0.0.0/8"]})
    admin.post("/standin/settings", {"login_hours": [hour, (hour + 1) % 24]})
    assert log_in(standin.base).status_code == 200
    admin.post("/standin/clock", {"advance": 7200})
    assert refusal(log_in(standin.base))[0] == "invalid_grant"


def test_the_rate_is_per_user_and_hour(standin, admin):
    admin.post("/standin/settings", {"logins_per_hour": 2})
    assert [log_in(standin.base).status_code for _ in range(3)] == [200, 200, 400]
    assert soap_login(standin.base, ADMIN).status_code == 200
    admin.post("/standin/clock", {"advance": 3600})
    assert log_in(standin.base).status_code == 200


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"login_ranges": ["203.0.113.0/24"]}, "LOGIN_DURING_RESTRICTED_DOMAIN"),
        ({"login_hours": [0, 0]}, "LOGIN_DURING_RESTRICTED_TIME"),
        ({"logins_per_hour": 0}, "LOGIN_RATE_EXCEEDED"),
    ],
)
def test_soap_says_it_in_its_own_words(standin, admin, settings, code):
    admin.post("/standin/settings", settings)
    reply = soap_login(standin.base, ADMIN)
    assert reply.status_code == 500
    assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in reply.text


def soap_call(base: str, name: str, token: str) -> requests.Response:
    envelope = (
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n1="urn:partner.soap.sforce.com">'
        f"<env:Header><n1:SessionHeader><n1:sessionId>{token}</n1:sessionId></n1:SessionHeader></env:Header>"
        f"<env:Body><n1:{name}/></env:Body></env:Envelope>"
    )
    headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
    return requests.post(f"{base}/services/Soap/u/66.0", data=envelope, headers=headers, timeout=5)


def test_soap_says_who_one_is_and_logs_out(standin, client, admin):
    admin.post("/standin/features", {"multiCurrency": ["EUR"]})
    reply = soap_call(standin.base, "getUserInfo", client.token)
    assert reply.status_code == 200
    assert f"<userName>{INTEGRATION}</userName>" in reply.text
    assert "<organizationMultiCurrency>true</organizationMultiCurrency>" in reply.text
    assert "<timestamp>" in soap_call(standin.base, "getServerTimestamp", client.token).text
    assert soap_call(standin.base, "logout", client.token).status_code == 200
    assert client.get("/limits").status_code == 401
    gone = soap_call(standin.base, "getUserInfo", client.token)
    assert gone.status_code == 500
    assert "<sf:exceptionCode>INVALID_SESSION_ID</sf:exceptionCode>" in gone.text


@pytest.mark.parametrize(("kind", "version"), [("u", "66.0"), ("m", "66.0")])
def test_what_is_no_call_of_soap_gets_a_fault_without_a_code(standin, client, kind, version):
    """Seen at real orgs: github.com/watzon/salesforce-angular2-boilerplate/issues/14."""
    space = {"u": "urn:partner.soap.sforce.com", "m": "http://soap.sforce.com/2006/04/metadata"}[kind]
    envelope = (
        f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{space}"><e:Header><SessionHeader>'
        f"<sessionId>{ADMIN_TOKEN}</sessionId></SessionHeader></e:Header><e:Body><nothing/></e:Body></e:Envelope>"
    )
    address = f"{standin.base}/services/Soap/{kind}/{version}"
    reply = requests.post(
        address, data=envelope, headers={"Content-Type": "text/xml", "SOAPAction": '""'}, timeout=5
    )
    wanted = f"No operation available for request {{{space}}}nothing, please check the WSDL for the service."
    assert f"<faultcode>soapenv:Client</faultcode><faultstring>{wanted}</faultstring></" in reply.text
    reply = requests.post(address, data=envelope, headers={"Content-Type": "text/xml"}, timeout=5)
    assert reply.status_code == 500
    assert "<faultstring>SOAPAction HTTP header missing</faultstring>" in reply.text


def test_soap_login_can_be_off(standin, admin):
    admin.post("/standin/settings", {"soap_login": False})
    reply = soap_login(standin.base, ADMIN)
    assert "<sf:exceptionCode>INVALID_OPERATION</sf:exceptionCode>" in reply.text


def test_a_password_of_ones_own(tmp_path):
    running = Running("--data", str(tmp_path))
    admin = Client(running.base, ADMIN_TOKEN)
    admin.post("/standin/passwords", {"username": ADMIN, "password": "an other"})
    running.stop()
    running = Running("--data", str(tmp_path))
    admin = Client(running.base, ADMIN_TOKEN)
    register(admin)
    browser = Browser(running.base)
    assert "alert" in browser.authorize().log_in().text
    assert "is asking to" in browser.log_in(password="an other").text
    assert "is asking to" in Browser(running.base).authorize().log_in(INTEGRATION).text
    assert "an other" not in (tmp_path / "org.sqlite3").read_bytes().decode("latin-1")
    running.stop()


class TestSessions:
    def test_a_short_life(self, client, admin):
        admin.post("/standin/settings", {"session_seconds": 30})
        assert client.get("/limits").status_code == 200
        admin.post("/standin/clock", {"advance": 30})
        reply = client.get("/limits")
        assert reply.status_code == 401
        assert reply.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
        assert client.get("/services/oauth2/userinfo").text == "Bad_OAuth_Token"
        assert client.get("/services/oauth2/userinfo").status_code == 403

    def test_ended_by_hand(self, standin, client, admin):
        other = Client(standin.base, token_of(standin.base))
        assert admin.post("/standin/sessions/expire", {"username": INTEGRATION}).json() == {"ended": 2}
        assert [c.get("/limits").status_code for c in (client, other, admin)] == [401, 401, 200]
        assert admin.post("/standin/sessions/expire", {"username": "nobody"}).status_code == 400
        other.http.close()


class TestUsage:
    def shown(self, client: Client) -> int:
        return int(client.get("/limits").headers["Sforce-Limit-Info"].partition("=")[2].partition("/")[0])

    def test_the_figure_lags_and_goes_back_and_forth(self, client):
        seen = [self.shown(client) for _ in range(60)]
        assert seen != sorted(seen)
        assert all(number - 10 <= shown <= number for number, shown in enumerate(seen, 1))

    def test_it_can_be_exact(self, client, admin):
        admin.post("/standin/settings", {"limit_lag": 0})
        assert [self.shown(client) for _ in range(5)] == [1, 2, 3, 4, 5]

    def test_the_same_seed_lags_the_same(self, client):
        again = Running()
        other = Client(again.base, token_of(again.base))
        assert [self.shown(client) for _ in range(20)] == [self.shown(other) for _ in range(20)]
        other.http.close()
        again.stop()

    def test_a_smaller_allowance(self, client, admin):
        admin.post("/standin/settings", {"daily_limit": 2, "limit_lag": 0})
        replies = [client.get("/limits") for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 403]
        assert replies[2].json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]
        assert replies[2].headers["Sforce-Limit-Info"] == "api-usage=2/2"


def test_a_paying_org_may_overrun(client, admin):
    admin.post("/standin/settings", {"daily_limit": 1, "limit_overrun": 1, "limit_lag": 0})
    replies = [client.get("/limits") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 403]
    assert replies[1].headers["Sforce-Limit-Info"] == "api-usage=2/1"


def test_settings_stay_over_a_restart(tmp_path):
    running = Running("--data", str(tmp_path))
    Client(running.base, ADMIN_TOKEN).post("/standin/settings", {"session_seconds": 5})
    running.stop()
    running = Running("--data", str(tmp_path))
    settings = Client(running.base, ADMIN_TOKEN).get("/standin/settings").json()
    assert (settings["session_seconds"], settings["daily_limit"]) == (5, 15000)
    running.stop()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"color": "red"},
        {"session_seconds": "5"},
        {"org_locked": 1},
        {"login_ranges": ["everywhere"]},
        {"login_hours": [8]},
        {"login_hours": [8, 25]},
    ],
)
def test_nonsense_changes_nothing(admin, nonsense):
    before = admin.get("/standin/settings").json()
    reply = admin.post("/standin/settings", {"limit_lag": 3, **nonsense})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
    assert admin.get("/standin/settings").json() == before


def test_identity_addresses(standin, client, admin):
    mine = client.get("/services/oauth2/userinfo").json()["sub"].removeprefix(standin.base)
    assert client.get(mine).json()["asserted_user"] is True
    assert admin.get(mine).json()["asserted_user"] is False
    org, user = mine.split("/")[2:]
    assert client.get(f"/id/00D000000000000EAA/{user}").status_code == 403
    assert client.get(f"/id/{org}/005000000000000AAA").text == "Bad_Id"
    assert requests.get(standin.base + mine, timeout=5).text == "Missing_OAuth_Token"
