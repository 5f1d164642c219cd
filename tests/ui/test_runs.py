"""Settings that alter what the next run does, seen to do so: by the page, in GPTWeb, in Salesforce, and by Airflow's schedule."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.ui.office import DAG, NAME, Office, until
from tests.ui.person import Person

HERE = f"connections/{NAME}"


def choose(admin: Person, *labels: str) -> None:
    """Choose these in the form of the settings, and store it."""
    page = admin.go(f"{HERE}/settings")
    for label in labels:
        page.get_by_label(label).check()
    page.get_by_role("button", name="Store").click()
    expect(page.get_by_role("status")).to_contain_text("Stored")


def test_who_wins_a_conflict_is_changed_and_a_dry_run_shows_it_before_a_run_does_it(
    admin: Person, office: Office, axe: str
) -> None:
    choose(admin, "GPTWeb wins")
    ann = office.person()
    ann.edit_ours(title="Head")
    ann.edit_theirs(Title="Director")  # later, so that by the usual policy this one would win

    dry = office.run(admin, "Dry run")
    planned = admin.page.get_by_role("row").filter(has_text=ann.short)
    expect(planned).to_contain_text("Director")
    expect(planned).to_contain_text("conflict")
    expect(planned).to_contain_text("dry run: planned, not written")
    admin.look_at("run-dry", axe)
    assert (ann.ours("title"), ann.theirs("Title")) == ("Head", "Director"), (
        "a dry run writes on neither side"
    )

    run = office.run(admin)
    assert run != dry
    done = admin.page.get_by_role("row").filter(has_text=ann.short)
    expect(done).to_contain_text("acknowledged")
    admin.look_at("run-conflict", axe)
    assert (ann.ours("title"), ann.theirs("Title")) == ("Head", "Head")
    written = ("theirs", "title", "Director", "Head", "gptweb_wins")
    assert office.change(run, ann) == [(*written, "acknowledged"), (*written, "overruled")]


def test_a_connection_that_only_pulls_lets_our_edits_stay_at_home(admin: Person, office: Office) -> None:
    choose(admin, "Pull from CRM")
    ann = office.person()
    ann.edit_ours(phone="555 9999")
    ann.edit_theirs(Department="Board")
    run = office.run(admin)
    assert office.change(run, ann) == [("ours", "department", "Sales", "Board", "pull_only", "acknowledged")]
    assert ann.ours("department") == "Board"
    assert ann.theirs("Phone") != "555 9999"


def test_frequency_pause_and_resume_are_the_schedule_as_airflow_has_it(admin: Person, office: Office) -> None:
    def scheduled(how: str | None) -> None:
        until(
            f"the schedule {how}", lambda: office.ask("GET", f"api/v2/dags/{DAG}")["timetable_summary"] == how
        )

    page = admin.go(HERE)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("Resumed")
    scheduled("0 * * * *")
    choose(admin, "Every 15 minutes")
    scheduled("*/15 * * * *")
    page = admin.go(HERE)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    scheduled(None)
