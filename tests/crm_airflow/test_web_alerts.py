"""The page of the alerts: who is told of what, by mail or webhook; the address that Airflow keeps; and a message to try it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from crm_sync.decide.alerts import EVENTS, Alert, AlertState
from crm_sync.ledger.database import Database
from crm_sync.ledger.settings import load
from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
PAGE, API = f"/crm-sync/connections/{NAME}/alerts", f"/crm-sync/api/v1/connections/{NAME}/alerts"
ALL = list(EVENTS)


class Chat(BaseHTTPRequestHandler):
    """The other end of a webhook."""

    heard: list[tuple[str, str | None, dict[str, str]]]

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.heard.append((self.path, self.headers["Authorization"], content))
        self.send_response(200 if "right" in self.path else 404)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Quiet."""


@pytest.fixture
def chat() -> Iterator[tuple[str, list[tuple[str, str | None, dict[str, str]]]]]:
    """A webhook's address, and what was sent there."""
    heard: list[tuple[str, str | None, dict[str, str]]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Heard", (Chat,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", heard
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def admin(app, hub, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)
    with browser(app, "admin") as client:
        yield client
        for conn_id in ("sales_chat", "smtp_default"):
            client.delete(f"/api/v2/connections/{conn_id}")
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)


def told(hub: str) -> list[dict]:
    with closing(Database(hub)) as database, database.transaction() as tx:
        return [one.model_dump(mode="json") for one in load(tx, NAME).settings.alerts]


def mail(client, to: str, events=ALL, **more: str):
    return client.post(PAGE, data={"via": "mail", "to": to, "events": events, **more}, headers=BUTTON)


def webhook(client, name: str, address: str = "", **more):
    sent = {"via": "webhook", "conn_id": name, "address": address, "events": ALL, **more}
    return client.post(PAGE, data=sent, headers=BUTTON)


def test_people_are_told_changed_and_taken_out(admin, hub):
    assert "Nobody is told yet" in admin.get(PAGE).text
    reply = mail(admin, "ann@sales.example, bo@sales.example")
    assert reply.status_code == 303, reply.text
    (one,) = told(hub)
    assert (one["to"], one["events"]) == (["ann@sales.example", "bo@sales.example"], [])
    text = admin.get(reply.headers["Location"]).text
    assert "Stored. The next message goes by it." in text
    assert "<td>everything</td>" in text
    (key,) = re.findall(r'name="target" value="([^"]*)" aria-label="Take out', text)
    assert mail(admin, "ann@sales.example", ["failing", "stalled"], instead_of=key).status_code == 303
    stale = mail(admin, "ann@sales.example", ["failing"], instead_of="mail somebody@else.example")
    assert (stale.status_code, "open the page again" in stale.text) == (409, True)
    assert [(one["to"], one["events"]) for one in told(hub)] == [
        (["ann@sales.example"], ["failing", "stalled"])
    ]
    assert "<td>failing, stalled</td>" in admin.get(PAGE).text
    assert "is told already" in mail(admin, "ann@sales.example").text
    gone = {"target": "mail smtp_default: ann@sales.example"}
    assert admin.post(f"{PAGE}/remove", data=gone, headers=BUTTON).status_code == 303
    assert told(hub) == []
    who = (
        "select who from crm_sync.audit_trail where connection = %s and rule = 'setting_changed' and field = 'alerts' "
        "order by at desc limit 3"  # other tests change it as well
    )
    assert rows(hub, who, NAME) == [("admin",)] * 3


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"via": "mail", "to": "ann", "events": ALL}, "ann is no mail address"),
        ({"via": "mail", "to": " ", "events": ALL}, "Enter at least one mail address."),
        ({"via": "mail", "to": "ann@sales.example"}, "Choose at least one thing to tell them of."),
        ({"via": "webhook", "conn_id": "", "events": ALL}, "Name: give it a name"),
        ({"via": "webhook", "conn_id": "sales_chat", "events": ALL}, "Enter the address"),
        (
            {"via": "webhook", "conn_id": "sales_chat", "address": "http://chat.example/x", "events": ALL},
            "begins with https://",
        ),
    ],
)
def test_what_can_not_be_told_is_refused_with_what_to_enter(admin, hub, sent, words):
    reply = admin.post(PAGE, data=sent, headers=BUTTON)
    assert reply.status_code == 409
    assert words in reply.text
    assert told(hub) == []


