"""Failure cases 22 to 29 and 41: who is who, through merges, conversion, deletes and edits of the key itself."""

from __future__ import annotations

import pytest

from tests.crm_sync.engine.cases.office import Office


def test_case_22_update_of_a_converted_lead(office: Office) -> None:
    lead = office.ours(
        "lead", last_name="Lee", company="Acme", email="lee@example.com", status="Open - Not Contacted"
    )
    office.run()
    office.edit(lead, "lead", phone="+49 1")
    run_id = office.open()
    office.stage(run_id, "pull", "plan", "push_ours")
    reply = office.people.ask("POST", "/standin/records/convert", json={"leadId": office.linked(lead)})
    office.stage(run_id, "push_theirs")
    office.settle(run_id)
    office.run()
    office.run()
    contact = reply["contactId"]
    assert office.shown(contact, "phone") == "+49 1", "what was typed here goes on to the contact"
    assert office.parked() == []
    assert (office.counts("lead")[0], office.counts("contact")) == (0, (1, 1))
    office.assert_silent()


def test_case_23_the_link_follows_a_merge(office: Office) -> None:
    ours, loser = office.both()
    winner = office.theirs(email="winner@example.com")
    office.people.merges(winner, loser)
    office.edit(ours, title="O1")
    office.run()
    office.run()
    assert office.linked(ours) == winner
    assert office.shown(winner, "title") == "O1"
    assert office.counts() == (1, 1)
    assert office.one("select their_id from crm_sync.former") == loser, "the link keeps the ids it had"
    office.assert_silent()


def test_case_24_a_merge_among_deletes_is_no_delete(office: Office) -> None:
    ours, loser = office.both()
    gone = office.ours(email="gone@example.com")
    office.run()
    winner = office.theirs(email="winner@example.com")
    office.people.merges(winner, loser)
    office.people.deletes(office.linked(gone))
    office.run()
    office.run()
    assert office.value(ours, "deleted_at") is None
    assert office.value(gone, "deleted_at") is not None
    assert office.counts() == (1, 1)
    office.assert_silent()


def test_case_25_an_email_that_changes_makes_nobody_new(office: Office) -> None:
    ours, theirs = office.both()
    office.people.edits(theirs, "email", "new@example.com")
    office.run()
    assert (office.counts(), office.value(ours, "email")) == ((1, 1), "new@example.com")
    office.edit(ours, email="newer@example.com")
    office.run()
    assert (office.counts(), office.shown(theirs, "email")) == ((1, 1), "newer@example.com")
    office.assert_silent()


def test_case_26_no_email_or_an_invalid_one_makes_no_duplicate(office: Office) -> None:
    office.ours(last_name="Nobody")
    office.theirs(last_name="None")
    wrong = office.ours(last_name="Wrong", email="not an address")
    office.run()
    assert office.parked() == [("INVALID_EMAIL_ADDRESS", "email")]
    for _ in range(3):
        assert office.run().counts["planned"] == 0
    assert office.counts() == (3, 3)
    assert office.shown(office.linked(wrong), "email") is None, "everything else of it is there"
    office.edit(wrong, email="right@example.com")
    office.run()
    assert office.shown(office.linked(wrong), "email") == "right@example.com"
    assert office.parked() == []
    office.assert_silent()


def test_case_27_nothing_echoes_and_an_edit_right_after_ours_travels(office: Office) -> None:
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    office.run()
    office.people.edits(theirs, "title", "T2")
    office.run()
    assert office.value(ours, "title") == "T2"
    office.people.forgets()
    for _ in range(3):
        assert office.run().counts["planned"] == 0
    assert sum(call["rows_written"] for call in office.people.calls()) == 0
    office.assert_silent()


