"""What people decide, with their own hands, and what the next sync makes of it; and somebody who may only look."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.ui.office import NAME, Contact, Office
from tests.ui.person import Person

HERE = f"connections/{NAME}"


def row(page: Page, contact: Contact) -> Locator:
    """The row of a person."""
    return page.get_by_role("row").filter(has_text=contact.short)


def decide(page: Page, button: str, *people: Contact, value: str = "") -> None:
    """Tick the rows of these people, type a value where one is needed, and press."""
    for person in people:
        row(page, person).get_by_role("checkbox").check()
    if value:
        page.get_by_label("Another value").fill(value)
    page.get_by_role("button", name=button, exact=True).click()


def test_conflicts_are_decided_and_the_next_sync_carries_it(
    admin: Person, viewer: Person, office: Office, axe: str
) -> None:
    office.choose(conflict_policy="crm_wins")
    ann, eve, joe = people = [office.person() for _ in range(3)]
    for person in people:
        person.edit_ours(title="Head")
        person.edit_theirs(Title="Director")
    office.run(admin)
    assert {person.ours("title") for person in people} == {"Director"}

    page = admin.go(f"{HERE}/conflicts")
    for text in ("Clerk", "Head", "Director", "the CRM's: crm wins"):
        expect(row(page, ann)).to_contain_text(text)
    admin.look_at("conflicts-many", axe)
    decide(page, "Take this value", ann, value="Chair")
    expect(page.get_by_role("status")).to_contain_text("the next sync carries it")
    decide(page, "Take the value that lost", eve, joe)
    expect(row(page, joe).get_by_role("cell").last).to_have_text("Head")
    assert [person.ours("title") for person in people] == ["Chair", "Head", "Head"]
    assert {person.theirs("Title") for person in people} == {"Director"}, "only a sync speaks to the CRM"

    office.run(admin)
    for person in people:
        expect(row(admin.page, person)).to_contain_text("acknowledged")
    assert [person.theirs("Title") for person in people] == ["Chair", "Head", "Head"]
    seen = viewer.go(f"{HERE}/conflicts")
    expect(row(seen, ann).get_by_role("cell").last).to_have_text("Chair")
    nothing_to_press(seen)


def test_what_the_org_refuses_is_repaired_or_tried_again_and_arrives(
    admin: Person, viewer: Person, office: Office, axe: str
) -> None:
    office.refuse("Phone", "none", "A phone has digits.")
    rule = office.refuse("Title", "Boss", "Nobody is called that here.")
    ann, eve = office.person(), office.person()
    ann.edit_ours(phone="none")
    eve.edit_ours(title="Boss")
    office.run(admin)
    expect(row(admin.page, ann)).to_contain_text("parked")

    page = admin.go(f"{HERE}/parked")
    expect(row(page, ann)).to_contain_text("A phone has digits.")
    expect(row(page, eve)).to_contain_text("What to do:")
    admin.look_at("parked-many", axe)
    seen = viewer.go(f"{HERE}/parked")
    expect(row(seen, eve)).to_contain_text("Nobody is called that here.")
    nothing_to_press(seen)

    decide(page, "Take this value", ann, value="555 0100")
    expect(page.get_by_role("status")).to_contain_text("the next sync carries it")
    office.allow(rule)
    decide(page, "Retry", eve)
    expect(page.get_by_role("status")).to_contain_text("The next run tries it again")
    office.run(admin)
    for person in (ann, eve):
        expect(row(admin.page, person)).to_contain_text("acknowledged")
    assert (ann.theirs("Phone"), eve.theirs("Title")) == ("555 0100", "Boss")
    page = admin.go(f"{HERE}/parked")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Parked in {NAME}")
    assert row(page, ann).count() + row(page, eve).count() == 0


def test_a_setting_is_changed_and_its_history_says_who(
    admin: Person, viewer: Person, office: Office, axe: str
) -> None:
    page = admin.go(f"{HERE}/settings")
    page.get_by_label("Every 5 minutes").check()
    page.get_by_label("Create new leads").uncheck()
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("status")).to_contain_text("Stored")
    expect(page.get_by_role("row").filter(has_text="Create new leads").first).to_contain_text("admin")
    admin.look_at("settings-changed", axe)
    ((stored,),) = admin.running.rows("select settings from crm_sync.connection where name = %s", NAME)
    assert (stored["frequency"], stored["create_leads"]) == ("5min", False)
    for path in ("settings", "mapping", ""):
        nothing_to_press(viewer.go(f"{HERE}/{path}".rstrip("/")))


def nothing_to_press(page: Page) -> None:
    """Whoever may only look sees the page without a button but that of a search, and without a box to tick."""
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile(NAME))
    assert page.locator("main form[method=post]:not([role=search]) button").count() == 0, page.url
    assert page.locator("td input[type=checkbox]").count() == 0, page.url
