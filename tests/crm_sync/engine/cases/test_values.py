"""Values that travel to Salesforce and back: what arrives is what was typed, and a second run plans nothing."""

from __future__ import annotations

import pytest

from crm_sync.model import Value
from tests.crm_sync.engine.cases.office import Office

TEXTS = {
    "all planes": "é Ω 中 😀 𠜎 \U000e0041 \U0010fffd",
    "composed and not": "é e\u0301",
    "right to left, joined": "שלום \u200f مرحبا 👨\u200d👩\u200d👧",
    "markup and quotes": '<b>&amp;</b> "O\'Brien" \\n %s {x} #N/A',
    "outer blanks": "  padded  ",
    "lines": "one\ntwo\r\nthree\rfour",
    "controls": "tab\there, bell\x07, unit\x1fseparator",
    "no-break blanks": "\u00a0held\u00a0",
    "looks like a number": "007",
    "a null by name": "null",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_text_makes_the_round_trip(office: Office, text: str) -> None:
    ours, theirs = office.both(description=text)
    report = office.run()
    assert report.counts["planned"] == 0
    assert office.value(ours, "description") == text, "what was typed here stays as it was typed"
    office.people.edits(theirs, "department", text[:80])
    office.run()
    shown = office.shown(theirs, "department")
    assert office.value(ours, "department") == shown, "and what they show is what we get"
    office.assert_silent()


def test_blanks_of_all_kinds_are_one(office: Office) -> None:
    ours, theirs = office.both(title="", phone=None, department="   ")
    assert office.shown(theirs, "title") is None
    assert office.run().counts["planned"] == 0
    office.people.rest("PATCH", f"/sobjects/Contact/{theirs}", json={"Title": "", "Phone": None})
    assert office.run().counts["planned"] == 0
    assert office.value(ours, "title") is None
    office.assert_silent()


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("total_score", 0.1, 0.1),
        ("total_score", 12345678.99, 12345678.99),
        ("total_score", 0, 0),
        ("total_score", -0.01, -0.01),
        ("visit_count", 2_147_483_647, 2_147_483_647),
        ("is_dql", True, True),
        ("last_visit_at", "2026-03-29 01:59:59.999+00", "2026-03-29T01:59:59.000+0000"),
        ("last_visit_at", "1969-12-31 23:59:59+00", "1969-12-31T23:59:59.000+0000"),
    ],
)
def test_numbers_flags_and_moments_make_the_round_trip(
    office: Office, column: str, value: Value, shown: object
) -> None:
    _ours, theirs = office.both(**{column: value})
    assert office.shown(theirs, column) == shown
    assert office.run().counts["planned"] == 0
    office.assert_silent()


def test_edits_within_one_second_both_arrive(office: Office) -> None:
    """Their stamps are whole seconds: a second edit in the second that was read already has the same stamp."""
    office.connect(lag_seconds=0)
    ours, theirs = office.both()
    office.people.ask("POST", "/standin/clock", json={"frozen": True})
    for text in ("T1", "T2", "T3"):
        office.people.edits(theirs, "title", text)
        office.run()
        assert office.value(ours, "title") == text
    office.people.ask("POST", "/standin/clock", json={"frozen": False})
    office.assert_silent()


def test_an_over_long_value_is_parked_and_never_cut(office: Office) -> None:
    ours, theirs = office.both()
    office.edit(ours, title="x" * 129, phone="+49 1")
    report = office.run()
    assert report.state == "succeeded_with_parked"
    assert office.parked() == [("STRING_TOO_LONG", "title")]
    assert (office.shown(theirs, "title"), office.shown(theirs, "phone")) == ("n0", "+49 1")
    assert office.value(ours, "title") == "x" * 129
    assert office.run().counts["planned"] == 0
    office.edit(ours, title="😀" * 64)
    office.run()
    office.assert_silent()


def test_a_value_outside_a_restricted_picklist_is_parked(office: Office) -> None:
    office.people.ask("POST", "/standin/fields", json={
        "field": "Lead.Status", "restrictedPicklist": True, "picklistValues": ["Open", "Closed"],
    })  # fmt: skip
    try:
        lead = office.ours("lead", company="Acme", status="Open")
        office.run()
        office.edit(lead, "lead", status="Elsewhere", phone="+49 1")
        office.run()
        assert office.parked() == [("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "status")]
        assert office.shown(office.linked(lead), "phone", "lead") == "+49 1"
        office.edit(lead, "lead", status="Closed")
        office.run()
        assert office.shown(office.linked(lead), "status", "lead") == "Closed"
        assert office.parked() == []
        office.assert_silent()
    finally:
        office.people.ask(
            "POST", "/standin/fields", json={"field": "Lead.Status", "restrictedPicklist": False}
        )


def test_ids_of_15_and_18_characters_are_one(office: Office) -> None:
    account = office.ours("account")
    ours, theirs = office.both(account_id=account)
    their_account = office.linked(account)
    office.people.rest("PATCH", f"/sobjects/Contact/{theirs}", json={"AccountId": their_account[:15]})
    assert office.run().counts["planned"] == 0
    assert office.value(ours, "account_id").hex
    assert office.shown(theirs, "account_id") == their_account
    office.assert_silent()


@pytest.mark.parametrize("large", ["composite", "bulk"])
def test_a_character_that_our_database_can_not_hold_stops_nobody(office: Office, large: str) -> None:
    """Postgres refuses NUL in any text: without care the one record that has it would stop every read for ever."""
    office.connect(large_pushes=large)
    ours, theirs = office.both()
    office.people.edits(theirs, "title", "a\x00b")
    office.people.edits(theirs, "department", "\\u0000 in words")
    stranger = office.theirs(email="new@example.com", title="\x00")
    assert office.run().state == "succeeded"
    assert (office.value(ours, "title"), office.value(ours, "department")) == ("ab", "\\u0000 in words")
    assert office.one("select our_id from crm_sync.link where their_id = %s", stranger)
    office.assert_silent()
