"""A connection's life by an administrator's own hands: added, connected, checked, provisioned, synced, paused, given up."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.ui.person import Person
from tests.ui.stack import INTEGRATION_USER, Running, forget

NAME = "salesforce_emea"
LONG = 90_000  # milliseconds that Airflow may take to find a DAG and to run it


@pytest.fixture
def new(running: Running) -> Iterator[None]:
    """A few people in GPTWeb, for the first sync to carry; afterwards nothing of the connection is left."""
    running.rows(
        "insert into gptweb.contacts (first_name, last_name, email) "
        "select 'Ann', 'No ' || n, 'ann' || n || '@story.example' from generate_series(1, 12) n"
    )
    yield
    forget(running, [NAME])
    running.rows("delete from gptweb.contacts where email like '%%@story.example'")


def consent(popup: Page, password: str) -> None:
    """What the integration user does at the org: log in and allow the app."""
    popup.fill("#username", INTEGRATION_USER)
    popup.fill("#password", password)
    popup.click("#Login")
    popup.click("#oaapprove")
    expect(popup.get_by_role("heading", name="Connected")).to_be_visible()
    expect(popup.get_by_text(INTEGRATION_USER)).to_be_visible()


@pytest.mark.usefixtures("new")
def test_from_the_button_to_the_first_sync_and_to_the_end(admin, axe):
    page, values = admin.page, admin.running.values
    page.get_by_role("link", name="Add connection").click()
    admin.look_at("add", axe)

    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Address of the org").fill("http://acme.example")
    page.get_by_label("Consumer key").fill(values["SALESFORCE_STANDIN_CLIENT_ID"])
    page.get_by_label("Consumer secret").fill(values["SALESFORCE_STANDIN_CLIENT_SECRET"])
    page.get_by_role("button", name="Go on to the log-in").click()
    expect(page.get_by_role("alert")).to_contain_text("plain http would show the token")
    assert values["SALESFORCE_STANDIN_CLIENT_SECRET"] not in page.content()
    admin.errors[:] = [error for error in admin.errors if "422" not in error]
    admin.look_at("add-refused", axe)

    page.get_by_label("Address of the org").fill(values["SALESFORCE_STANDIN_URL"])
    page.get_by_label("Consumer secret").fill(values["SALESFORCE_STANDIN_CLIENT_SECRET"])
    page.get_by_role("button", name="Go on to the log-in").click()
    expect(page.get_by_role("heading", name="Log in to Salesforce")).to_be_visible()
    admin.look_at("setup-log-in", axe)

    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in", exact=True).click()
    consent(opened.value, values["SALESFORCE_STANDIN_PASSWORD"])
    opened.value.close()

    # The page goes on by itself: Airflow finds the DAGs, the check is started, its result is shown.
    expect(page.get_by_role("heading", name="The org can be used")).to_be_visible(timeout=LONG)
    page.locator("summary", has_text="checks").click()
    admin.look_at("setup-checks", axe)

    page.get_by_label("Hourly").check()
    page.get_by_label("CRM wins").check()
    page.get_by_label("Leads").uncheck()
    page.get_by_role("button", name=re.compile("Save, and show")).click()
    expect(page.get_by_role("heading", name="What will be made in Salesforce")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("table")).to_contain_text("GPTWeb_Id__c")
    admin.look_at("setup-plan", axe)
    chosen = admin.running.rows("select settings from crm_sync.connection where name = %s", NAME)[0][0]
    assert (chosen["frequency"], chosen["conflict_policy"], chosen["create_leads"]) == (
        "hourly",
        "crm_wins",
        False,
    )

    page.get_by_role("button", name="Make it, and begin to sync").click()
    expect(page.get_by_role("heading", name=f"{NAME} is in sync")).to_be_visible(timeout=2 * LONG)
    admin.look_at("setup-done", axe)
    [(state, planned)] = admin.running.rows(
        "select state, planned from crm_sync.run where connection = %s and kind = 'sync' order by run_id limit 1",
        NAME,
    )
    assert (state, planned > 12) == ("succeeded", True)
    in_use(admin, axe)


def in_use(admin: Person, axe: str) -> None:
    """The connection's page: a dry run, a pause, and the end."""
    page = admin.page
    page.get_by_role("link", name="To the connection").click()
    expect(page.get_by_text("Healthy")).to_be_visible()
    admin.look_at("connection-synced", axe)
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("cell", name="dry run")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("Resumed")

    page.get_by_text("Disconnect", exact=True).click()
    page.get_by_role("button", name=f"Disconnect {NAME}").click()
    expect(page.get_by_role("status")).to_contain_text("revoked in Salesforce and wiped here")
    expect(page.get_by_text("Reconnect needed")).to_be_visible()
    admin.look_at("connection-disconnected", axe)
    kept = admin.running.rows(
        "select sealed, key_id, reason from crm_sync.credential where connection = %s", NAME
    )
    assert kept == [(None, None, "disconnected by admin")]
    values = admin.running.values
    log = requests.get(
        f"{values['SALESFORCE_STANDIN_URL']}/standin/calls", timeout=30,
        headers={"Authorization": f"Bearer {values['SALESFORCE_STANDIN_TOKEN']}"},
    ).json()["calls"]  # fmt: skip
    revoked = [call["status"] for call in log if call["path"].startswith("/services/oauth2/revoke")]
    assert revoked, "the org was never told"
    assert set(revoked) == {200}
    told = admin.running.rows(
        "select detail from crm_sync.audit_trail where connection = %s and rule = 'connection_disconnected'",
        NAME,
    )
    assert told == [("by admin; tokens wiped, revoked there",)]
