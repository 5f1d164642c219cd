"""What a second review of the engine found: each of these broke a promise once, or said what was not true."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.crm_sync.engine.cases.office import Office


def _archives(office: Office, account: str) -> None:
    office.client.execute("update gptweb.accounts set deleted_at = now() where id = %s", (account,))


def _moves(office: Office) -> tuple[str, str, str]:
    """Two accounts and a contact of the first, known to both sides: our ids."""
    first, second = office.ours("account", name="First"), office.ours("account", name="Second")
    contact = office.ours(account_id=first)
    office.run()
    return first, second, contact


@pytest.mark.parametrize("seen", [True, False])
def test_a_contact_leaves_an_account_that_was_archived_here(office: Office, seen: bool) -> None:
    first, second, contact = _moves(office)
    _archives(office, first)
    if seen:
        office.run()
    office.edit(contact, account_id=second)
    office.run()
    assert office.shown(office.linked(contact), "account_id") == office.linked(second)
    assert office.parked() == []
    office.assert_silent()


def test_an_account_archived_here_leaves_its_contacts_to_nobody(office: Office) -> None:
    """It lives on in the CRM, by the setting, and the contact belongs to it on both sides: nothing is missing."""
    first, _second, contact = _moves(office)
    _archives(office, first)
    office.edit(contact, title="O1")
    office.run()
    assert office.run().state == "succeeded"
    assert office.parked() == []
    assert office.shown(office.linked(contact), "account_id") == office.linked(first)
    assert office.one("select count(*) from crm_sync.link where dirty") == 0


def test_a_contact_moved_there_before_its_account_was_deleted_misses_nothing(office: Office) -> None:
    first, second, contact = _moves(office)
    office.people.edits(office.linked(contact), "account_id", office.linked(second))
    office.people.deletes(office.linked(first))
    office.run()
    assert str(office.value(contact, "account_id")) == second
    assert office.parked() == []
    office.assert_silent()


@pytest.mark.parametrize("their_delete", ["archive", "keep"])
def test_a_lead_whose_contact_was_deleted_before_it_was_read(office: Office, their_delete: str) -> None:
    office.connect(their_delete=their_delete)
    lead = office.ours("lead", company="Acme", email="lead@example.com")
    office.run()
    theirs = office.linked(lead)
    office.people.edits(theirs, "title", "T1")
    office.people.ask("POST", "/standin/records/convert", json={"leadId": theirs})
    query = f"SELECT ConvertedContactId FROM Lead WHERE Id = '{theirs}'"
    office.people.deletes(office.query(query)[0]["ConvertedContactId"])
    office.run()
    assert office.one("select state from crm_sync.link where our_id = %s", lead) == "converted"
    assert (office.value(lead, "deleted_at", "lead") is None) == (their_delete == "keep")
    assert office.counts("contact") == (0, 0)
    lost = "select before #>> '{}' from crm_sync.audit_trail where outcome = 'overruled' and field = 'title'"
    assert office.one(lost) == ("T1" if their_delete == "archive" else None)
    office.assert_silent()


def test_a_copy_that_carries_our_key_holds_back_nothing_but_the_key(office: Office) -> None:
    ours, theirs = office.both()
    _key(office, theirs, None)
    copy = office.theirs(last_name="Copy", email="copy@example.com")
    _key(office, copy, ours)
    office.edit(ours, title="O1")
    assert office.run().state == "succeeded_with_parked"
    assert office.shown(theirs, "title") == "O1"
    assert sorted(office.parked(), key=str) == [("DUPLICATE_VALUE", "id"), ("possible_duplicate", None)]
    assert office.run().counts["planned"] == 0
    _key(office, copy, None)
    office.edit(ours, title="O2")
    office.run()
    assert office.parked() == []
    assert office.counts() == (2, 2)
    office.assert_silent()


def test_our_key_that_a_person_puts_right_needs_nobody_any_more(office: Office) -> None:
    ours, theirs = office.both()
    _key(office, theirs, None)
    copy = office.theirs(last_name="Copy", email="copy@example.com")
    _key(office, copy, ours)
    office.run()
    _key(office, copy, None)
    _key(office, theirs, ours)
    office.run()
    assert office.parked() == []
    office.assert_silent()


def _key(office: Office, their_id: str, key: str | None) -> None:
    """Somebody types into the field of our key."""
    office.org.session.call(
        "PATCH",
        f"/services/data/v66.0/sobjects/Contact/{their_id}",
        json={"GPTWeb_Id__c": key},
        purpose="test",
    )


@pytest.mark.parametrize("seen", [True, False])
def test_a_record_that_was_deleted_and_inserted_again_with_its_id_is_done_with(
    office: Office, seen: bool
) -> None:
    """As by who restores a table: its version begins anew, and is lower than that of the delete in the outbox."""
    ours, theirs = office.both()
    office.client.execute("delete from gptweb.contacts")
    if seen:
        office.run()
    office.client.execute(
        "insert into gptweb.contacts (id, last_name, title) values (%s, 'Doe', 'O1')", (ours,)
    )
    office.run()
    assert (office.shown(theirs, "title"), office.counts()) == ("O1", (1, 1))
    office.run()
    assert office.one("select count(*) from crm_sync.outbox") == 0
    office.edit(ours, title="O2")
    office.run()
    assert office.shown(theirs, "title") == "O2"
    office.assert_silent()


def test_what_was_not_made_there_is_not_late(office: Office) -> None:
    """One that is refused waits for a person, one that was archived meanwhile for nobody."""
    office.people.breaks(
        action="refuse_rows", path="/REST/Contact/insert", code="FIELD_CUSTOM_VALIDATION_EXCEPTION"
    )
    office.ours(email="refused@example.com")
    assert office.run().freshness == ""
    archived = office.ours(email="archived@example.com")
    office.people.breaks(
        action="reset_before", method="POST", path="/composite$", body="archived@example.com"
    )
    assert office.run().state == "failed"
    office.client.execute("update gptweb.contacts set deleted_at = now() where id = %s", (archived,))
    office.later += timedelta(hours=1)
    office.run()
    assert office.run().freshness == ""


def test_a_record_that_is_put_right_there_takes_what_its_state_had_refused(office: Office) -> None:
    """The rule speaks of a field that was not sent: the remedy is to fill that in, on either side."""
    ours, theirs = office.both()
    rule = {"object": "Contact", "name": "Mobile", "message": "Needs a mobile.", "field": "MobilePhone"}
    made = office.people.ask("POST", "/standin/validation-rules", json={**rule, "when": {"MobilePhone": ""}})
    try:
        office.edit(ours, title="O1")
        assert office.run().state == "succeeded_with_parked"
        assert office.run().counts["planned"] == 0
        office.people.edits(theirs, "mobile_phone", "5")
        office.run()
        assert (office.shown(theirs, "title"), office.value(ours, "mobile_phone")) == ("O1", "5")
        assert office.parked() == []
        office.assert_silent()
    finally:
        office.people.ask("DELETE", f"/standin/rules/{made['id']}")