def test_case_28_an_echo_overrules_nobody_and_revives_nobody(office: Office) -> None:
    ours, theirs = office.both()
    office.edit(ours, title="O1")
    run_id = office.open()
    office.stage(run_id, "pull", "plan", "push_ours", "push_theirs")
    office.edit(ours, title="O2")
    office.settle(run_id)
    office.run(direction="pull")  # the stale O1 comes back
    assert office.value(ours, "title") == "O2"
    office.run()
    assert office.shown(theirs, "title") == "O2"
    office.people.deletes(theirs)
    office.run()
    office.run()
    assert office.counts() == (0, 0)
    office.assert_silent()


def test_case_29_read_before_its_id_is_stored(office: Office) -> None:
    ours = office.ours(email="e0@example.com")
    office.people.breaks(action="reset_after", path="/composite$", body="PATCH", count=1)
    office.run()
    assert office.one("select their_id from crm_sync.link where our_id = %s", ours) is None
    office.run(direction="pull")
    assert office.counts() == (1, 1)
    assert office.linked(ours)
    office.assert_silent()


def test_case_41_a_first_sync_of_known_people_makes_nobody_new(office: Office) -> None:
    """Who first sees how much is to be made and overwritten, and approves it, is tested with the preview."""
    office.connect(approve_share_above=None)
    for n in range(60):
        office.ours(email=f"e{n}@example.com", title=f"t{n}")
    records = [
        {"attributes": {"type": "Contact"}, "LastName": "Doe", "Email": f"E{n}@Example.com", "Phone": f"p{n}"}
        for n in range(60)
    ]
    office.people.rest("POST", "/composite/sobjects", json={"records": records})
    office.run(objects=("contact",))
    assert office.counts() == (60, 60)
    assert (
        office.one("select count(*) from gptweb.contacts where phone is not null and title is not null") == 60
    )
    office.assert_silent()
    office.client.execute("update gptweb.contacts set department = 'all'")
    office.run(objects=("contact",))
    assert office.counts() == (60, 60)


def test_an_opt_out_that_was_not_read_yet_outlives_a_merge(office: Office) -> None:
    ours, loser = office.both()
    office.people.edits(loser, "opted_out_of_email", True)
    winner = office.theirs(email="winner@example.com")
    office.people.merges(winner, loser)
    dry = office.open(dry_run=True)
    office.stage(dry, "pull", "plan")
    office.settle(dry)
    assert office.value(ours, "opted_out_of_email") is False, "a dry run writes nothing"
    office.run()
    office.run()
    assert (office.value(ours, "opted_out_of_email"), office.shown(winner, "opted_out_of_email")) == (
        True,
        True,
    )
    assert office.one("select detail from crm_sync.audit_trail where rule = 'opt_out_wins' and side = 'ours'")
    office.assert_silent()


@pytest.mark.parametrize("said", ["there", "there, not read yet", "here"])
def test_an_opt_out_outlives_a_merge_into_somebody_known(office: Office, said: str) -> None:
    gone, loser = office.both()
    stays = office.ours(email="e1@example.com")
    office.run()
    winner = office.linked(stays)
    if said == "here":
        office.edit(gone, do_not_call=True)
    else:
        office.people.edits(loser, "do_not_call", True)
    if said == "there":
        office.run()
    office.people.merges(winner, loser)
    office.run()
    office.run()
    assert (office.value(stays, "do_not_call"), office.shown(winner, "do_not_call")) == (True, True)
    assert office.value(stays, "opted_out_of_email") is False
    office.assert_silent()


def test_an_opt_out_of_a_lead_outlives_its_conversion_into_somebody_known(office: Office) -> None:
    contact, theirs = office.both()
    account = office.people.creates("account", name="Acme")
    office.people.rest("PATCH", f"/sobjects/Contact/{theirs}", json={"AccountId": account})
    lead = office.ours("lead", last_name="Lee", company="Acme", email="lee@example.com")
    office.run()
    office.people.edits(office.linked(lead), "do_not_call", True)
    office.people.ask("POST", "/standin/records/convert", json={
        "leadId": office.linked(lead), "contactId": theirs, "accountId": account,
    })  # fmt: skip
    office.run()
    office.run()
    assert (office.value(contact, "do_not_call"), office.shown(theirs, "do_not_call")) == (True, True)
    office.assert_silent()
