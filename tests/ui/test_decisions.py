"""What people decide, with their own hands: a setting, a conflict, a parked value; and somebody who may only look."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.ui.person import Person
from tests.ui.stack import Running

NAME = "ui_decisions"
HERE = f"connections/{NAME}"
RUN = "insert into crm_sync.run (connection, kind, state, ended_at) values (%s, 'sync', 'succeeded', now()) returning run_id"
CONFLICT = """insert into crm_sync.change (run_id, connection, object, our_id, side, op, before, after, base, rules, conflicts)
  values (%s, %s, 'contact', %s, 'ours', 'update', '{"title": "Director"}', '{"title": "Head"}', '{"title": "Clerk"}',
    '{"title": "crm_wins"}', '{title}') returning change_id"""
OUTCOME = "insert into crm_sync.outcome (change_id, run_id, outcome, fields) values (%s, %s, 'acknowledged', '{title}')"
PARKED = """insert into crm_sync.parked (connection, object, our_id, side, field, value, cause, code, remedy) values
  (%s, 'contact', %s, 'theirs', 'phone', '"none"', 'no phone number', 'INVALID_PHONE', 'type a number') returning parked_id"""


@pytest.fixture
def story(running: Running) -> Iterator[str]:
    """A connection of its own with one person, about whose title there was a conflict and whose phone is parked."""
    person = str(uuid4())
    running.rows(
        "insert into crm_sync.connection (name, vendor, settings) values (%s, 'salesforce', '{}') on conflict do nothing",
        NAME,
    )
    running.rows(
        "insert into gptweb.contacts (id, last_name, title, phone) values (%s, 'Doe', 'Head', 'none')", person
    )
    ((run,),) = running.rows(RUN, NAME)
    ((change,),) = running.rows(CONFLICT, run, NAME, person)
    running.rows(OUTCOME, change, run)
    running.rows(PARKED, NAME, person)
    yield person
    running.rows("update crm_sync.parked set lifted_at = now() where connection = %s", NAME)
    running.rows("delete from gptweb.contacts where id = %s", person)


def test_a_conflict_is_decided(admin: Person, story: str, axe: str) -> None:
    page = admin.go(f"{HERE}/conflicts")
    row = page.get_by_role("row").filter(has_text=story[:8])
    expect(row).to_contain_text("Director")
    admin.look_at("conflicts-one", axe)
    row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Take the value that lost").click()
    expect(page.get_by_role("status")).to_contain_text("the next sync carries it")
    assert admin.running.rows("select title from gptweb.contacts where id = %s", story) == [("Director",)]
    waiting = "select count(*) from crm_sync.outbox where connection = %s and our_id = %s"
    assert admin.running.rows(waiting, NAME, story) == [(1,)]


def test_a_parked_value_is_repaired(admin: Person, story: str, axe: str) -> None:
    page = admin.go(f"{HERE}/parked")
    row = page.get_by_role("row").filter(has_text=story[:8])
    expect(row).to_contain_text("What to do: type a number")
    admin.look_at("parked-one", axe)
    row.get_by_role("checkbox").check()
    page.get_by_label("Or another value").fill("555 0100")
    page.get_by_role("button", name="Take this value").click()
    expect(page.get_by_role("status")).to_contain_text("the next sync carries it")
    assert admin.running.rows("select phone from gptweb.contacts where id = %s", story) == [("555 0100",)]
    page.get_by_role("row").filter(has_text=story[:8]).get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("The next run tries it again")


def test_a_setting_is_changed_and_its_history_says_who(admin: Person, story: str, axe: str) -> None:
    page = admin.go(f"{HERE}/settings")
    page.get_by_label("Hourly").check()
    page.get_by_label("Create new leads").uncheck()
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("status")).to_contain_text("Stored")
    expect(page.get_by_role("row").filter(has_text="Create new leads")).to_contain_text("admin")
    admin.look_at("settings-changed", axe)
    found = admin.running.rows("select settings from crm_sync.connection where name = %s", NAME)
    assert found == [({"frequency": "hourly", "create_leads": False},)]
    page.get_by_label("Every 5 minutes").check()
    page.get_by_label("Create new leads").check()
    page.get_by_role("button", name="Store").click()


def test_who_may_only_look_has_nothing_to_press(viewer: Person, story: str) -> None:
    for path in ("conflicts", "parked", "settings", "mapping"):
        page = viewer.go(f"{HERE}/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.locator("main form[method=post] button").count() == 0, path
        assert page.locator("td input[type=checkbox]").count() == 0, path
