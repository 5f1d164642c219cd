"""Failure cases 11 to 13, 19 to 21, 32 to 34 and 39: every row has its own answer, and nothing is written twice."""

from __future__ import annotations

from typing import Any

import pytest

from crm_sync.ledger import settings
from tests.crm_sync.engine.cases.office import Office

UPDATE, INSERT = "/REST/Contact/update", "/REST/Contact/insert"
RULE = "FIELD_CUSTOM_VALIDATION_EXCEPTION"


def make(office: Office, count: int, **values: Any) -> list[str]:
    """So many contacts of ours."""
    return [office.ours("contact", email=f"e{n}@example.com", **values) for n in range(1, count + 1)]


def test_case_11_all_rows_rejected_is_no_success(office: Office) -> None:
    people = make(office, 5)
    office.run()
    for one in people:
        office.edit(one, title="O1")
    office.people.breaks(action="refuse_rows", path=UPDATE, code=RULE, message="No.", count=None)
    report = office.run()
    assert (report.state, report.counts["acknowledged"], report.counts["parked"]) == (
        "succeeded_with_parked",
        0,
        5,
    )
    assert "need a person" in report.message
    assert len(office.parked()) == 5


def test_case_12_response_lost_after_insert(office: Office) -> None:
    people = make(office, 5)
    office.people.breaks(action="reset_after", path="/composite$", body="PATCH", count=1)
    report = office.run()
    assert (report.state, report.counts["in_doubt"] > 0) == ("failed", True)
    assert office.counts() == (5, 5), "they were made, and nobody heard of it"
    office.run()
    assert office.counts() == (5, 5)
    assert len({office.linked(one) for one in people}) == 5
    office.assert_silent()


def test_case_13_part_of_a_batch(office: Office) -> None:
    people = make(office, 5)
    office.run()
    for n, one in enumerate(people):
        office.edit(one, title="bad" if n == 2 else f"O{n}")
    office.people.breaks(action="refuse_rows", path=UPDATE, body="bad", code=RULE, message="No.", count=None)
    report = office.run()
    assert (report.counts["acknowledged"], report.counts["parked"]) == (4, 1)
    shown = [office.shown(office.linked(one), "title") for one in people]
    assert shown == ["O0", "O1", None, "O3", "O4"]
    office.edit(people[2], title="good")
    office.run()
    assert office.parked() == []
    office.assert_silent()


def test_case_19_locks_are_tried_again_for_the_failed_rows_alone(office: Office) -> None:
    accounts = [office.ours("account", name=f"A{n}") for n in range(2)]
    people = [office.ours(email=f"e{n}@example.com", account_id=accounts[n % 2]) for n in range(10)]
    office.run()
    for one in people:
        office.edit(one, title="O1")
    office.people.breaks(action="lock_rows", path=UPDATE, count=3)
    office.people.forgets()
    report = office.run()
    assert (report.state, report.counts["parked"]) == ("succeeded", 0)
    written = [call["rows_written"] for call in office.people.calls() if call["rows_written"]]
    assert written == [7, 3], "the failed rows alone"
    assert {office.shown(office.linked(one), "title") for one in people} == {"O1"}
    office.assert_silent()


def test_case_19_siblings_go_side_by_side(office: Office) -> None:
    """Salesforce locks an account with each of its contacts: those of one account share a lock and a transaction."""
    accounts = [office.ours("account", name=f"A{n}") for n in range(3)]
    people = [office.ours(email=f"e{n}@example.com", account_id=accounts[n % 3]) for n in range(9)]
    office.run()
    for one in people:
        office.edit(one, title="O1")
    office.people.breaks(action="lock_rows", path=UPDATE, count=4)
    office.run()
    query = "select their_id from crm_sync.outcome where detail like 'tried again%%' order by outcome_id"
    busy = [row[0] for row in office.client.execute(query)]
    parents = [office.shown(their_id, "account_id") for their_id in busy]
    assert len(parents) == 4
    assert len(set(parents)) == 2, "the first three are siblings"
    assert parents[0] == parents[1] == parents[2]


def test_case_20_a_clear_clears(office: Office) -> None:
    ours, theirs = office.both(phone="+49 1")
    office.edit(ours, phone=None)
    office.run()
    assert office.shown(theirs, "phone") is None
    office.assert_silent()
    assert office.value(ours, "phone") is None
    office.people.edits(theirs, "title", None)
    office.run()
    assert office.value(ours, "title") is None
    office.assert_silent()


