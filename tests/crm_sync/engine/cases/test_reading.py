"""Failure cases 1 to 10: what is read, and what must never be missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from crm_sync.engine import notes
from tests.crm_sync.engine.cases.office import Office

PAGE = "/query/01g"


def position(office: Office) -> Any:
    return office.one("select position from crm_sync.cursor where object = 'contact'")


def test_case_01_records_that_become_visible_late(office: Office) -> None:
    _ours, theirs = office.both()
    office.people.ask("POST", "/standin/records/hold", json={"object": "Contact"})
    try:
        office.people.edits(theirs, "title", "T1")
        late = office.theirs(email="late@example.com")
        office.run()
        assert office.counts()[0] == 1
    finally:
        office.people.ask("POST", "/standin/records/release", json={"object": "Contact"})
    office.people.ask("POST", "/standin/records/touch", json={"ids": [theirs, late], "seconds": -60})
    office.run()
    assert office.counts() == (2, 2)
    assert office.one("select title from gptweb.contacts where email = 'e0@example.com'") == "T1"
    office.assert_silent()


def test_case_02_edits_made_during_the_run(office: Office) -> None:
    office.connect(lag_seconds=0)
    ours, theirs = office.both()
    run_id = office.open()
    office.stage(run_id, "pull")
    office.people.edits(theirs, "title", "T1")
    office.stage(run_id, "plan", "push_ours", "push_theirs")
    office.settle(run_id)
    office.run()
    assert office.value(ours, "title") == "T1"
    office.assert_silent()


def test_case_03_many_records_with_one_stamp(office: Office) -> None:
    office.connect(lag_seconds=0)
    office.page_size = 200
    office.people.ask("POST", "/standin/clock", json={"frozen": True})
    office.people.creates_many("contact", 401)
    office.people.ask("POST", "/standin/clock", json={"frozen": False})
    office.run(objects=("contact",))
    assert office.counts() == (401, 401)
    office.people.ask("POST", "/standin/records/touch", json={"object": "Contact"})
    report = office.run(objects=("contact",))
    assert (report.state, report.counts["planned"]) == ("succeeded", 0)


def test_case_04_a_value_that_changes_without_a_stamp(office: Office) -> None:
    """No stamp, no change to see: a backfill reads all records anew, and so finds it."""
    ours, theirs = office.both()
    office.run()  # how they spell what we created is read back
    office.client.execute("update crm_sync.cursor set position = now() + interval '1 hour'")
    office.people.ask(
        "POST", "/standin/records/write", json={"id": theirs, "values": {"Title": "calculated"}}
    )
    office.run()
    assert office.value(ours, "title") == "n0"
    office.run(kind="backfill")
    assert office.value(ours, "title") == "calculated"
    office.assert_silent()


def test_case_05_a_new_connection_reads_everything_however_old(office: Office) -> None:
    theirs = office.theirs(email="old@example.com")
    office.people.ask("POST", "/standin/records/touch", json={"ids": [theirs], "seconds": -8 * 365 * 86_400})
    office.run()
    assert office.counts() == (1, 1)
    office.assert_silent()


def test_case_06_fewer_rows_than_announced_is_an_error(office: Office) -> None:
    office.page_size = 200
    office.people.creates_many("contact", 201)
    before = position(office)
    put = {"action": "edit", "method": "GET", "path": PAGE, "drop": ["records.0"]}
    office.people.breaks(**put)
    report = office.run(objects=("contact",))
    assert report.state == "failed"
    assert position(office) == before, "the window is read again"
    office.run(objects=("contact",))
    assert office.counts() == (201, 201)


def test_case_07_a_cursor_never_stalls_silently_nor_jumps(office: Office) -> None:
    office.both()
    before = position(office)
    office.client.execute("update crm_sync.cursor set position = position - interval '1 hour'")
    office.people.breaks(action="reply", path="/composite$", error="maintenance", count=None)
    report = office.run()
    assert report.state == "failed", "whatever keeps the cursor from moving is a red run"
    assert position(office) == before - timedelta(hours=1), "it stays where it was"
    office.people.mends()
    office.run(kind="backfill", since=before - timedelta(days=9), until=before - timedelta(days=8))
    assert position(office) == before - timedelta(hours=1), "a backfill reads its window and moves nothing"
    assert office.run().counts["planned"] == 0
    assert position(office) >= before - timedelta(seconds=1), (
        "a run without any change moves it; Date tells seconds"
    )


def test_case_08_not_done_without_an_address(office: Office) -> None:
    office.page_size = 200
    office.people.creates_many("contact", 201)
    before = position(office)
    office.people.breaks(action="edit", path="/composite$", drop=["compositeResponse.*.body.nextRecordsUrl"])
    assert office.run(objects=("contact",)).state == "failed"
    assert position(office) == before
    office.run(objects=("contact",))
    assert office.counts() == (201, 201)


def test_case_09_session_ends_amid_the_pages(office: Office) -> None:
    office.page_size = 200
    office.people.creates_many("contact", 401)
    office.people.breaks(action="end_session", method="GET", path=PAGE, skip=1)
    report = office.run(objects=("contact",))
    assert report.state == "succeeded"
    assert office.counts() == (401, 401)


def test_case_10_further_pages_are_asked_by_their_address(office: Office) -> None:
    office.page_size = 200
    office.people.creates_many("contact", 401)
    office.people.forgets()
    office.run(objects=("contact",))
    paths = [call["path"] for call in office.people.calls() if PAGE in call["path"]]
    assert [path.rpartition("-")[2] for path in paths] == ["200", "400"]
    assert not any("SELECT" in path or "q=" in path for path in paths)


@pytest.mark.parametrize("stage", ["pull", "plan", "push_ours", "push_theirs"])
def test_any_stage_may_run_twice(office: Office, stage: str) -> None:
    """A cleared task repeats its stage, and nothing is done twice."""
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    office.people.edits(theirs, "phone", "T1")
    office.ours(email="new@example.com")
    office.theirs(email="theirs@example.com")
    run_id = office.open()
    for name in ("pull", "plan", "push_ours", "push_theirs"):
        for _ in range(1 + (name == stage)):
            with notes.noted(office.database, run_id):
                office.stage(run_id, name)
    office.settle(run_id)
    office.assert_silent()
    assert office.counts() == (3, 3)
    assert (office.shown(theirs, "title"), office.value(ours, "phone")) == ("O1", "T1")


def test_a_clock_that_was_ahead_and_is_set_right_hides_no_edit(office: Office) -> None:
    """The cursor went by the wrong clock: edits after it was set right have stamps that lie before the cursor."""
    office.people.ask("POST", "/standin/clock", json={"offset": 7200})
    ours, theirs = office.both()
    office.run()
    office.people.ask("POST", "/standin/clock", json={"offset": 0})
    office.people.edits(theirs, "title", "T1")
    office.run()
    assert office.one("select detail from crm_sync.audit_trail where rule = 'clock'").startswith(
        "the CRM's clock was set back by "
    )
    office.run()
    assert office.value(ours, "title") == "T1"
    office.assert_silent()
    assert office.one("select count(distinct run_id) from crm_sync.audit_trail where rule = 'clock'") == 1


@contextmanager
def _hidden(office: Office, field: str) -> Iterator[None]:
    """Somebody takes the integration user's right to see a field, and gives it back."""
    query = f"SELECT Id, ParentId, SobjectType, Field FROM FieldPermissions WHERE Field = '{field}'"
    found = office.people.rest("GET", "/query", params={"q": query})["records"]
    for right in found:
        office.people.rest("DELETE", f"/sobjects/FieldPermissions/{right['Id']}")
    yield
    for right in found:
        again = {name: right[name] for name in ("ParentId", "SobjectType", "Field")}
        rights = {"PermissionsRead": True, "PermissionsEdit": True}
        office.people.rest("POST", "/sobjects/FieldPermissions", json=again | rights)