def test_a_webhook_is_kept_by_airflow_and_tried_out(admin, hub, chat):
    address, heard = chat
    assert webhook(admin, "sales_chat", f"{address}/right?key=a-secret", token="a-token").status_code == 303
    assert told(hub)[0]["conn_id"] == "sales_chat"
    kept = admin.get("/api/v2/connections/sales_chat").json()
    assert (kept["conn_type"], kept["host"]) == ("http", address), "the secret part is where Airflow encrypts"
    assert "a-secret" not in admin.get(f"{PAGE}?change=webhook%20sales_chat").text
    reply = admin.post(f"{PAGE}/try", data={"target": "webhook sales_chat"}, headers=BUTTON)
    assert reply.status_code == 303, reply.text
    path, token, content = heard.pop()
    assert (path, token) == ("/right?key=a-secret", "Bearer a-token")
    assert content["text"].startswith(f"CRM sync {NAME}: test message")
    assert rows(
        hub, "select detail from crm_sync.decision where connection = %s and rule = 'alert_tried'", NAME
    ) == [("test message to webhook sales_chat, by admin",)]

    # Another address alone: the token stays.  One that does not take it is said, without the address.
    assert (
        webhook(admin, "sales_chat", f"{address}/wrong", instead_of="webhook sales_chat").status_code == 303
    )
    reply = admin.post(f"{PAGE}/try", data={"target": "webhook sales_chat"}, headers=BUTTON)
    assert reply.status_code == 409
    assert "webhook sales_chat answered 404" in reply.text
    assert heard.pop()[:2] == ("/wrong", "Bearer a-token")
    asked = admin.post(f"{API}/try", json={"target": 0}, headers=BUTTON)
    assert (asked.status_code, asked.headers["Content-Type"]) == (503, "application/problem+json")
    assert admin.post(f"{API}/try", json={"target": 1}, headers=BUTTON).status_code == 404


def test_a_connection_of_somebody_else_is_not_overwritten(admin, hub):
    made = {"connection_id": "sales_chat", "conn_type": "http", "host": "https://theirs.example"}
    assert admin.post("/api/v2/connections", json=made).status_code == 201
    assert "which may serve others" in webhook(admin, "sales_chat", "https://ours.example/x").text
    assert admin.get("/api/v2/connections/sales_chat").json()["host"] == "https://theirs.example"
    assert webhook(admin, "sales_chat").status_code == 303


def test_the_mail_server_is_kept_by_airflow(admin, hub):
    sent = {"host": "smtp.sales.example", "port": "465", "login": "crm", "password": "a-password", "sender": "crm@sales.example",
            "encryption": "ssl"}  # fmt: skip
    assert admin.post(f"{PAGE}/server", data=sent, headers=BUTTON).status_code == 303
    del sent["password"]
    assert admin.post(f"{PAGE}/server", data={**sent, "port": "2465"}, headers=BUTTON).status_code == 303
    text = admin.get(PAGE).text
    assert 'value="smtp.sales.example"' in text
    assert "a-password" not in text
    from airflow.sdk import BaseHook

    more = {"connection_id": "smtp_default", "conn_type": "smtp",
            "extra": json.dumps({"timeout": 7, "client_secret": "hidden", "disable_ssl": True})}  # fmt: skip
    assert admin.patch("/api/v2/connections/smtp_default?update_mask=extra", json=more).status_code == 200
    assert admin.post(f"{PAGE}/server", data={**sent, "port": "2465"}, headers=BUTTON).status_code == 303
    kept = BaseHook.get_connection("smtp_default")
    assert (kept.port, kept.login, kept.password) == (2465, "crm", "a-password")
    assert kept.extra_dejson == {"from_email": "crm@sales.example", "disable_ssl": False, "disable_tls": True,
                                 "timeout": 7, "client_secret": "hidden"}  # fmt: skip


def test_patience_is_a_setting_like_others(admin, hub):
    assert admin.post(f"{PAGE}/patience", data={"stall_minutes": "90"}, headers=BUTTON).status_code == 303
    refused = admin.post(f"{PAGE}/patience", data={"stall_minutes": "2"}, headers=BUTTON)
    assert refused.status_code == 409
    assert "Say that a sync is stalled after: enter a whole number, at least 5." in refused.text
    assert rows(hub, "select settings from crm_sync.connection where name = %s", NAME) == [
        ({"stall_minutes": 90},)
    ]


def test_a_viewer_may_look_but_not_touch(app, hub, admin):
    assert mail(admin, "ann@sales.example").status_code == 303
    with browser(app, "viewer") as viewer:
        text = viewer.get(PAGE).text
        assert "ann@sales.example" in text
        assert "<button" not in text
        for path, sent in (
            ("", {"via": "mail"}),
            ("/try", {"target": "x"}),
            ("/remove", {"target": "x"}),
            ("/patience", {}),
            ("/server", {}),
        ):
            assert viewer.post(PAGE + path, data=sent, headers=BUTTON).status_code == 403
        assert viewer.post(f"{API}/try", json={"target": 0}, headers=BUTTON).status_code == 403


def test_who_chose_some_events_is_told_of_them_and_of_their_end():
    from pydantic import TypeAdapter

    from crm_sync.decide.alerts import AlertTarget

    target = TypeAdapter(AlertTarget).validate_python(
        {"via": "webhook", "conn_id": "pager", "events": ["failing"]}
    )
    steps: list[tuple[AlertState, AlertState]] = [
        ("healthy", "failing"), ("failing", "healthy"), ("failing", "paused"), ("healthy", "paused"), ("paused", "healthy"),
    ]  # fmt: skip
    assert [target.wants(Alert("x", was, state, "", "")) for was, state in steps] == [
        True,
        True,
        True,
        False,
        False,
    ]
