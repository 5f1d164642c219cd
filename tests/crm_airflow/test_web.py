"""The pages and the API through Airflow's own application: who sees what, what is refused, and how it is said."""

from __future__ import annotations

import re

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tests.crm_airflow.real import NAME, rows
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
API, PAGE = "/crm-sync/api/v1/connections", f"/crm-sync/connections/{NAME}"


def routes() -> list[APIRoute]:
    from crm_airflow.web.app import create_app

    return [route for route in create_app().routes if isinstance(route, APIRoute)]


def calls(dependant: Dependant) -> set[object]:
    """Everything that a route depends on, at any depth."""
    found: set[object] = {dependant.call}
    for each in dependant.dependencies:
        found |= calls(each)
    return found


def test_every_route_is_guarded_or_exempt_by_name():
    from crm_airflow.web.guards import EXEMPT, GUARDS

    open_ones = {route.path for route in routes() if not calls(route.dependant) & GUARDS}
    assert open_ones == EXEMPT
    assert len(routes()) > 10


def test_every_route_that_changes_something_asks_where_the_request_came_from():
    from crm_airflow.web.guards import same_origin

    careless = [
        r.path for r in routes() if r.methods - {"GET", "HEAD"} and same_origin not in calls(r.dependant)
    ]
    assert careless == []


def test_nothing_else_than_routes_is_in_the_app():
    from crm_airflow.web.app import create_app

    assert [route for route in create_app().routes if not isinstance(route, APIRoute)] == []


