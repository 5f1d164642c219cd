"""The page of the scope: conditions chosen step by step, counted before they are added, added, and taken out."""

from __future__ import annotations

from contextlib import closing

import pytest

from crm_sync.ledger.database import Database
from crm_sync.ledger.settings import load
from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
PAGE, API = f"/crm-sync/connections/{NAME}/scope", f"/crm-sync/api/v1/connections/{NAME}/scope"


@pytest.fixture
def admin(app, hub):
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)
    rows(hub, "insert into gptweb.leads (last_name, company, total_score, title) select 'S' || n, 'Scope', n, case when n < 4 then 'Scoped' end "
              "from generate_series(1, 10) n")  # fmt: skip
    with browser(app, "admin") as client:
        yield client
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)
    rows(hub, "delete from crm_sync.outbox using gptweb.leads l where our_id = l.id and l.company = 'Scope'")
    rows(hub, "delete from gptweb.leads where company = 'Scope'")


def ask(client, **step: str) -> str:
    reply = client.get(PAGE, params={"object": "lead", "side": "ours", **step})
    assert reply.status_code == 200, reply.text
    return str(reply.text)


def add(client, field: str, op: str, value: str = "", side: str = "ours"):
    return client.post(
        PAGE, data={"object": "lead", "side": side, "field": field, "op": op, "value": value}, headers=BUTTON
    )


def scope(hub: str) -> dict:
    with closing(Database(hub)) as database, database.transaction() as tx:
        return {name: one.model_dump(mode="json") for name, one in load(tx, NAME).settings.scope.items()}


def test_a_condition_is_made_step_by_step_and_counted_first(admin, hub):
    assert '<option value="total_score">total_score, number</option>' in ask(admin)
    text = ask(admin, field="total_score")
    assert '<button name="op" value="&gt;=">is at least</button>' in text
    assert 'type="number"' in ask(admin, field="total_score", op=">=")
    assert 'type="datetime-local"' in ask(admin, field="last_visit_at", op=">")
    assert '<option value="Scoped">' in ask(admin, field="title", op="=")
    everybody = admin.get(f"{API}/lead").json()
    assert everybody["inside"] == everybody["total"] >= 10
    assert "With the condition below" in ask(admin, field="title", op="=", value="scoped")
    assert f"<strong>3</strong> of {everybody['total']} leads" in ask(
        admin, field="title", op="=", value="scoped"
    )
    assert scope(hub) == {}

    assert add(admin, "title", "in", "Scoped\r\nElse").status_code == 303
    assert add(admin, "total_score", ">=", "2,5").status_code == 303
    assert add(admin, "Company", "is not blank", side="theirs").status_code == 303
    assert scope(hub)["lead"] == {
        "ours": [{"field": "title", "op": "in", "value": ["Scoped", "Else"]}, {"field": "total_score", "op": ">=", "value": 2.5}],
        "theirs": [{"field": "Company", "op": "is not blank", "value": None}],
    }  # fmt: skip
    assert admin.get(f"{API}/lead").json() | {"total": 0} == {
        "object": "lead",
        "total": 0,
        "inside": 1,
        "to_make": 1,
        "exact": True,
    }
    text = ask(admin)
    assert "total_score is at least 2.5" in text
    assert "title is one of Scoped, Else" in text


def test_a_condition_is_taken_out_as_it_was_seen(admin, hub):
    assert add(admin, "is_dql", "=", "true").status_code == 303
    out = {"object": "lead", "side": "ours", "place": "0", "words": "is_dql is yes"}
    stale = admin.post(f"{PAGE}/remove", data={**out, "words": "is_dql is no"}, headers=BUTTON)
    assert (stale.status_code, "meanwhile" in stale.text) == (409, True)
    assert admin.post(f"{PAGE}/remove", data=out, headers=BUTTON).status_code == 303
    assert scope(hub) == {}


@pytest.mark.parametrize(
    ("field", "op", "value", "side", "words"),
    [
        (
            "total_score",
            ">=",
            "many",
            "ours",
            "Total_score is compared with a number, not with &#39;many&#39;.",
        ),
        ("total_score", ">=", "", "ours", "Enter what total_score is compared with."),
        ("title", ">", "A", "ours", "Title is no number and no time"),
        ("nonesuch", "=", "A", "ours", "Choose a field first."),
        ("GPTWeb_AI_Score__c", "=", "1", "theirs", "Choose a field first."),
        ("last_visit_at", ">", "soon", "ours", "is compared with a time"),
        ("title", "like", "A", "ours", "Enter what title is compared with."),
    ],
)
def test_what_says_nothing_is_refused_in_words(admin, hub, field, op, value, side, words):
    reply = add(admin, field, op, value, side)
    assert reply.status_code == 409
    assert words in reply.text
    assert scope(hub) == {}


def test_a_viewer_may_look_but_not_touch(app, hub, admin):
    assert add(admin, "is_dql", "=", "true").status_code == 303
    with browser(app, "viewer") as viewer:
        text = viewer.get(f"{PAGE}?object=lead").text
        assert "is_dql is yes" in text
        assert "<button" not in text
        assert add(viewer, "is_dql", "=", "true").status_code == 403
        out = {"object": "lead", "side": "ours", "place": "0", "words": "is_dql is yes"}
        assert viewer.post(f"{PAGE}/remove", data=out, headers=BUTTON).status_code == 403
