"""What every reply has in common: versions, headers, the body's spelling, counting."""

import re

import pytest
import requests

from tests.salesforce_standin.running import ADMIN_TOKEN


def test_versions_are_listed_without_a_token_and_without_being_counted(standin, admin):
    reply = requests.get(f"{standin.base}/services/data/", timeout=5)
    listed = reply.json()
    assert listed[0] == {"label": "Summer '14", "url": "/services/data/v31.0", "version": "31.0"}
    assert listed[-1] == {"label": "Spring '26", "url": "/services/data/v66.0", "version": "66.0"}
    assert {entry["version"]: entry["label"] for entry in listed}["65.0"] == "Winter '26"
    assert "Sforce-Limit-Info" not in reply.headers
    assert admin.get("/standin/calls").json()["api_usage"] == 0


def test_a_retired_version_is_gone(admin):
    assert admin.get("/services/data/v30.0/sobjects").status_code == 410
    assert admin.get("/services/data/v67.0/sobjects").status_code == 404


def test_header_names_keep_their_usual_case(standin):
    connection = requests.get(
        f"{standin.base}/services/data/v66.0/limits",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        stream=True,
        timeout=5,
    )
    names = list(connection.raw.headers.keys())
    assert {"Content-Type", "Sforce-Limit-Info", "Date", "Set-Cookie", "Cache-Control", "Vary"} <= set(names)
    assert connection.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert connection.headers["Cache-Control"] == "no-cache,must-revalidate,max-age=0,no-store,private"
    connection.close()


def test_limit_header_counts_with_a_jitter(admin):
    replies = [admin.get("/sobjects") for _ in range(30)]
    shown = re.fullmatch(r"api-usage=(\d+)/15000", replies[-1].headers["Sforce-Limit-Info"])
    assert shown is not None
    assert abs(int(shown[1]) - 30) <= 10
    left = admin.get("/limits").json()["DailyApiRequests"]
    assert left == {"Max": 15000, "Remaining": 14969}


def test_not_found_carries_the_limit_header_and_its_recorded_body(admin):
    reply = admin.get("/sobjects/Foo")
    assert reply.status_code == 404
    assert reply.text == '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    assert "Sforce-Limit-Info" in reply.headers


@pytest.mark.parametrize("header", ["", "Bearer 00D5g0000012345!nobody", "Basic abc"])
def test_a_bad_token_is_refused(standin, header):
    reply = requests.get(
        f"{standin.base}/services/data/v66.0/limits", headers={"Authorization": header}, timeout=5
    )
    assert reply.status_code == 401
    assert reply.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert "Sforce-Limit-Info" not in reply.headers


def test_the_oauth_scheme_is_good_too(standin):
    headers = {"Authorization": f"OAuth {ADMIN_TOKEN}"}
    assert (
        requests.get(f"{standin.base}/services/data/v59.0/limits", headers=headers, timeout=5).status_code
        == 200
    )


def test_resources_of_a_version(admin):
    reply = admin.get("")
    assert reply.json()["sobjects"] == "/services/data/v66.0/sobjects"
    assert reply.json()["tooling"] == "/services/data/v66.0/tooling"


def test_pretty_printing(admin):
    reply = admin.get("/limits/recordCount?sObjects=Organization", headers={"X-PrettyPrint": "1"})
    # As CumulusCI's cassettes record it.
    assert reply.text == '{\n  "sObjects" : [ {\n    "count" : 1,\n    "name" : "Organization"\n  } ]\n}'
    empty = admin.get("/limits/recordCount?sObjects=Lead", headers={"X-PrettyPrint": "1"})
    assert empty.text == '{\n  "sObjects" : [ ]\n}'


def test_long_replies_are_packed_on_request(admin):
    packed = admin.get("/sobjects/Account/describe")
    assert packed.headers["Content-Encoding"] == "gzip"
    plain = admin.get("/sobjects/Account/describe", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json() == packed.json()


def test_a_body_that_is_no_json(admin):
    reply = admin.call(
        "POST", "/sobjects/Account", data=b"{nope", headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 400
    assert reply.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    reply = admin.call("POST", "/sobjects/Account", data={"Name": "x"})
    assert (reply.status_code, reply.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_method_not_allowed(admin):
    reply = admin.call("PUT", "/query")
    assert reply.status_code == 405
    assert reply.json() == [
        {"message": "HTTP Method 'PUT' not allowed. Allowed are GET,HEAD", "errorCode": "METHOD_NOT_ALLOWED"}
    ]


def test_long_addresses(admin):
    ids = ",".join(["001000000000000AAA"] * 800)
    assert len(admin.get(f"/composite/sobjects/Account?fields=Id&ids={ids}").json()) == 800
    assert admin.get(f"/composite/sobjects/Account?fields=Id&ids={ids},{ids}").status_code == 414


def test_head(admin):
    account = admin.create("Account", Name="A")
    reply = admin.call("HEAD", f"/sobjects/Account/{account}")
    assert (reply.status_code, reply.content) == (200, b"")
    assert admin.call("HEAD", "/sobjects/Account/001000000000000AAA").status_code == 404


class TestLimit:
    def test_the_hard_cap(self, admin):
        admin.post("/standin/usage", {"used": 14_999})
        assert admin.get("/limits").status_code == 200
        reply = admin.get("/limits")
        assert reply.status_code == 403
        assert reply.json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]

    def test_the_window_rolls(self, standin, admin):
        """14,500 calls at 05:00 and 499 at 23:00 leave one call until 05:00."""
        admin.post("/standin/usage", {"used": 14_500})
        admin.post("/standin/clock", {"advance": 18 * 3600})
        standin.org.meter.count(499)
        assert admin.get("/limits").status_code == 200
        assert admin.get("/limits").status_code == 403
        admin.post("/standin/clock", {"advance": 6 * 3600 + 60})
        assert admin.get("/limits").json()["DailyApiRequests"]["Remaining"] == 15_000 - 501