def test_a_stranger_is_sent_to_the_log_in_by_pages_and_refused_by_the_api(app, hub):
    with browser(app) as client:
        page = client.get("/crm-sync/?a=b")
        assert page.status_code == 303
        assert page.headers["Location"] == "/api/v2/auth/login?next=%2Fcrm-sync%2F%3Fa%3Db"
        reply = client.get(API)
    assert (reply.status_code, reply.headers["Content-Type"]) == (401, "application/problem+json")
    assert reply.json().keys() == {"title", "status", "detail"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/nothing"])
def test_there_is_no_list_of_what_there_is_for_the_public(app, hub, path):
    with browser(app) as client:
        assert client.get(f"/crm-sync{path}").status_code == 404


def test_a_viewer_may_look_and_not_touch(app, hub):
    with browser(app, "viewer") as client:
        assert client.get("/crm-sync/").status_code == 200
        assert client.get(PAGE).status_code == 200
        assert client.get(f"{API}/{NAME}").json()["name"] == NAME
        for path in (f"{PAGE}/pause", f"{PAGE}/run", f"{API}/{NAME}/pause", f"{API}/{NAME}/runs"):
            assert client.post(path, headers=BUTTON, json={}).status_code == 403, path
    assert rows(hub, "select active from crm_sync.connection where name = %s", NAME) == [(True,)]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_changes_nothing(admin, hub, headers):
    for path in (f"{PAGE}/pause", f"{API}/{NAME}/pause"):
        assert admin.post(path, headers=headers).status_code == 403
    assert rows(hub, "select active from crm_sync.connection where name = %s", NAME) == [(True,)]


def test_pausing_and_resuming_is_told_to_airflow_and_to_the_trail(admin, hub):
    from crm_sync.ledger import snapshot

    paused = admin.post(f"{PAGE}/pause", headers=BUTTON)
    assert (paused.status_code, paused.headers["Location"]) == (303, f"{PAGE}?told=paused")
    assert [c.active for c in snapshot.read() if c.name == NAME] == [False]
    assert (
        admin.post(f"{API}/{NAME}/resume", headers={"Origin": "http://localhost:9999"}).json()["active"]
        is True
    )
    assert [c.active for c in snapshot.read() if c.name == NAME] == [True]
    told = rows(
        hub,
        "select rule, detail from crm_sync.decision where connection = %s order by decision_id desc limit 2",
        NAME,
    )
    assert told == [("connection_resumed", "by admin"), ("connection_paused", "by admin")]


@pytest.fixture(scope="module")
def dags(app):
    """Our DAGs, as Airflow's DAG processor would have stored them."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    from tests.crm_airflow.airflow_env import DAGS

    bag = DagBag(str(DAGS), bundle_path=DAGS, bundle_name="dags-folder", load_op_links=False)
    sync_bag_to_db(bag, "dags-folder", None)


@pytest.mark.usefixtures("dags")
def test_a_run_is_asked_of_airflow_as_the_user(admin, hub):
    asked = admin.post(f"{API}/{NAME}/runs", json={"dry_run": True}, headers=BUTTON)
    assert asked.status_code == 202, asked.text
    found = admin.get(f"/api/v2/dags/crm_sync__{NAME}/dagRuns/{asked.json()['dag_run_id']}").json()
    assert (found["state"], found["conf"], found["triggering_user_name"]) == (
        "queued",
        {"dry_run": True},
        "admin",
    )


@pytest.mark.usefixtures("dags")
def test_a_button_that_is_pressed_twice_starts_one_run(admin, hub):
    begun = f"/api/v2/dags/crm_sync__{NAME}/dagRuns?run_id_pattern=manual__"
    once = re.findall(r'name="once" value="([0-9a-f]{16})"', page_with_buttons(admin, hub))
    assert len(set(once)) == len(once) > 1, "each button has a number of its own"
    before = admin.get(begun).json()["total_entries"]
    for _ in range(2):
        pressed = admin.post(f"{PAGE}/run", data={"once": once[0]}, headers=BUTTON)
        assert (pressed.status_code, pressed.headers["Location"]) == (303, f"{PAGE}?told=run")
    assert admin.get(begun).json()["total_entries"] == before + 1
    assert admin.post(f"{PAGE}/run", data={"once": once[1]}, headers=BUTTON).status_code == 303
    assert admin.get(begun).json()["total_entries"] == before + 2
    asked = [
        admin.post(f"{API}/{NAME}/runs", json={"once": 16 * "a"}, headers=BUTTON).json() for _ in range(2)
    ]
    assert asked[0]["dag_run_id"] == asked[1]["dag_run_id"]


def page_with_buttons(admin, hub) -> str:
    rows(hub, "update crm_sync.connection set provisioned_at = now() where name = %s", NAME)
    text: str = admin.get(PAGE).text
    rows(hub, "update crm_sync.connection set provisioned_at = null where name = %s", NAME)
    return text


def test_a_link_from_elsewhere_says_nothing_in_our_name(admin):
    done, said = f"{PAGE}?told=disconnected", "the tokens are revoked"
    assert said in admin.get(done, headers={"Sec-Fetch-Site": "same-origin"}).text
    for site in ("cross-site", "same-site", "none"):
        assert said not in admin.get(done, headers={"Sec-Fetch-Site": site}).text
    assert "asked for" not in admin.get(f"{PAGE}/reconciliations?told=anything").text


def test_a_dag_that_airflow_does_not_know_yet_is_waited_for(admin, hub):
    from tests.crm_airflow.real import make_connection

    make_connection(hub, "brand_new")
    reply = admin.post(f"{API}/brand_new/runs", json={}, headers=BUTTON)
    assert (reply.status_code, "within a minute" in reply.json()["detail"]) == (503, True)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nobody", 404), ("/Nobody'--", 422), (f"/{NAME}/runs?limit=0", 422), (f"/{NAME}/runs/999999", 404)],
)
def test_problems_of_the_api_are_problem_details(admin, path, status):
    reply = admin.get(API + path)
    assert (reply.status_code, reply.headers["Content-Type"]) == (status, "application/problem+json")
    assert reply.json()["status"] == status
    assert reply.json()["detail"]


def test_a_database_that_is_away_is_said_so(admin, monkeypatch):
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", "postgresql://gptweb:secret@127.0.0.1:1/gptweb")
    page, reply = admin.get("/crm-sync/"), admin.get(API)
    assert (page.status_code, reply.status_code) == (503, 503)
    assert "be reached" in page.text
    assert "secret" not in page.text + reply.text


def test_runs_are_paged_by_their_number(admin, hub):
    rows(
        hub,
        "insert into crm_sync.run (connection, kind, state) select %s, 'sync', 'succeeded' from generate_series(1, 5)",
        NAME,
    )
    first = admin.get(f"{API}/{NAME}/runs?limit=2").json()
    second = admin.get(f"{API}/{NAME}/runs?limit=2&before={first['next_before']}").json()
    numbers = [run["run_id"] for run in first["runs"] + second["runs"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4


def test_the_page_of_a_connection_leads_to_its_older_runs(admin, hub):
    rows(
        hub,
        "insert into crm_sync.run (connection, kind, state) select %s, 'sync', 'succeeded' from generate_series(1, 31)",
        NAME,
    )
    newest, older = (
        re.search(pattern, admin.get(PAGE).text) for pattern in (r"/runs/(\d+)\">", r"\?before=(\d+)\"")
    )
    assert newest is not None
    assert older is not None
    text = admin.get(f"{PAGE}?before={older[1]}").text
    assert f'/runs/{int(older[1]) - 1}">' in text
    assert f'/runs/{newest[1]}">' not in text


def test_the_policy_of_a_page_lets_only_our_own_files_in(admin):
    page = admin.get("/crm-sync/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "//" not in page.text.replace("<!doctype", "")
    assert not any(word in page.text for word in (" style=", " onclick=", "javascript:"))


def test_files_are_kept_by_the_browser_only_under_their_version(admin, app):
    from crm_airflow.web.static import address

    kept = admin.get(address("/crm-sync", "app.css"))
    assert (kept.headers["Content-Type"].split(";")[0], "immutable" in kept.headers["Cache-Control"]) == (
        "text/css",
        True,
    )
    assert admin.get("/crm-sync/static/app.css?v=old").headers["Cache-Control"] == "private, no-cache"
    assert admin.get("/crm-sync/static/..%2Fapp.py").status_code == 404
    with browser(app) as stranger:
        assert stranger.get("/crm-sync/static/app.css").status_code == 303


def test_inside_a_frame_the_page_says_what_does_not_work_there(admin):
    assert "window of its own" in admin.get("/crm-sync/", headers={"Sec-Fetch-Dest": "iframe"}).text
    assert "window of its own" not in admin.get("/crm-sync/", headers={"Sec-Fetch-Dest": "document"}).text


NEW = {
    "name": "added", "grant": "authorization_code", "instance_url": "https://acme.my.salesforce.com",
    "consumer_key": "3MVG9key", "consumer_secret": "a-secret-of-the-app",
}  # fmt: skip


def test_a_connection_is_added_with_its_keys_in_airflow(admin, hub):
    assert admin.get("/crm-sync/add").status_code == 200
    made = admin.post("/crm-sync/add", data=NEW, headers=BUTTON)
    assert (made.status_code, made.headers.get("Location")) == (303, "/crm-sync/connections/added/setup"), (
        made.text
    )
    kept = admin.get("/api/v2/connections/added").json()
    assert (kept["conn_type"], "a-secret-of-the-app" in kept["extra"]) == ("salesforce", False)
    assert "instance_url" in kept["extra"]
    assert rows(hub, "select count(*) from crm_sync.connection where name = 'added'") == [(1,)]
    told = rows(
        hub, "select detail from crm_sync.decision where rule = 'connection_added' and connection = 'added'"
    )
    assert told == [("by admin",)]
    forget_added(admin, hub)


def forget_added(admin, hub) -> None:
    assert admin.delete("/api/v2/connections/added").status_code == 204
    rows(hub, "delete from crm_sync.outbox where connection = 'added'")
    rows(hub, "delete from crm_sync.connection where name = 'added'")


def test_a_connection_that_was_half_added_is_taken_up_and_two_clicks_add_one(admin, hub, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
    admin.post("/crm-sync/add", data=NEW, headers=BUTTON)
    rows(hub, "delete from crm_sync.outbox where connection = 'added'")
    rows(hub, "delete from crm_sync.connection where name = 'added'")  # as if the database had been away
    other = admin.post("/crm-sync/add", data={**NEW, "consumer_secret": "another"}, headers=BUTTON)
    assert (other.status_code, "with other keys, and those are not overwritten" in other.text) == (422, True)
    for _ in range(2):
        taken = admin.post("/crm-sync/add", data=NEW, headers=BUTTON)
        assert (taken.status_code, taken.headers["Location"]) == (303, "/crm-sync/connections/added/setup")
    assert rows(hub, "select count(*) from crm_sync.connection where name = 'added'") == [(1,)]
    other = admin.post("/crm-sync/add", data={**NEW, "consumer_key": "another"}, headers=BUTTON)
    assert (other.status_code, "and it has other keys" in other.text) == (422, True)
    forget_added(admin, hub)


def test_the_keys_of_a_connection_that_airflow_has_are_not_overwritten(admin, hub, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
    kept = {"connection_id": "taken", "conn_type": "http", "host": "elsewhere.example"}
    assert admin.post("/api/v2/connections", json=kept).status_code == 201
    refused = admin.post("/crm-sync/add", data={**NEW, "name": "taken"}, headers=BUTTON)
    assert (refused.status_code, "those are not overwritten" in refused.text) == (422, True)
    assert admin.get("/api/v2/connections/taken").json()["host"] == "elsewhere.example"
    assert rows(hub, "select count(*) from crm_sync.connection where name = 'taken'") == [(0,)]
    admin.delete("/api/v2/connections/taken")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "Not A Name"}, "begin with a letter"),
        ({"instance_url": "http://acme.example"}, "plain http"),
        ({"instance_url": ""}, "Address"),
        ({"consumer_key": ""}, "Consumer Key"),
        ({"grant": "client_credentials", "consumer_secret": ""}, "Consumer Secret"),
        ({"grant": "jwt_bearer"}, "Private Key"),
        ({"grant": "guessed"}, "authorization_code"),
    ],
)
def test_a_form_that_lacks_something_comes_back_with_what_and_without_secrets(admin, changed, said):
    page = admin.post("/crm-sync/add", data={**NEW, **changed}, headers=BUTTON)
    assert page.status_code == 422
    assert said in page.text
    assert "a-secret-of-the-app" not in page.text
    assert admin.get("/api/v2/connections/added").status_code == 404


def test_a_viewer_is_offered_nothing_that_changes(app, hub):
    with browser(app, "viewer") as client:
        assert client.get("/crm-sync/add").status_code == 403
        assert client.post("/crm-sync/add", data=NEW, headers=BUTTON).status_code == 403
        for path in ("/crm-sync/", PAGE, f"{PAGE}/setup"):
            page = client.get(path)
            assert page.status_code == 200, page.text
            assert not any(word in page.text for word in ("<form", "<button", "/add", '/connect"')), path


def test_the_setup_of_a_connection_begins_with_the_log_in(admin):
    assert admin.get(f"{API}/{NAME}/setup").json() == {"name": NAME, "state": "log_in", "step": "log_in"}
    assert "Log in to Salesforce" in admin.get(f"{PAGE}/setup").text


def test_only_the_plan_that_was_seen_is_carried_out(admin, hub):
    refused = admin.post(f"{PAGE}/setup/provision", data={"plan": "1"}, headers=BUTTON)
    assert (refused.status_code, "not the newest one" in refused.text) == (409, True)


def test_a_plan_is_carried_out_only_under_the_settings_that_it_was_made_under(admin, hub):
    ((plan,),) = rows(
        hub,
        "insert into crm_sync.run (connection, kind, state) values (%s, 'provision', 'succeeded') returning run_id",
        NAME,
    )
    changed = admin.patch(
        f"{API}/{NAME}/settings", json={"settings": {"daily_calls": 14_000}}, headers=BUTTON
    )
    assert changed.status_code == 200, changed.text
    refused = admin.post(f"{PAGE}/setup/provision", data={"plan": str(plan)}, headers=BUTTON)
    assert (refused.status_code, "admin changed the settings after this plan" in refused.text) == (409, True)
    rows(hub, "update crm_sync.connection set settings = '{}' where name = %s", NAME)


def test_the_first_settings_are_not_stored_over_those_of_somebody_else(admin, hub):
    sent = {"mark": "0123456789abcdef", "frequency": "hourly"}
    refused = admin.post(f"{PAGE}/setup/settings", data=sent, headers=BUTTON)
    assert (refused.status_code, "Somebody changed the settings since" in refused.text) == (409, True)


def test_the_setup_of_a_provisioned_connection_shows_its_sync(admin, hub):
    rows(hub, "update crm_sync.connection set provisioned_at = now() where name = %s", NAME)
    rows(hub, "insert into crm_sync.credential (connection, generation) values (%s, 1) on conflict (connection) do update "
         "set generation = 1, state = 'good'", NAME)  # fmt: skip
    for state, stage, said in (
        ("running", "syncing", "is under way"),
        ("failed", "sync_stopped", "Failing"),
        ("succeeded", "done", "is in sync"),
    ):
        rows(hub, "insert into crm_sync.run (connection, kind, state) values (%s, 'sync', %s)", NAME, state)
        assert admin.get(f"{API}/{NAME}/setup").json()["state"] == stage
        assert said in admin.get(f"{PAGE}/setup").text
    rows(hub, "delete from crm_sync.credential where connection = %s", NAME)
    rows(hub, "update crm_sync.connection set provisioned_at = null where name = %s", NAME)


def test_forms_are_taken_where_airflow_has_teams(app, hub, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    with browser(app, "admin") as client:
        assert client.post(f"{PAGE}/pause", data={"a": "b"}, headers=BUTTON).status_code == 303
        assert client.post(f"{API}/{NAME}/resume", headers=BUTTON).status_code in {200, 409, 503}
        assert client.post("/crm-sync/add", data={"name": ""}, headers=BUTTON).status_code == 422
        assert "Go on with the set-up" in client.get(PAGE).text
    with browser(app, "viewer") as client:
        assert client.post(f"{PAGE}/pause", data={"a": "b"}, headers=BUTTON).status_code == 403
    rows(hub, "update crm_sync.connection set active = true where name = %s", NAME)