def test_case_21_blank_and_absent_wipe_nothing(office: Office) -> None:
    """At the first match a blank is filled; a field that a reply leaves out is no blank."""
    ours = office.ours(email="e0@example.com", title="ours")
    theirs = office.theirs(email="e0@example.com", phone="theirs")
    office.run()
    assert (office.shown(theirs, "title"), office.value(ours, "phone")) == ("ours", "theirs")
    office.people.edits(theirs, "department", "T1")
    left_out = "compositeResponse.*.body.records.*.Title"
    office.people.breaks(action="edit", path="/composite$", drop=[left_out])
    office.run()
    assert (office.value(ours, "title"), office.value(ours, "department")) == ("ours", "T1")
    office.assert_silent()
    assert office.shown(theirs, "title") == "ours"


def test_case_32_a_row_that_a_rule_refuses_for_ever(office: Office) -> None:
    rule = office.people.ask("POST", "/standin/validation-rules", json={
        "object": "Contact", "name": "No", "message": "Title: not like that", "field": "Title", "when": {"Title": "bad"},
    })["id"]  # fmt: skip
    try:
        ours, theirs = office.both()
        office.edit(ours, title="bad", phone="+49 1")
        office.run()
        assert office.shown(theirs, "phone") == "+49 1", "the rest of the record goes in the same run"
        row = office.client.execute("select code, field, cause, remedy from crm_sync.parked_rows").fetchone()
        assert row is not None
        assert row[:3] == (RULE, "title", "Title: not like that")
        assert row[3]
        for _ in range(3):
            report = office.run()
            assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1), "it costs nothing more"
    finally:
        office.people.ask("DELETE", f"/standin/rules/{rule}")


@pytest.mark.parametrize("allow_save", [True, False])
def test_case_33_duplicates_are_not_forced(office: Office, *, allow_save: bool) -> None:
    rule = office.people.ask("POST", "/standin/duplicate-rules", json={
        "object": "Contact", "name": "Twins", "fields": ["Phone"], "allow_save": allow_save,
    })["id"]  # fmt: skip
    try:
        office.theirs(phone="+49 1", email="theirs@example.com")
        office.run()
        office.ours(phone="+49 1", email="ours@example.com")
        other = office.ours(phone="+49 2", email="other@example.com")
        report = office.run()
        assert report.state == "succeeded_with_parked"
        assert office.parked() == [("DUPLICATES_DETECTED", None)]
        assert office.linked(other)
        assert office.counts()[1] == 2
        assert office.run().counts["api_calls"] == 1
    finally:
        office.people.ask("DELETE", f"/standin/rules/{rule}")


def test_case_34_a_key_that_several_records_carry(office: Office) -> None:
    office.people.breaks(
        action="refuse_rows", path=INSERT, code="DUPLICATE_EXTERNAL_ID", message="more than one record found"
    )
    ours = office.ours(email="e0@example.com")
    office.run()
    assert office.parked() == [("DUPLICATE_EXTERNAL_ID", None)], "a person decides, nobody is picked"
    assert office.one("select their_id from crm_sync.link where our_id = %s", ours) is None
    assert office.run().counts["planned"] == 0


@pytest.mark.parametrize("count", [1, 200, 201, 501])
def test_case_39_rows_in_are_rows_acknowledged(office: Office, count: int) -> None:
    office.client.execute(
        "insert into gptweb.contacts (last_name, email) select 'N' || n, n || '@example.com' from generate_series(1, %s) n",
        (count,),
    )
    report = office.run(objects=("contact",))
    assert report.state == "succeeded"
    assert office.counts() == (count, count)
    made = "select count(*) from crm_sync.outcome join crm_sync.change using (change_id) where outcome = 'acknowledged' and op = 'create'"
    assert office.one(made) == count


def test_case_39_one_row_is_left_for_the_last_batch(office: Office) -> None:
    with office.database.transaction() as tx:
        settings.change_settings(tx, "main", {"batch_size": 3})
    make(office, 10)
    report = office.run()
    assert report.counts["planned"] == report.counts["acknowledged"]
    assert office.counts() == (10, 10)
