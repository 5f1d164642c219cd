"""Activity, conflicts and parked rows: found, shown with both sides' values, decided by a person, and told in the trail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
PAGE, API = f"/crm-sync/connections/{NAME}", f"/crm-sync/api/v1/connections/{NAME}"
ANN = "00000000-0000-0000-0000-0000000000a1"
EVE = "00000000-0000-0000-0000-0000000000e1"


def insert(hub: str, table: str, **values: object) -> int:
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    key = {"outcome": "change_id"}.get(table, f"{table}_id")
    query = f"insert into crm_sync.{table} ({names}) values ({marks}) returning {key}"
    with psycopg.connect(hub) as client:
        row = client.execute(query.encode(), tuple(values.values())).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def story(hub: str) -> Iterator[dict[str, int]]:
    """Ann and Eve; two runs: one settled a conflict about Ann's title for the CRM, the other parked Eve's phone."""
    with psycopg.connect(hub) as client:
        client.execute(
            "insert into gptweb.contacts (id, last_name, email, title) values (%s, 'Doe', 'ann@example.com', 'N1')",
            (ANN,),
        )
        client.execute(
            "insert into gptweb.contacts (id, last_name, email, phone) values (%s, 'Roe', 'eve@example.com', '<b>7</b>')",
            (EVE,),
        )
    first = insert(
        hub, "run", connection=NAME, kind="sync", state="succeeded", dag_run_id="manual__1", planned=2
    )
    second = insert(
        hub, "run", connection=NAME, kind="sync", state="succeeded_with_parked", dag_run_id="manual__2"
    )
    link = insert(
        hub,
        "link",
        connection=NAME,
        object="contact",
        their_object="Contact",
        our_id=EVE,
        their_id="003000000000001AAA",
        state="live",
    )
    with psycopg.connect(hub) as client:
        client.execute(
            "insert into crm_sync.image (link_id, seen, base_ours) values (%s, %s, %s)",
            (link, '{"phone": "5"}', '{"phone": "4"}'),
        )
    conflict = insert(
        hub, "change", run_id=first, connection=NAME, object="contact", our_id=ANN, side="ours", op="update",
        before='{"title": "O1", "phone": null}', after='{"title": "N1", "phone": "1"}', base='{"title": "n0"}',
        rules='{"title": "crm_wins", "phone": "only theirs changed"}', conflicts=["title"],
    )  # fmt: skip
    insert(
        hub,
        "outcome",
        change_id=conflict,
        run_id=first,
        outcome="acknowledged",
        fields=["title", "phone"],
        batch="call 7",
        calls=0.25,
    )
    insert(hub, "change", run_id=second, connection=NAME, object="contact", our_id=EVE, side="theirs", op="update",
           before='{"phone": "5"}', after='{"phone": "<b>7</b>"}', base="{}", rules="{}")  # fmt: skip
    parked = insert(
        hub, "parked", connection=NAME, object="contact", link_id=link, our_id=EVE, their_id="003000000000001AAA",
        side="theirs", field="phone", value=json.dumps("<b>7</b>"), cause="no phone", code="INVALID_PHONE", remedy="type a phone",
    )  # fmt: skip
    yield {"first": first, "second": second, "conflict": conflict, "parked": parked}
    with psycopg.connect(hub) as client:
        client.execute("delete from gptweb.contacts")
        client.execute("truncate crm_sync.parked, crm_sync.image, crm_sync.link cascade")


def ticked(text: str, number: int) -> str:
    """The value of a parked row's box."""
    found = re.search(rf'name="row" value="({number}\.[0-9a-f]{{16}})"', text)
    assert found is not None
    return found[1]


@pytest.fixture
def admin(app, story):
    with browser(app, "admin") as client:
        yield client


def found(client, query: str = "") -> list[dict]:
    reply = client.get(f"{API}/changes{query}")
    assert reply.status_code == 200, reply.text
    listed: list[dict] = reply.json()["changes"]
    return listed


def test_changes_are_found_by_person_record_run_field_and_day(admin, story):
    newest, older = found(admin)[:2]
    assert (newest["our_id"], older["our_id"]) == (EVE, ANN)
    assert {one["our_id"] for one in found(admin, "?who=Ann@Example.com%20")} == {ANN}
    assert {one["our_id"] for one in found(admin, "?who=003000000000001AAA")} == {EVE}
    assert {one["our_id"] for one in found(admin, f"?who={ANN}")} == {ANN}
    assert found(admin, "?who=nobody@example.com") == []
    assert [one["our_id"] for one in found(admin, f"?run={story['first']}")] == [ANN]
    assert {f["field"] for one in found(admin, "?field=title") for f in one["fields"]} == {"title"}
    assert len(found(admin, "?since=2020-01-01&until=2090-01-01")) >= 2
    assert found(admin, "?until=2020-01-01") == []
    assert {one["our_id"] for one in found(admin, "?conflicts=true")} == {ANN}


