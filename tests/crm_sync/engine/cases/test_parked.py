"""Parked rows: what is tried again by itself, what waits for a person, and that neither holds anything else up."""

from __future__ import annotations

import pytest

from crm_sync.__main__ import main
from crm_sync.decide.mapping import FieldMapping
from crm_sync.decide.mapping_changes import MappingChanges, adjusted
from crm_sync.ledger import parking
from crm_sync.ledger.database import URL_VARIABLE
from tests.crm_sync.engine.cases.office import Office
from tests.crm_sync.stores.standin import MAPPINGS

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


# ------------------------------------------------------- what nobody needs any more is not shown to anybody

TOO_LONG = "x" * 129
RULE = "FIELD_CUSTOM_VALIDATION_EXCEPTION"


@pytest.mark.parametrize("by", ["them", "us", "us for good"])
def test_what_is_parked_goes_with_its_record(office: Office, by: str) -> None:
    ours, theirs = office.both()
    office.edit(ours, title=TOO_LONG)
    office.run()
    assert office.parked() == [("STRING_TOO_LONG", "title")]
    if by == "them":
        office.people.deletes(theirs)
    else:
        how = "update gptweb.contacts set deleted_at = now()" if by == "us" else "delete from gptweb.contacts"
        office.client.execute(how.encode())
    office.run()
    assert office.parked() == []


@pytest.mark.parametrize(
    "how", ["update gptweb.leads set deleted_at = now()", "delete from gptweb.leads"], ids=["archived", "deleted"]
)  # fmt: skip
def test_what_could_not_be_made_goes_with_its_record(office: Office, how: str) -> None:
    office.ours("lead", company=None)
    office.run()
    assert office.parked() == [("REQUIRED_FIELD_MISSING", None)]
    office.client.execute(how.encode())
    office.run()
    assert office.parked() == []


def test_a_delete_that_was_refused_stays_until_the_record_is_gone(office: Office) -> None:
    office.connect(our_archive="delete")
    _ours, theirs = office.both()
    office.client.execute("update gptweb.contacts set deleted_at = now()")
    office.people.breaks(
        action="refuse_rows", path="/REST/Contact/delete", code=RULE, message="No.", count=None
    )
    for _ in range(2):
        office.run()
        assert office.parked() == [(RULE, "exists")]
    office.people.mends()
    office.people.deletes(theirs)
    office.run()
    assert office.parked() == []


def test_a_busy_value_that_was_taken_back_is_forgotten(office: Office) -> None:
    ours, _theirs = office.both()
    office.edit(ours, title="O1")
    office.people.breaks(action="lock_rows", path=UPDATE, count=None)
    office.run()
    assert office.parked() == [("UNABLE_TO_LOCK_ROW", "title")]
    office.edit(ours, title="n0")
    office.run()
    assert office.parked() == []
    office.people.mends()
    office.assert_silent()


def test_an_edit_that_only_met_a_busy_record_wins_over_its_delete(office: Office) -> None:
    """It was never refused, so it is unsent, and the record is made again."""
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    office.people.breaks(action="lock_rows", path=UPDATE, count=None)
    office.run()
    office.people.mends()
    office.people.deletes(theirs)
    office.run()
    assert office.counts() == (1, 1)
    assert office.shown(office.linked(ours), "title") == "O1"
    assert office.parked() == []
    office.assert_silent()


# ---------------------------------------------------------------- refusals that speak of a record that is not there


@pytest.mark.parametrize("large", ["composite", "bulk"])
@pytest.mark.parametrize("fields", [["OwnerId"], []])
def test_a_new_record_that_refers_to_nothing_is_parked(office: Office, large: str, fields: list[str]) -> None:
    """It has nothing to be read again, and asking for it every run would cost calls for ever."""
    office.connect(large_pushes=large)
    office.people.breaks(
        action="refuse_rows", path="/Lead/", code="INVALID_CROSS_REFERENCE_KEY", message="invalid cross reference id",
        fields=fields, count=None,
    )  # fmt: skip
    lead = office.ours("lead", company="Acme")
    assert office.run().state == "succeeded_with_parked"
    assert office.parked() == [("INVALID_CROSS_REFERENCE_KEY", None)]
    assert office.run().counts["planned"] == 0
    office.people.mends()
    office.edit(lead, "lead", phone="+49 1")
    office.run()
    assert office.linked(lead)
    assert office.parked() == []


def refuse_references(office: Office, *fields: str) -> None:
    office.people.breaks(
        action="refuse_rows", path="/Contact/", body="AccountId", code="INVALID_CROSS_REFERENCE_KEY",
        message="invalid cross reference id", fields=list(fields), count=None,
    )  # fmt: skip


