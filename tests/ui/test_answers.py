"""Runs that wait for a person: an undo, a first sync; answered on our page and in Airflow's own, and what then becomes of them."""

from __future__ import annotations

import re
from typing import Any

import requests
from playwright.sync_api import Page, expect

from tests.ui.office import LONG, NAME, Office, state
from tests.ui.person import Person

HERE = f"connections/{NAME}"


def fact(page: Page, name: str) -> str:
    """What the page of a run says under this name."""
    return (
        page.locator("dt", has_text=re.compile(f"^{name}$"))
        .locator("xpath=following-sibling::dd[1]")
        .inner_text()
    )


def test_a_run_is_looked_at_and_taken_back_from_its_page(admin: Person, office: Office, axe: str) -> None:
    ann, eve = office.person(), office.person()
    ann.edit_ours(title="Head")
    eve.edit_theirs(Department="Board")
    run = office.run(admin)
    page = admin.page
    assert [fact(page, name) for name in ("Kind", "State", "Planned", "Done", "Parked")] == [
        "sync",
        "succeeded",
        "2",
        "2",
        "0",
    ]
    told = page.get_by_role("row").filter(has_text=ann.short)
    for text in ("title", "Clerk", "Head", "acknowledged"):
        expect(told).to_contain_text(text)
    record = told.get_by_role("link", name=ann.their_id)
    assert record.get_attribute("href") == f"{office.base}/{ann.their_id}"
    admin.look_at("run-done", axe)
    in_airflow(admin, page.get_by_role("link", name=re.compile("^manual__")).get_attribute("href") or "")

    page = admin.go(f"{HERE}/activity")
    page.get_by_label("Person or record").fill(ann.ours("email"))
    page.get_by_role("button", name="Search").click()
    page.wait_for_url(re.compile(f"who={ann.our_id}"))
    expect(page.get_by_role("row").filter(has_text=ann.short).first).to_contain_text("Head")
    admin.look_at("activity-found", axe)

    page = admin.go(f"{HERE}/runs/{run}")
    page.get_by_role("button", name="Undo this run").click()
    expect(page.get_by_role("status")).to_contain_text("The undo was asked for")
    page.locator("dd", has_text=re.compile("^run .*waiting approval")).get_by_role("link").click(timeout=LONG)
    expect(page.get_by_role("heading", name="This run waits for a person")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="put back")).to_be_visible()
    admin.look_at("run-undo-asks", axe)
    assert (ann.ours("title"), eve.ours("department")) == ("Head", "Board")
    page.get_by_role("button", name="Approve this plan").click()
    expect(page.get_by_role("status")).to_contain_text("You approved the plan")
    expect(state(page)).to_have_text("succeeded", timeout=LONG)
    assert fact(page, "Its plan").startswith("approved by admin")
    assert (ann.ours("title"), eve.ours("department")) == ("Clerk", "Sales")

    office.run(admin)
    assert (ann.theirs("Title"), eve.theirs("Department")) == ("Clerk", "Sales")


def in_airflow(admin: Person, address: str) -> None:
    """The link to the run in Airflow leads to that run."""
    page = admin.page.context.new_page()
    page.goto(admin.running.airflow + address)
    expect(
        page.get_by_text(address.rpartition("/")[2].replace("%3A", ":").replace("%2B", "+")).first
    ).to_be_visible()
    page.close()


def test_a_first_sync_that_makes_much_waits_is_rejected_here_and_approved_in_airflow(
    admin: Person, viewer: Person, stranger: Page, office: Office, axe: str
) -> None:
    admin.running.rows("update crm_sync.connection set first_synced_at = null where name = %s", NAME)
    admin.running.rows("insert into gptweb.contacts (last_name, email) select 'New', n || '@new.office.example' "
                       "from generate_series(1, 3) n")  # fmt: skip
    office.choose(approve_creations_above=2)
    run = office.run(admin)
    page = admin.go(HERE)
    expect(page.get_by_text("Waiting for approval", exact=True)).to_be_visible()
    admin.look_at("connection-waits", axe)
    page.get_by_role("link", name="Look at the plan and answer").click()
    page.wait_for_url(f"**/runs/{run}")
    asks = page.get_by_role("region", name="This run waits for a person")
    expect(asks).to_contain_text(
        "the first sync would make 3 records (3 in the CRM, 0 in GPTWeb), more than 2"
    )
    counted = ["matched", "create in the CRM", "create in GPTWeb", "conflicts"]
    expect(asks.get_by_role("columnheader")).to_have_text(["Object", *counted])
    expect(asks.get_by_role("cell")).to_have_text(["0", "3", "0", "0"])
    expect(page.get_by_role("row").filter(has_text="1@new.office.example").first).to_be_visible()
    admin.look_at("run-asks", axe)
    who_may_not(viewer, stranger, f"{HERE}/runs/{run}")
    page.get_by_role("button", name="Reject it").click()
    expect(page.get_by_role("status")).to_contain_text("nothing of it is carried out")
    expect(state(page)).to_have_text("refused", timeout=LONG)
    assert fact(page, "Its plan").startswith("rejected by admin")
    new = "SELECT Id FROM Contact WHERE Email LIKE '%@new.office.example'"
    assert office.org.rows(new) == []

    run = office.run(admin)
    expect(state(page)).to_have_text("waiting approval")
    approve_in_airflow(admin, page.locator("code").first.inner_text(), fact(page, "In Airflow"))
    expect(state(page)).to_have_text("succeeded", timeout=LONG)
    assert fact(page, "Its plan").startswith("approved by admin")
    assert len(office.org.rows(new)) == 3
    told = "select rule, actor from crm_sync.decision where run_id = %s and rule like 'plan%%'"
    assert admin.running.rows(told, run) == [("plan_approved", "admin")]


def who_may_not(viewer: Person, stranger: Page, path: str) -> None:
    """Who may look sees the question and can't answer it, by no way; a stranger sees nothing."""
    page = viewer.go(path)
    expect(page.get_by_role("heading", name="This run waits for a person")).to_be_visible()
    assert page.locator("main form[method=post]").count() == 0
    form: dict[str, Any] = {"digest": page.locator("code").first.inner_text(), "take": "approve"}
    headers = {"Sec-Fetch-Site": "same-origin"}
    refused = page.request.post(page.url + "/answer", form=form, headers=headers, max_redirects=0)
    assert refused.status == 403
    stranger.goto(page.url)
    stranger.wait_for_url("**/auth/login**")
    assert requests.post(page.url + "/answer", data=form, headers=headers, timeout=30).status_code == 401


def approve_in_airflow(admin: Person, digest: str, dag_run_id: str) -> None:
    """The same question on Airflow's own page, for those who work there."""
    page = admin.page.context.new_page()
    page.goto(f"{admin.running.airflow}/required_actions")
    page.locator(f"a[href*='{dag_run_id}/tasks/plan']", has_text=f"Carry out plan {digest} of {NAME}").click()
    approve = page.get_by_role("button", name=f"Approve plan {digest}")
    approve.click()
    expect(approve).to_be_disabled()
    page.close()
