"""Opt-outs in the merge, with literals: in a conflict true wins, and later answers travel like any other value."""

from __future__ import annotations

from pathlib import Path

import pytest

from crm_sync.decide.conversion import carry, fill
from crm_sync.decide.merge import merge, work_left
from crm_sync.errors import Misconfigured
from crm_sync.mapping_files import load_mapping, load_mappings
from tests.crm_sync.decide.records import CONTACT, link, record, rules

LEAD = load_mappings("salesforce")["lead"]
POLICIES = ("crm_wins", "gptweb_wins", "most_recent")


@pytest.mark.parametrize("column", ["opted_out_of_email", "do_not_call"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("base", "ours", "seen", "expected"),
    [
        # A first link: there is no base.
        (None, True, False, ("push", "opt_out_wins", True)),
        (None, False, True, ("pull", "opt_out_wins", True)),
        (None, True, True, ("agree", "first_link", False)),
        (None, False, False, ("agree", "first_link", False)),
        # Both know each other: an answer is an answer, also an opt-in.
        (False, True, False, ("push", "ours_changed", False)),
        (False, False, True, ("pull", "theirs_changed", False)),
        (True, False, True, ("push", "ours_changed", False)),
        (True, True, False, ("pull", "theirs_changed", False)),
        (True, False, False, ("agree", "same_value", False)),
    ],
)
def test_what_becomes_of_an_opt_out(
    column: str, policy: str, base: bool | None, ours: bool, seen: bool, expected: tuple[str, str, bool]
) -> None:
    known = link({} if base is None else {column: base}, {column: seen})
    [d] = merge(CONTACT, rules(policy), known, record(None, **{column: ours}))
    assert (d.action, d.rule, d.conflict) == expected


@pytest.mark.parametrize(
    ("direction", "ours", "seen", "expected"),
    [
        ("push", True, False, ["push"]),
        ("push", False, True, []),
        ("pull", False, True, ["pull"]),
        ("pull", True, False, []),
    ],
)
def test_one_direction_at_a_first_link(direction: str, ours: bool, seen: bool, expected: list[str]) -> None:
    known, held = link({}, {"do_not_call": seen}), record(do_not_call=ours)
    found = merge(CONTACT, rules("most_recent", direction), known, held)
    assert [d.action for d in found] == expected
    assert work_left(CONTACT, rules("most_recent", direction), known, held) == bool(expected)


def test_a_converted_lead_takes_its_opt_out_along() -> None:
    known = link({"do_not_call": True}, {"do_not_call": True})
    carried = carry(LEAD, CONTACT, known, record(do_not_call=True))
    assert carried.values["do_not_call"] is True
    assert "do_not_call" not in carried.base_ours
    filled = fill(LEAD, CONTACT, known, record(do_not_call=True), {"do_not_call": False})
    assert filled.values == {"do_not_call": True}
    filled = fill(LEAD, CONTACT, known, record(do_not_call=False), {"do_not_call": True})
    assert (filled.values, filled.lost) == ({}, (("do_not_call", False, True),))


@pytest.mark.parametrize(
    "block", ["type: text", "type: boolean, direction: out", "type: boolean, policy: crm_wins"]
)
def test_the_rule_is_for_a_box_that_both_sides_may_tick(tmp_path: Path, block: str) -> None:
    file = tmp_path / "contact.yaml"
    file.write_text(
        "object: contact\ntheirs: Contact\nmatch: []\n"
        "key: {theirs: K__c, create: {type: Text, label: K, length: 36}}\n"
        "marker: {theirs: M__c, create: {type: Text, label: M, length: 36}}\n"
        f"fields:\n  - {{ours: do_not_call, theirs: DoNotCall, rule: opt_out_wins, {block}}}\n"
    )
    with pytest.raises(Misconfigured, match=r"contact\.yaml:7: .*opt_out_wins is the rule of a boolean"):
        load_mapping(file)
