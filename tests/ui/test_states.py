"""The states of connections as people meet them: each in words, with what to do; and pages without script, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.ui.person import Person
from tests.ui.stack import Running, forget

STATES = {
    "acme": ("succeeded_with_parked", "Healthy"),
    "beta_corp": ("running", "Running"),
    "gamma": ("failed", "Failing"),
    "delta": ("paused_budget", "Paused: budget"),
    "epsilon": ("waiting_approval", "Waiting for approval"),
    "zeta": ("succeeded", "Reconnect needed"),
}
MESSAGES = {
    "acme": "Everything else is on the other side; 1,204 values are parked.",
    "gamma": "12 changes could not be carried out: the org refuses to write while it is being maintained.",
    "delta": "paused: budget, goes on by itself at 2026-03-04 17:20 UTC: 14,250 of 15,000 calls of 24 hours are used.",
    "epsilon": "This first sync would make 8,214 contacts in Salesforce: somebody has to look at its preview and approve it.",
}
RUNS = """insert into crm_sync.run (connection, kind, state, message, started_at, ended_at, planned, acknowledged, parked,
    superseded, in_doubt, conflicts, calls_left, calls_needed)
  select %s, 'sync', case when n = 30 then %s else 'succeeded' end, case when n = 30 then %s end,
    now() - (30 - n) * interval '5 minutes', case when n < 30 or %s <> 'running' then now() end, 40 + (n * 37) %% 90,
    40 + (n * 37) %% 90, 0, 0, 0, n %% 3, 9000, 120 from generate_series(1, 30) n"""
CALLS = """insert into crm_sync.spending (connection, lane, purpose, booked_at)
  select %s, 'sync', 'sync', now() - n * interval '2 seconds' from generate_series(1, %s) n"""
PARKED = """insert into crm_sync.parked (connection, object, our_id, side, field, cause, code, remedy)
  select %s, 'contact', gen_random_uuid(), 'theirs', 'email', 'refused', 'INVALID_EMAIL_ADDRESS', 'correct it'
  from generate_series(1, %s)"""
CHANGES = """insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules)
  select max(run_id), connection, 'contact', gen_random_uuid(), 'theirs', 'update', '{}', '{"title": 1}', '{}', '{}'
  from crm_sync.run cross join generate_series(1, 500) where connection = %s group by connection, generate_series"""
OUTCOMES = """insert into crm_sync.outcome (change_id, run_id, outcome, fields)
  select change_id, run_id, 'acknowledged', '{title}' from crm_sync.change where connection = %s order by change_id limit 190"""


@pytest.fixture
def states(running: Running) -> Iterator[Running]:
    """Connections in every state; no DAG of theirs is ever made."""
    for calls, (name, (state, _)) in enumerate(STATES.items(), start=1):
        running.rows(
            "insert into crm_sync.connection (name, vendor, settings, provisioned_at) values (%s, 'salesforce', '{}', now())",
            name,
        )
        running.rows(RUNS, name, state, MESSAGES.get(name), state)
        running.rows(CALLS, name, 14_600 if state == "paused_budget" else 1_700 * calls)
    running.rows(PARKED, "acme", 1_204)
    running.rows(CHANGES, "beta_corp")
    running.rows(OUTCOMES, "beta_corp")
    running.rows(
        "insert into crm_sync.credential (connection, state, reason) values ('zeta', 'reconnect needed', "
        "'Salesforce says invalid_grant (expired access/refresh token): the grant was revoked there, log in again')"
    )
    yield running
    forget(running, list(STATES))


@pytest.fixture
def seen(states: Running, admin: Person) -> Person:
    """The administrator, with all of them on the page."""
    admin.go("")
    return admin


def test_each_state_is_said_in_words_with_what_is_behind_it(seen, axe):
    for name, (_, words) in STATES.items():
        card = seen.page.get_by_role("listitem").filter(
            has=seen.page.get_by_role("link", name=name, exact=True)
        )
        expect(card).to_contain_text(words)
        expect(card).to_contain_text(MESSAGES.get(name, words))
    expect(seen.page.get_by_role("img", name="The last 30 runs: 29 succeeded, 1 failed", exact=False).or_(
        seen.page.get_by_role("img", name="The last 30 runs: 1 failed, 29 succeeded", exact=False))).to_be_visible()  # fmt: skip
    gauge = seen.page.get_by_role("meter").nth(list(STATES).index("delta") - 0)
    assert gauge.get_attribute("aria-valuemax") == "15000"
    seen.look_at("connections-all", axe)


def test_a_run_under_way_moves_without_a_reload(seen, axe):
    page = seen.go("connections/beta_corp")
    bar = page.get_by_role("progressbar")
    assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("190", "500")
    seen.look_at("connection-running", axe)
    page.evaluate("window.stays = true")
    seen.running.rows(OUTCOMES, "beta_corp")
    expect(page.locator("[data-field=done]")).to_have_text("380")
    assert page.evaluate("window.stays && document.querySelector('progress').value") == 380
    seen.running.rows(
        "update crm_sync.run set state = 'succeeded', ended_at = now() where connection = 'beta_corp' and state = 'running'"
    )
    expect(page.get_by_text("Healthy")).to_be_visible()
    assert not page.evaluate("window.stays === true"), "what is new is shown by a page that is new"


def test_a_dead_log_in_leads_to_the_way_back(seen):
    page = seen.go("connections/zeta")
    assert (
        page.get_by_role("link", name="Reconnect").get_attribute("href")
        == "/crm-sync/connections/zeta/connect"
    )
    assert not page.get_by_role("button", name="Run now").is_visible()


def test_everything_is_reached_by_the_keyboard(seen):
    page = seen.page
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert reached[:4] == ["Skip to the content", "GPTWeb CRM Sync", "Airflow", "Add connection"]
    assert {"acme", "beta_corp"} <= set(reached)


def test_the_pages_work_without_script(browser, states):
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "_token", "value": states.token("admin"), "url": states.airflow}])
    page = context.new_page()
    page.goto(states.home + "connections/acme")
    page.get_by_role("button", name="Pause").click()
    assert page.get_by_role("status").inner_text().startswith("Paused")
    assert states.rows("select active from crm_sync.connection where name = 'acme'") == [(False,)]
    context.close()
