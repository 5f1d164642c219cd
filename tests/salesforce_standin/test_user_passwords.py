"""The password of a user over REST, and what a user had to do with last."""

from typing import Any

from tests.salesforce_standin.running import CLIENT_ID, CLIENT_SECRET, Client


def _log_in(client: Client, username: str, password: str) -> Any:
    form = {
        "grant_type": "password",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "username": username,
        "password": password,
    }
    return client.http.post(client.base + "/services/oauth2/token", data=form, timeout=10)


def test_a_password_is_set_and_reset(admin):
    (anna,) = admin.rows("SELECT Id, Username FROM User WHERE Username LIKE 'anna%'")
    address = f"/sobjects/User/{anna['Id']}/password"
    assert admin.get(address).json() == {"isExpired": False}
    assert admin.post(address, {"NewPassword": "a-new-password"}).status_code == 204
    assert _log_in(admin, anna["Username"], "a-new-password").status_code == 200
    made = admin.delete(address).json()["NewPassword"]
    assert _log_in(admin, anna["Username"], "a-new-password").status_code == 400
    assert _log_in(admin, anna["Username"], made).status_code == 200
    short = admin.post(address, {"NewPassword": "x"})
    assert (short.status_code, short.json()[0]["errorCode"]) == (400, "INVALID_NEW_PASSWORD")
    ben = admin.post("/standin/sessions", {"username": "ben.sales@example.com"}).json()["access_token"]
    theirs = Client(admin.base, ben).post(address, {"NewPassword": "a-new-password"})
    assert (theirs.status_code, theirs.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
    assert admin.get("/sobjects/User/0055g000000zzzzAAA/password").status_code == 404


def test_what_was_written_last_comes_first(admin):
    for name in ("A", "B"):
        admin.create("Account", Name=name)
    admin.post("/standin/clock", {"advance": 2})
    contact = admin.create("Contact", LastName="C", FirstName="F")
    recent = admin.get("/recent", params={"limit": 2}).json()
    assert recent[0] == {
        "attributes": {"type": "Contact", "url": f"{admin.root}/sobjects/Contact/{contact}"},
        "Id": contact,
        "Name": "F C",
    }
    assert len(recent) == 2
    assert admin.get("/recent", params={"limit": "x"}).status_code == 400