def test_a_field_that_is_hidden_from_us_stops_its_own_object_alone(office: Office) -> None:
    contact, their_contact = office.both()
    account = office.ours("account", name="Acme")
    office.run()
    their_account = office.linked(account)
    before = position(office)
    with _hidden(office, "Contact.GPTWeb_Lead_Source__c"):
        office.people.edits(their_contact, "title", "T1")
        office.people.edits(their_account, "phone", "1")
        office.edit(contact, department="O1")
        office.edit(account, "account", industry="Energy")
        report = office.run()
        assert report.state == "failed"
        assert report.message.startswith("contact left out, the rest was done: ")
        assert "GPTWeb_Lead_Source__c is missing or hidden" in report.message
        assert "crm_provision__main" in report.message
        assert office.value(account, "phone", "account") == "1"
        assert office.shown(their_account, "industry", "account") == "Energy"
        assert position(office) == before
    assert office.run().state == "succeeded"
    assert (office.value(contact, "title"), office.shown(their_contact, "department")) == ("T1", "O1")
    office.assert_silent()


def test_a_run_of_which_no_object_can_be_read_stops(office: Office) -> None:
    office.both()
    with _hidden(office, "Contact.GPTWeb_Lead_Source__c"):
        assert office.run(objects=("contact",)).state == "failed"
        assert office.error is not None
        assert "GPTWeb_Lead_Source__c is missing or hidden" in str(office.error)
    office.assert_silent()


def test_a_pull_that_is_repeated_tries_all_objects_anew(office: Office) -> None:
    contact, theirs = office.both()
    run_id = office.open()
    with _hidden(office, "Contact.GPTWeb_Lead_Source__c"):
        office.people.edits(theirs, "title", "T1")
        office.stage(run_id, "pull")
    office.stage(run_id, "pull", "plan", "push_ours", "push_theirs")
    assert office.settle(run_id).state == "succeeded"
    assert office.value(contact, "title") == "T1"