def test_a_change_says_what_became_of_each_field(admin, story):
    (change,) = found(admin, f"?run={story['first']}")
    title = next(f for f in change["fields"] if f["field"] == "title")
    assert title == {"field": "title", "before": "O1", "after": "N1", "base": "n0", "rule": "crm_wins", "conflict": True,
                     "outcome": "acknowledged", "detail": None}  # fmt: skip
    assert (change["batch"], change["calls"]) == ("call 7", 0.25)
    page = admin.get(f"{PAGE}/runs/{story['first']}").text
    assert "call 7" in page
    assert "manual__1" in page
    assert admin.get(f"{PAGE}/runs/999999999").status_code == 404


def test_pages_escape_what_people_typed(admin, story):
    for path in ("activity", "parked", f"runs/{story['second']}"):
        text = admin.get(f"{PAGE}/{path}").text
        assert "&lt;b&gt;7&lt;/b&gt;" in text
        assert "<b>7</b>" not in text


def test_a_run_names_its_undos_and_an_undo_its_own_dag(admin, hub, story):
    first, options = story["first"], json.dumps({"undo": {"runs": [story["first"]]}})
    undo = insert(
        hub,
        "run",
        connection=NAME,
        kind="undo",
        state="refused",
        dag_run_id=f"crm_undo__{NAME}/manual__u",
        options=options,
    )
    assert f'/runs/{undo}">run {undo}</a>, refused' in admin.get(f"{PAGE}/runs/{first}").text
    assert f"/runs/{undo}" not in admin.get(f"{PAGE}/runs/{story['second']}").text
    assert f"dags/crm_undo__{NAME}/runs/manual__u" in admin.get(f"{PAGE}/runs/{undo}").text
    assert admin.get(f"{API}/runs/{first}/question").status_code == 404


@pytest.mark.parametrize("query", ["since=tomorrow", "since=2026-13-01", "field=a'b", "run=x", "who=%00"])
def test_a_search_that_says_nothing_is_refused_in_words(admin, query):
    assert admin.get(f"{PAGE}/activity?{query}").status_code in {409, 422}


def test_the_value_that_lost_a_conflict_is_taken_once(admin, hub, story):
    text = admin.get(f"{PAGE}/conflicts").text
    assert f'value="{story["conflict"]}.title"' in text
    assert f'value="{story["conflict"]}.phone"' not in text
    sent = {"change": f"{story['conflict']}.title", "take": "other"}
    reply = admin.post(f"{PAGE}/conflicts", data=sent, headers=BUTTON)
    assert reply.status_code == 303, reply.text
    assert rows(hub, "select title, version from gptweb.contacts where last_name = 'Doe'") == [("O1", 2)]
    line = rows(
        hub,
        "select who, before, after from crm_sync.audit_trail where rule = 'decided_by_a_person' order by at desc limit 1",
    )
    assert line == [("admin", "N1", "O1")]
    waiting = "select count(*) from crm_sync.outbox where our_id = %s and connection = %s"
    assert rows(hub, waiting, ANN, NAME) == [(1,)]
    again = admin.post(f"{PAGE}/conflicts", data=sent, headers=BUTTON)
    assert again.status_code == 409
    assert "was changed since" in again.text


