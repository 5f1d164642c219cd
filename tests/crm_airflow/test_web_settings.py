"""The settings page and its API: what is shown, what is stored, what is refused with which words, and who is told to have done it."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from crm_sync.decide.settings import Settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.settings import load
from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
PAGE, API = f"/crm-sync/connections/{NAME}/settings", f"/crm-sync/api/v1/connections/{NAME}/settings"


@pytest.fixture
def hub_at_rest(hub):
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)
    yield hub
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)


@pytest.fixture
def admin(app, hub_at_rest):
    with browser(app, "admin") as client:
        yield client


def settings(hub: str) -> Settings:
    with closing(Database(hub)) as database, database.transaction() as tx:
        return load(tx, NAME).settings


def form(client) -> dict[str, str]:
    """What a browser would send of the page as it is."""
    text = client.get(PAGE).text
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', text))
    sent |= dict(re.findall(r'type="radio" name="(\w+)" value="(\w+)" checked', text))
    sent |= dict(re.findall(r'type="checkbox" name="(\w+)" value="(true)" checked', text))
    sent |= dict(re.findall(r'<input id="(\w+)" name="\w+" value="([^"]*)"', text))
    sent |= dict(re.findall(r'<textarea id="(\w+)"[^>]*>([^<]*)</textarea>', text))
    return sent


def test_every_setting_has_a_field_somewhere(admin, hub):
    from crm_airflow.web.settings_form import NAMES
    from crm_airflow.web.settings_words import ELSEWHERE

    assert set(Settings.model_fields) == {*NAMES, *ELSEWHERE}
    text = admin.get(PAGE).text
    assert all(f'name="{name}"' in text for name in NAMES)
    for page in ("mapping", "scope", "alerts"):
        assert f'href="/crm-sync/connections/{NAME}/{page}"' in text
        assert admin.get(f"/crm-sync/connections/{NAME}/{page}").status_code == 200


def test_each_number_says_its_unit_its_bounds_and_what_is_usual(admin, hub):
    text = admin.get(PAGE).text
    assert 'type="number" min="1" max="500" step="1"' in text
    assert "Usually 500 records." in text
    assert 'name="org_reserve" value="10" type="number" min="0" max="99"' in text
    assert "Usually 10 %." in text
    assert "Blank: it never waits. Usually 5,000 records." in text


def test_a_form_that_is_sent_as_it_is_changes_nothing(admin, hub):
    sent = form(admin)
    assert len(sent) > 20
    assert admin.post(PAGE, data=sent, headers=BUTTON).status_code == 303
    assert rows(hub, "select settings from crm_sync.connection where name = %s", NAME) == [({},)]


def test_what_a_person_changes_is_stored_and_told(admin, hub):
    sent = {**form(admin), "frequency": "realtime", "daily_calls": "9000", "approve_creations_above": "",
            "sales_users": "ann@sales.example\r\n 005000000000001AAA ", "org_reserve": "12,5"}  # fmt: skip
    del sent["create_leads"]
    reply = admin.post(PAGE, data=sent, headers=BUTTON)
    assert reply.status_code == 303, reply.text
    found = settings(hub)
    assert (found.frequency, found.daily_calls, found.approve_creations_above) == ("realtime", 9000, None)
    assert (found.create_leads, found.org_reserve) == (False, 0.125)
    assert found.sales_users == ("ann@sales.example", "005000000000001AAA")
    text = admin.get(reply.headers["Location"]).text
    assert "Stored. The next run works by it." in text
    assert "<td>admin</td><td>All runs together, at most</td><td>15,000</td><td>9,000</td>" in text
    assert "<td>Sync frequency</td><td>Every 5 minutes</td><td>Real-time (every minute)</td>" in text
    assert "<td>10 %</td><td>12.5 %</td>" in text
    (newest, *_) = admin.get(f"{API}/changes").json()
    assert newest["who"] == "admin"


def test_everything_wrong_is_said_with_what_to_enter_and_nothing_is_stored_nor_lost(admin, hub):
    sent = {**form(admin), "daily_calls": "many", "batch_size": "600", "org_reserve": "100", "sales_users": "ann",
            "frequency": "hourly", "direction": "up"}  # fmt: skip
    reply = admin.post(PAGE, data=sent, headers=BUTTON)
    assert reply.status_code == 409
    for words in (
        "All runs together, at most: enter a whole number, at least 1.",
        "One batch, at most: enter a whole number from 1 to 500.",
        "Left to the org&#39;s other users: enter a number from 0 to 99.",
        "Users: ann is neither a username",
        "Sync direction: enter one of the choices.",
    ):
        assert words in reply.text
    assert '<a href="#daily_calls">' in reply.text
    assert 'aria-invalid="true" aria-describedby="daily_calls-wrong daily_calls-help"' in reply.text
    assert 'value="many"' in reply.text
    assert 'value="hourly" checked' in reply.text
    assert settings(hub) == Settings()


def test_nobody_overwrites_what_somebody_else_has_stored_meanwhile(admin, hub):
    mine = {**form(admin), "daily_calls": "100"}
    assert admin.post(PAGE, data={**form(admin), "daily_calls": "200"}, headers=BUTTON).status_code == 303
    reply = admin.post(PAGE, data=mine, headers=BUTTON)
    assert reply.status_code == 409
    assert "Somebody changed the settings" in reply.text
    assert settings(hub).daily_calls == 200


def test_the_api_changes_some_and_keeps_the_others(admin, hub):
    before = admin.get(API).json()
    reply = admin.patch(
        API, json={"settings": {"frequency": "15min"}, "mark": before["mark"]}, headers=BUTTON
    )
    assert reply.json()["settings"] == {**before["settings"], "frequency": "15min"}
    assert rows(hub, "select settings from crm_sync.connection where name = %s", NAME) == [
        ({"frequency": "15min"},)
    ]
    again = admin.patch(API, json={"settings": {"frequency": "5min"}, "mark": before["mark"]}, headers=BUTTON)
    assert (again.status_code, again.headers["Content-Type"]) == (409, "application/problem+json")
    wrong = admin.patch(API, json={"settings": {"frequncy": "5min"}}, headers=BUTTON)
    assert "frequncy" in wrong.json()["detail"]


def test_a_viewer_may_look_but_not_touch(app, hub_at_rest):
    with browser(app, "viewer") as viewer:
        text = viewer.get(PAGE).text
        assert "disabled" in text
        assert ">Store<" not in text
        assert viewer.post(PAGE, data={"frequency": "hourly"}, headers=BUTTON).status_code == 403
        assert viewer.patch(API, json={"settings": {}}, headers=BUTTON).status_code == 403
    with browser(app) as stranger:
        assert stranger.get(PAGE).status_code == 303
        assert stranger.get(API).status_code == 401


def test_what_was_changed_elsewhere_is_told_in_words_too(admin, hub):
    wanted = {
        "alerts": [{"via": "mail", "to": ["ann@sales.example"]}, {"via": "webhook", "conn_id": "chat"}],
        "scope": {"lead": {"ours": [{"field": "total_score", "op": ">=", "value": 30}]}},
        "mapping": {"contact": {"without": ["department"]}},
    }
    assert admin.patch(API, json={"settings": wanted}, headers=BUTTON).status_code == 200
    text = admin.get(PAGE).text
    assert "<td>Who is told</td><td>–</td><td>ann@sales.example; webhook chat</td>" in text
    assert "<td>Scope</td><td>–</td><td>lead, GPTWeb: total_score &gt;= 30</td>" in text
    assert "<td>Field mapping</td><td>–</td><td>contact: department taken out</td>" in text
