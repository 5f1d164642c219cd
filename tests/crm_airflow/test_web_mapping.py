"""The mapping page and its API: a field is added, changed, taken out and put back, checked against the org and our tables."""

from __future__ import annotations

import re

import pytest

from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
PAGE, API = f"/crm-sync/connections/{NAME}/mapping", f"/crm-sync/api/v1/connections/{NAME}/mapping"


@pytest.fixture
def admin(app, hub):
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)
    with browser(app, "admin") as client:
        yield client
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)


def contact(client) -> dict[str, dict]:
    found = next(one for one in client.get(API).json() if one["object"] == "contact")
    return {field["ours"]: field for field in found["fields"]}


def send(client, **values: str):
    return client.post(PAGE, data={"object": "contact", **values}, headers=BUTTON)


def test_a_field_moves_to_another_counterpart_and_back(admin, hub):
    assert send(admin, ours="department", action="out").status_code == 303
    reply = send(admin, ours="title", theirs="Department", policy="crm_wins")
    assert reply.status_code == 303, reply.text
    found = contact(admin)
    assert (found["title"]["theirs"], found["title"]["policy"], found["title"]["own"]) == (
        "Department",
        "crm_wins",
        True,
    )
    assert "department" not in found
    text = admin.get(PAGE).text
    assert "changed here" in text
    assert "Put back department" in text
    assert send(admin, ours="title", action="back").status_code == 303
    assert send(admin, ours="department", action="back").status_code == 303
    assert contact(admin)["title"]["own"] is False
    told = rows(
        hub, "select who from crm_sync.audit_trail where rule = 'setting_changed' and field = 'mapping'"
    )
    assert set(told) == {("admin",)}
    assert len(told) >= 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"ours": "title", "theirs": "Nonesuch__c"},
            "Contact.Nonesuch__c: the integration user sees no such field",
        ),
        ({"ours": "title", "theirs": "HasOptedOutOfEmail"}, "wanted a field that carries text"),
        ({"ours": "title", "theirs": "Department"}, "already that of"),
        ({"ours": "total_score", "theirs": "Title", "type": "number"}, "wanted a field that carries number"),
        ({"ours": "title", "theirs": "Title", "min_interval": "soon"}, "is not a time like"),
        (
            {"ours": "title", "theirs": "AssistantName", "type": "number"},
            "wanted a field that carries number",
        ),
    ],
)
def test_what_does_not_fit_either_side_is_refused_and_kept_in_the_form(admin, hub, values, words):
    reply = send(admin, **values)
    assert reply.status_code == 409
    assert words in reply.text
    assert f'value="{values["theirs"]}"' in reply.text
    assert rows(hub, "select settings from crm_sync.connection where name = %s", NAME) == [({},)]


def test_the_api_does_the_same(admin, hub):
    block = {"ours": "title", "theirs": "AssistantName"}
    assert admin.put(f"{API}/contact/title", json=block, headers=BUTTON).status_code == 200
    assert contact(admin)["title"]["theirs"] == "AssistantName"
    assert admin.put(f"{API}/contact/phone", json=block, headers=BUTTON).status_code == 409
    assert admin.delete(f"{API}/contact/title", headers=BUTTON).json()["without"] == ["title"]
    refused = admin.delete(f"{API}/contact/email", headers=BUTTON)
    assert "needed to match" in refused.json()["detail"]


def test_what_a_field_is_beside_its_counterpart_stays(admin, hub):
    reply = send(admin, ours="opted_out_of_email", theirs="HasOptedOutOfEmail", type="boolean")
    assert reply.status_code == 303, reply.text
    assert contact(admin)["opted_out_of_email"]["rule"] == "opt_out_wins"


def test_a_viewer_may_look_but_not_touch(app, hub):
    with browser(app, "viewer") as viewer:
        text = viewer.get(PAGE).text
        assert "GPTWeb_AI_Score__c" in text
        assert "Take out" not in text
        assert send(viewer, ours="title", action="out").status_code == 403
        assert viewer.delete(f"{API}/contact/title", headers=BUTTON).status_code == 403


def test_a_mapping_that_somebody_changed_meanwhile_is_not_changed_unseen(admin, hub):
    seen = re.search(r'name="mark" value="([0-9a-f]+)"', admin.get(PAGE).text)
    assert seen is not None
    assert send(admin, ours="department", action="out", mark=seen[1]).status_code == 303
    late: list[dict[str, str]] = [
        {"ours": "title", "action": "out"},
        {"ours": "department", "action": "back"},
        {"ours": "title", "theirs": "Department"},
    ]
    for change in late:
        refused = send(admin, mark=seen[1], **change)
        assert (refused.status_code, "Somebody changed the settings since" in refused.text) == (409, True)
    assert "department" not in contact(admin)
    assert contact(admin)["title"]["theirs"] == "Title"