def test_a_parked_value_is_mended_retried_and_ignored(admin, hub, story):
    text = admin.get(f"{PAGE}/parked").text
    assert "What to do: type a phone" in text
    row = admin.get(f"{API}/parked").json()["parked"][0]
    assert (row["value"], row["ours"], row["theirs"], row["base"]) == ("<b>7</b>", "<b>7</b>", "5", "4")
    post = {"action": "value", "row": ticked(text, story["parked"]), "value": "777"}
    assert admin.post(f"{PAGE}/parked", data=post, headers=BUTTON).status_code == 303
    assert rows(hub, "select phone from gptweb.contacts where last_name = 'Roe'") == [("777",)]
    assert admin.post(
        f"{API}/parked", json={"action": "theirs", "rows": [story["parked"]]}, headers=BUTTON
    ).json() == {"rows": 1}
    assert rows(hub, "select phone from gptweb.contacts where last_name = 'Roe'") == [("5",)]
    assert admin.post(
        f"{API}/parked", json={"action": "retry", "code": "INVALID_PHONE"}, headers=BUTTON
    ).json() == {"rows": 1}
    assert rows(hub, "select next_try_at <= clock_timestamp() from crm_sync.parked") == [(True,)]
    assert admin.post(
        f"{API}/parked", json={"action": "ignore", "rows": [story["parked"]]}, headers=BUTTON
    ).json() == {"rows": 1}
    assert admin.get(f"{API}/parked").json()["parked"] == []
    assert admin.get(f"{API}/parked?ignored=true").json()["parked"][0]["ignored_by"] == "admin"
    assert "Nothing is parked" in admin.get(f"{PAGE}/parked").text
    by_code, by_row = (
        {"action": "retry", "code": "INVALID_PHONE"},
        {"action": "retry", "rows": [story["parked"]]},
    )
    assert admin.post(f"{API}/parked", json=by_code, headers=BUTTON).json() == {"rows": 0}
    assert admin.post(f"{API}/parked", json=by_row, headers=BUTTON).json() == {"rows": 1}
    assert admin.get(f"{API}/parked").json()["parked"][0]["ignored_by"] is None


def test_nothing_chosen_is_said(admin, story):
    reply = admin.post(f"{PAGE}/parked", data={"action": "retry"}, headers=BUTTON)
    assert (reply.status_code, "tick the rows first" in reply.text) == (409, True)
    gone = admin.post(
        f"{API}/parked", json={"action": "value", "rows": [999999], "value": "x"}, headers=BUTTON
    )
    assert gone.status_code == 404
    nothing = admin.post(f"{PAGE}/conflicts", data={"take": "other"}, headers=BUTTON)
    assert (nothing.status_code, "tick the fields first" in nothing.text) == (409, True)


def test_a_parked_value_that_was_mended_meanwhile_is_not_overwritten(admin, hub, story):
    row = ticked(admin.get(f"{PAGE}/parked").text, story["parked"])
    with psycopg.connect(hub) as client:
        client.execute("update gptweb.contacts set phone = '12' where id = %s", (EVE,))
    for action in ("theirs", "value"):
        sent = {"action": action, "row": row, "value": "777"}
        reply = admin.post(f"{PAGE}/parked", data=sent, headers=BUTTON)
        assert (reply.status_code, "was changed since the page was opened" in reply.text) == (409, True)
    assert rows(hub, "select phone from gptweb.contacts where id = %s", EVE) == [("12",)]


def test_a_blank_that_won_is_not_taken_for_unchecked(admin, hub, story):
    blank = insert(
        hub, "change", run_id=story["first"], connection=NAME, object="contact", our_id=ANN, side="ours", op="update",
        before='{"department": "Sales"}', after='{"department": null}', base='{"department": "x"}',
        rules='{"department": "crm_wins"}', conflicts=["department"],
    )  # fmt: skip
    sent = {"change": f"{blank}.department", "take": "other"}
    with psycopg.connect(hub) as client:
        client.execute("update gptweb.contacts set department = 'Board' where id = %s", (ANN,))
    assert admin.post(f"{PAGE}/conflicts", data=sent, headers=BUTTON).status_code == 409
    with psycopg.connect(hub) as client:
        client.execute("update gptweb.contacts set department = null where id = %s", (ANN,))
    assert admin.post(f"{PAGE}/conflicts", data=sent, headers=BUTTON).status_code == 303
    assert rows(hub, "select department from gptweb.contacts where id = %s", ANN) == [("Sales",)]


def test_a_field_is_cleared_only_by_who_says_so(admin, hub, story):
    conflict = {"change": f"{story['conflict']}.title", "take": "value", "value": " "}
    parked = {"action": "value", "row": ticked(admin.get(f"{PAGE}/parked").text, story["parked"])}
    for path, sent in (("conflicts", conflict), ("parked", parked)):
        refused = admin.post(f"{PAGE}/{path}", data=sent, headers=BUTTON)
        assert (refused.status_code, "Type a value first" in refused.text) == (409, True)
        both = sent | {"value": "x", "blank": "true"}
        assert admin.post(f"{PAGE}/{path}", data=both, headers=BUTTON).status_code == 409
        assert admin.post(f"{PAGE}/{path}", data=sent | {"blank": "true"}, headers=BUTTON).status_code == 303
    held = rows(hub, "select title, phone from gptweb.contacts order by email")
    assert held == [(None, None), (None, None)]


