"""Parked rows: what is tried again by itself, what waits for a person, and that neither holds anything else up."""

from __future__ import annotations

import pytest

from crm_sync.__main__ import main
from crm_sync.ledger import parking
from crm_sync.ledger.database import URL_VARIABLE
from tests.crm_sync.engine.cases.office import Office

UPDATE = "/REST/Contact/update"
INSERT = "/REST/Contact/insert"


def due(office: Office) -> None:
    """Time passes until what is tried again by itself is due."""
    office.client.execute("update crm_sync.parked set next_try_at = now() where next_try_at is not null")


def test_busy_record_is_parked_until_its_next_try(office: Office) -> None:
    ours, theirs = office.both()
    other = office.ours(last_name="Other", email="other@example.com")
    office.run()
    office.edit(ours, title="O1")
    office.edit(other, title="O2")
    office.people.breaks(action="lock_rows", path=UPDATE, body=theirs, count=None)
    report = office.run()
    assert (report.state, report.counts["acknowledged"], report.counts["parked"]) == (
        "succeeded_with_parked",
        1,
        1,
    )
    assert "are tried again" in report.message
    assert office.shown(office.linked(other), "title") == "O2"
    assert office.parked() == [("UNABLE_TO_LOCK_ROW", "title")]
    row = office.client.execute(
        "select tries, calls > 0, next_try_at between last_at + interval '3 min' and last_at + interval '7 min', waits_for "
        "from crm_sync.parked_rows"
    ).fetchone()
    assert row == (1, True, True, "tried again at its time")

    assert office.run().counts["api_calls"] == 1, "nothing is sent before its time"
    due(office)
    assert office.run().counts["parked"] == 1
    assert office.one("select tries from crm_sync.parked_rows") == 2
    assert office.one("select next_try_at > last_at + interval '7 min' from crm_sync.parked_rows"), (
        "further away"
    )
    office.people.mends()
    due(office)
    office.run()
    assert office.shown(theirs, "title") == "O1"
    assert office.parked() == []
    office.assert_silent()


def test_busy_record_that_is_made_there_is_parked_until_its_next_try(office: Office) -> None:
    office.people.breaks(action="lock_rows", path=INSERT, count=None)
    ours = office.ours(email="new@example.com")
    assert office.run().state == "succeeded_with_parked"
    assert office.parked() == [("UNABLE_TO_LOCK_ROW", None)]
    assert office.run().counts["api_calls"] == 1
    office.people.mends()
    due(office)
    office.run()
    assert office.linked(ours)
    assert office.parked() == []
    office.assert_silent()


def test_an_edit_is_sent_at_once_although_the_record_was_busy(office: Office) -> None:
    ours, theirs = office.both()
    office.people.breaks(action="lock_rows", path=UPDATE, count=None)
    office.edit(ours, title="O1")
    office.run()
    office.people.mends()
    office.edit(ours, phone="+49 1")
    office.run()
    assert (office.shown(theirs, "title"), office.shown(theirs, "phone")) == ("O1", "+49 1")
    assert office.parked() == []
    office.assert_silent()


def test_a_person_says_that_the_rule_was_changed(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_VARIABLE, office.url)
    rule = office.people.ask("POST", "/standin/validation-rules", json={
        "object": "Contact", "name": "NoTitle", "message": "Title: not now", "field": "Title", "when": {"Title": "O1"},
    })["id"]  # fmt: skip
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    office.run()
    assert office.parked() == [("FIELD_CUSTOM_VALIDATION_EXCEPTION", "title")]
    office.people.ask("DELETE", f"/standin/rules/{rule}")
    assert office.run().counts["planned"] == 0, "nobody said so"
    assert main(["retry", "main", "--code", "DUPLICATES_DETECTED"]) == 0
    assert office.run().counts["planned"] == 0
    assert main(["retry", "main"]) == 0
    assert capsys.readouterr().out.endswith("1 parked lines are tried again in the next run of main\n")
    office.run()
    assert office.shown(theirs, "title") == "O1"
    assert office.parked() == []
    office.assert_silent()


def test_retrying_what_is_still_refused_counts_a_try_and_waits_for_a_person_again(office: Office) -> None:
    ours, _theirs = office.both()
    office.people.breaks(
        action="refuse_rows", path=UPDATE, code="FIELD_CUSTOM_VALIDATION_EXCEPTION", count=None
    )
    office.edit(ours, title="O1")
    office.run()
    (parked_id,) = office.client.execute("select parked_id from crm_sync.parked_rows").fetchall()[0]
    with office.database.transaction() as tx:
        assert parking.try_again(tx, "main", [parked_id]) == 1
    assert office.run().counts["parked"] == 1
    row = office.client.execute("select tries, next_try_at, waits_for from crm_sync.parked_rows").fetchone()
    assert row == (2, None, "a person or a new value")
    assert office.run().counts["planned"] == 0


def test_our_key_that_is_refused_costs_one_try(office: Office) -> None:
    """A record of theirs that takes no edit at all is read like any other, and is not asked again every run."""
    office.people.breaks(
        action="refuse_rows", path=UPDATE, code="FIELD_CUSTOM_VALIDATION_EXCEPTION", count=None
    )
    office.theirs(email="theirs@example.com")
    assert office.run().state == "succeeded_with_parked"
    assert office.counts() == (1, 1)
    report = office.run()
    assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)


def test_contact_whose_account_can_never_get_there(office: Office) -> None:
    office.connect(create_accounts=False)
    account = office.ours("account")
    contact = office.ours(account_id=account)
    office.run()
    theirs = office.linked(contact)
    office.run()
    assert office.parked() == [("parent_missing", "account_id")]
    assert "create_accounts" in office.one("select remedy from crm_sync.parked_rows")
    office.edit(contact, title="O1")
    office.run()
    assert office.shown(theirs, "title") == "O1", "the line holds nothing back"
    assert office.one("select tries from crm_sync.parked_rows") == 1
    office.connect(create_accounts=True)
    office.run()
    office.run()
    assert office.shown(theirs, "account_id") == office.linked(account)
    assert office.parked() == []
    office.assert_silent()