@pytest.mark.parametrize("large", ["composite", "bulk"])
@pytest.mark.parametrize("fields", [["AccountId"], []])
def test_a_new_contact_whose_account_is_there_and_refused_goes_without_it(
    office: Office, large: str, fields: list[str]
) -> None:
    """The account is read again first (algorithm.md 6.3); after that a try of each run would cost calls for ever."""
    office.connect(large_pushes=large)
    account = office.ours("account")
    office.run()
    refuse_references(office, *fields)
    contact = office.ours(account_id=account)
    report = office.run()
    assert (report.state, report.counts["superseded"] > 0) == ("succeeded", True)
    assert office.one("select count(*) from crm_sync.link where reread and object = 'account'") == 1
    assert office.run().state == "succeeded_with_parked"
    theirs = office.linked(contact)
    assert office.parked() == [("INVALID_CROSS_REFERENCE_KEY", "account_id")]
    assert office.run().counts["api_calls"] <= 2  # reading it back
    report = office.run()
    assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)
    due(office)
    office.run()
    assert office.one("select tries from crm_sync.parked_rows") == 3
    assert office.one("select next_try_at > last_at + interval '14 min' from crm_sync.parked_rows")
    assert office.run().counts["api_calls"] == 1
    office.people.mends()
    due(office)
    office.run()
    assert office.shown(theirs, "account_id") == office.linked(account)
    assert office.parked() == []
    office.assert_silent()


def test_a_known_contact_whose_account_is_refused_gets_the_rest(office: Office) -> None:
    ours, theirs = office.both()
    account = office.ours("account")
    office.run()
    refuse_references(office)
    office.edit(ours, account_id=account, title="O1")
    office.run()
    office.run()
    assert office.shown(theirs, "title") == "O1"
    assert office.parked() == [("INVALID_CROSS_REFERENCE_KEY", "account_id")]
    assert office.run().counts["api_calls"] == 1
    office.edit(ours, account_id=None)
    office.run()
    assert office.parked() == []
    office.people.mends()
    office.assert_silent()


def test_a_new_contact_that_is_refused_with_and_without_its_account_waits_for_a_person(
    office: Office,
) -> None:
    """It was its owner, not its account: known after three tries."""
    account = office.ours("account")
    office.run()
    office.people.breaks(
        action="refuse_rows", path="/Contact/", code="INVALID_CROSS_REFERENCE_KEY", message="invalid cross reference id",
        count=None,
    )  # fmt: skip
    contact = office.ours(account_id=account)
    office.run()
    office.run()
    assert ("INVALID_CROSS_REFERENCE_KEY", None) in office.parked()
    for _ in range(2):
        due(office)
        report = office.run()
        assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)
    office.people.mends()
    office.edit(contact, phone="+49 1")
    office.run()
    assert office.shown(office.linked(contact), "account_id") == office.linked(account)
    assert office.parked() == []
    office.assert_silent()


def test_a_record_that_is_there_and_called_deleted_is_not_asked_for_every_run(office: Office) -> None:
    """The same call shows that it is there: so it is tried again with growing distance, and somebody hears of it."""
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    office.people.breaks(
        action="refuse_rows", path=UPDATE, code="ENTITY_IS_DELETED", message="entity is deleted", count=None
    )
    assert office.run().state == "succeeded_with_parked"
    assert office.parked() == [("ENTITY_IS_DELETED", "title")]
    report = office.run()
    assert (report.counts["planned"], report.counts["api_calls"]) == (0, 1)
    office.people.mends()
    due(office)
    office.run()
    assert office.shown(theirs, "title") == "O1"
    assert office.parked() == []
    office.assert_silent()


def test_a_value_that_can_not_be_read_as_its_type_is_parked_alone(office: Office) -> None:
    chosen = {"contact": MappingChanges(fields=(FieldMapping(ours="department", theirs="Birthdate"),))}
    office.mappings = adjusted(MAPPINGS, chosen)  # type: ignore[arg-type]
    people = [office.ours(email=f"e{n}@example.com") for n in range(4)]
    office.run()
    for n, one in enumerate(people):
        office.edit(one, department="29.03.1970" if n == 2 else "1970-03-29", phone="+49 1")
    assert office.run().state == "succeeded_with_parked"
    assert office.parked() == [("JSON_PARSER_ERROR", "department")]
    assert {office.shown(office.linked(one), "phone") for one in people} == {"+49 1"}
    born = [record["Birthdate"] for record in office.query("SELECT Birthdate FROM Contact ORDER BY Email")]
    assert born == ["1970-03-29", "1970-03-29", None, "1970-03-29"]