def test_enter_in_the_field_for_a_value_presses_the_button_beside_it(admin, story):
    for path in ("conflicts", "parked"):
        form = admin.get(f"{PAGE}/{path}").text.partition("With the chosen ones")[2]
        assert form.index("<button") == form.index(
            f'<button name="{"take" if path == "conflicts" else "action"}" value="value"'
        )


def test_the_last_day_that_there_is_may_be_asked_for(admin, story):
    for path in (f"{PAGE}/activity", f"{PAGE}/conflicts", f"{API}/changes", f"{PAGE}/activity.csv"):
        assert admin.get(f"{path}?until=9999-12-31&who={ANN}").status_code == 200


def test_an_id_is_known_however_it_is_spelt(admin, story):
    for spelt in (ANN, ANN.replace("-", ""), f"urn:uuid:{ANN}", f"{{{ANN.upper()}}}"):
        assert str(story["first"]) in admin.get(f"{PAGE}/activity", params={"who": spelt}).text
        assert ANN in admin.get(f"{PAGE}/activity.csv", params={"who": spelt}).text
    odd = "1-" + ANN.replace("-", "")[1:]
    assert admin.get(f"{PAGE}/activity", params={"who": odd}).status_code == 200


def test_a_viewer_may_look_but_not_touch(app, story):
    with browser(app, "viewer") as viewer:
        for path in ("activity", "conflicts", "parked"):
            reply = viewer.get(f"{PAGE}/{path}")
            assert reply.status_code == 200
            assert 'type="checkbox"' not in reply.text
        assert (
            viewer.post(
                f"{PAGE}/parked", data={"action": "retry", "row": f"1.{16 * '0'}"}, headers=BUTTON
            ).status_code
            == 403
        )
        assert (
            viewer.post(
                f"{PAGE}/conflicts", data={"change": "1.title", "take": "other"}, headers=BUTTON
            ).status_code
            == 403
        )


def test_what_was_looked_for_is_exported(admin, story):
    text = admin.get(f"{PAGE}/activity.csv?run={story['first']}&who=ann@example.com").text
    head, *lines = text.splitlines()
    assert head.startswith("at,run_id,connection,object")
    assert len(lines) == 2
    assert all(ANN in line and ",acknowledged," in line for line in lines)
    only = admin.get(f"{API}/changes.csv?run={story['first']}&field=title")
    assert only.headers["Content-Type"].startswith("text/csv")
    assert len(only.text.splitlines()) == 2
    assert admin.get(f"{PAGE}/activity.csv?who=nobody@example.com").text.splitlines() == [head]
    assert 'activity.csv?run=1"' in admin.get(f"{PAGE}/activity?run=1").text


def test_whoever_is_looked_for_stands_in_no_address_and_in_no_log(admin, story, capfd):
    for page in ("activity", "conflicts"):
        sent = {"page": page, "who": " Ann@Example.com", "since": "2020-01-01", "run": ""}
        reply = admin.post(f"{PAGE}/search", data=sent, headers=BUTTON)
        assert (reply.status_code, reply.headers["Location"]) == (
            303,
            f"{PAGE}/{page}?since=2020-01-01&who={ANN}",
        )
        assert ANN[:8] in admin.get(reply.headers["Location"]).text
    assert found(admin, "?who=ann@example.com&since=2020-01-01")
    admin.get(f"{PAGE}/activity.csv?who=ann@example.com")
    logged = capfd.readouterr().out
    assert "since=2020-01-01" in logged, "Airflow logs requests"
    assert "ann@" not in logged.lower().replace("%40", "@")


def test_who_is_unknown_is_found_nowhere(admin, story):
    reply = admin.post(f"{PAGE}/search", data={"who": "nobody@example.com"}, headers=BUTTON)
    assert reply.headers["Location"] == f"{PAGE}/activity?who=nobody"
    assert "Nothing fits" in admin.get(reply.headers["Location"]).text


def test_several_ids_are_looked_for_at_once(admin, story):
    assert {one["our_id"] for one in found(admin, f"?who={ANN}%20{EVE}")} == {ANN, EVE}


def test_another_site_looks_for_nobody(admin, story):
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert admin.post(f"{PAGE}/search", data={"who": ANN}, headers=elsewhere).status_code == 403
