"""Comparing two complete reads, with literals: under which one cause each record falls."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from crm_sync.decide.causes import CAUSES, DRIFT, Cause
from crm_sync.decide.compare import (
    Difference,
    Finding,
    Known,
    Pair,
    judge_pair,
    judge_unlinked,
    seen_now,
    too_many,
)
from crm_sync.decide.drift import SAMPLES, Drift
from crm_sync.decide.merge import NO_PARENTS, Parents
from crm_sync.model import Image, Link, OurRecord
from tests.crm_sync.decide.records import CONTACT, KEY, T0, at, link, record, rules

SENT = 9
"""The number of the read; links of these tests were last seen before it, unless one says otherwise."""


def image(stamp: datetime = T0, **values: Any) -> Image:
    more = {name: values.pop(name) for name in ("deleted", "merged_into", "our_id") if name in values}
    return Image("003A", values, stamp, **{"our_id": KEY, **more})


def judged(
    known: Link, ours: OurRecord | None, shown: Image | None = None, *, absent: bool = False, parents: Parents = NO_PARENTS,
    direction: str = "bidirectional", **told: Any,
) -> Finding:  # fmt: skip
    pair = Pair(known, seen_now(CONTACT, known, shown, SENT), ours, shown, absent, Known(**told))
    return judge_pair(CONTACT, rules(direction=direction), pair, parents)


SAME = link({"title": "a"}, {"title": "a"})


# -------------------------------------------------------------------------------------------------- one pair


@pytest.mark.parametrize(
    ("known", "ours", "shown", "cause"),
    [
        (SAME, record(title="a"), None, "in_step"),
        (SAME, record(title="a"), image(at(1), title="a"), "in_step"),
        (SAME, record(title="a"), image(at(1), title="b"), "drifted_theirs"),
        (SAME, record(title="a"), image(T0, title="b"), "formula"),
        (SAME, record(title="b"), None, "drifted_ours"),
        (SAME, record(title="b"), image(at(1), title="c"), "drifted_both"),
        (SAME, record(title="b"), image(at(1), title="b"), "in_step"),
        (SAME, record(title=" a"), image(at(1), title="a "), "in_step"),
        (SAME, record(title="a"), image(at(1), title="a", our_id=None), "drifted_theirs"),
        (SAME, record(title="a"), image(at(1), title="a", deleted=True), "missing_theirs"),
        (SAME, record(title="a"), image(at(1), title="a", deleted=True, merged_into="003B"), "missing_theirs"),
        (SAME, None, None, "missing_ours"),
        (SAME, replace(record(title="a"), deleted=True, archived_by="person"), None, "missing_ours"),
        (SAME, None, image(at(1), title="a", deleted=True), "link_to_nothing"),
        (replace(SAME, alive=(False, True), state="gone"), None, None, "by_agreement"),
        (replace(SAME, alive=(True, False), state="gone", their_alive=False), record(title="a"), None, "by_agreement"),
        (replace(SAME, state="merged"), record(title="z"), None, "by_agreement"),
        (replace(SAME, state="lost"), record(title="a"), image(at(1), title="a"), "drifted_theirs"),
        (replace(SAME, seen_recv=SENT + 1, seen_stamp=at(5)), record(title="a"), image(at(1), title="b"), "busy"),
        (replace(SAME, seen_recv=SENT + 1, seen_stamp=at(5)), record(title="a"), image(at(1), title="a"), "in_step"),
        (replace(SAME, parked={("theirs", "title"): "b"}), record(title="b"), None, "parked"),
        (link({"title": "a"}, {"title": "A."}, base_theirs={"title": "A."}), record(title="a"), None, "by_agreement"),
    ],
)  # fmt: skip
def test_a_pair_falls_under_one_cause(
    known: Link, ours: OurRecord | None, shown: Image | None, cause: Cause
) -> None:
    assert judged(known, ours, shown).cause == cause


def test_a_record_that_was_not_in_the_read() -> None:
    assert judged(SAME, record(title="a"), absent=True).cause == "missing_theirs"
    assert judged(SAME, None, absent=True).cause == "link_to_nothing"
    assert judged(replace(SAME, state="lost"), record(title="a"), absent=True).cause == "parked"
    asleep = replace(SAME, state="gone", alive=(False, False), their_alive=False)
    assert judged(asleep, None, absent=True).cause == "by_agreement"


def test_differences_have_both_values() -> None:
    found = judged(
        link({"title": "a", "phone": "1"}, {"title": "a", "phone": "1"}),
        record(title="b", phone="1"),
        image(at(1), title="a", phone="2"),
    )
    assert set(found.differences) == {Difference("title", "b", "a"), Difference("phone", "1", "2")}
    assert (found.cause, found.our_id, found.their_id) == ("drifted_both", KEY, "003A")


def test_our_key_that_is_missing_there_is_a_difference_of_its_own() -> None:
    found = judged(SAME, record(title="a"), image(at(1), title="a", our_id=None))
    assert found.differences == (Difference("GPTWeb_Id__c", KEY, None),)


def test_what_a_one_way_connection_never_writes_is_no_drift() -> None:
    assert judged(SAME, record(title="a"), image(at(1), title="b"), direction="push").cause == "by_agreement"
    assert judged(SAME, record(title="b"), None, direction="pull").cause == "by_agreement"


def test_what_the_sync_knows_or_will_read_waits_for_it() -> None:
    changed = image(at(60), title="b")
    assert not judged(SAME, record(title="a"), changed, cursor=at(61)).waiting
    assert judged(SAME, record(title="a"), changed, cursor=at(60)).waiting
    assert judged(SAME, record(title="b"), None, dirty=True).waiting
    assert not judged(SAME, record(title="a"), None, dirty=True).waiting, "nothing differs"


def test_what_is_being_written_is_not_judged() -> None:
    assert judged(SAME, record(title="z"), None, in_doubt=True).cause == "busy"


def test_a_contact_whose_account_is_not_there_is_left_to_a_person() -> None:
    known = link({"title": "a"}, {"title": "a", "account_id": None})
    assert judged(known, record(title="a", account_id="x")).cause == "parked"


def test_a_contact_under_another_account() -> None:
    base = {"base_ours": {"account_id": "x"}, "base_theirs": {"account_id": "001X"}}
    known = link({}, {"account_id": "001X"}, **base)
    parents = Parents({"001X": "x", "001Y": "y"}, {"x": "001X", "y": "001Y"})
    assert judged(known, record(account_id="x"), parents=parents).cause == "in_step"
    found = judged(known, record(account_id="x"), image(at(1), account_id="001Y"), parents=parents)
    assert (found.cause, [d.field for d in found.differences]) == ("drifted_theirs", ["account_id"])


# ------------------------------------------------------------------------------------- records without a partner


@pytest.mark.parametrize(
    ("wanted", "held_back", "in_doubt", "cause"),
    [
        (True, False, False, "unlinked_"), (False, False, False, "left_out"), (True, True, False, "parked"),
        (False, True, False, "parked"), (True, False, True, "busy"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_record_without_a_partner(
    side: Any, wanted: bool, held_back: bool, in_doubt: bool, cause: str
) -> None:
    found = judge_unlinked(side, "id", wanted=wanted, held_back=held_back, waiting=True, in_doubt=in_doubt)
    assert found.cause == (cause + side if cause.endswith("_") else cause)
    assert (found.our_id, found.their_id) == (("id", None) if side == "ours" else (None, "id"))
    assert found.waiting is (found.cause in DRIFT)


@pytest.mark.parametrize(
    ("count", "of", "mass"), [(9, 9, False), (3, 10, False), (4, 10, True), (10, 34, False), (11, 34, True)]
)
def test_so_many_are_a_mass(count: int, of: int, mass: bool) -> None:
    assert too_many(count, of) is mass


# ------------------------------------------------------------------------------------------------- added up

VALUES = st.sampled_from(["a", "b", "a ", None])
PAIRS = st.tuples(VALUES, VALUES, VALUES, VALUES, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(PAIRS, max_size=30), st.integers(0, 3))
def test_whatever_both_sides_hold_each_pair_is_counted_once_and_in_step_means_equal(
    pairs: list[Any], more: int
) -> None:
    drift = Drift()
    for base, seen, held, shown, read, absent, dead_here, dead_there in pairs:
        known = link({"title": base}, {"title": seen})
        ours = replace(record(title=held), deleted=dead_here)
        new = image(at(1), title=shown, deleted=dead_there) if read and not absent else None
        found = judged(known, ours, new, absent=absent)
        drift.add("contact", [found])
        theirs = (shown or "").strip() if new else (seen or "").strip()
        equal = (held or "").strip() == theirs and not dead_here and not absent and not (new and dead_there)
        assert (found.cause == "in_step") <= equal, "in step are only equal ones"
        assert equal <= (found.cause == "in_step"), "and every equal pair is in step"
    drift.in_step("contact", more)
    assert sum(drift.records.values()) == len(pairs) + more
    assert drift.differing == sum(n for (_, cause), n in drift.records.items() if cause in DRIFT)
    assert drift.verdict == ("drifted" if drift.differing else "in_step")
    assert sum(drift.counts().values()) == len(pairs) + more + drift.differing
    assert all(sum(s.finding.cause == cause for s in drift.samples) == min(SAMPLES, n)
               for (_, cause), n in drift.records.items() if cause != "in_step")  # fmt: skip


def finding(cause: Cause, *, waiting: bool = False) -> Finding:
    return Finding(cause, 1, KEY, "003A", (), waiting)


@pytest.mark.parametrize(
    ("findings", "headline"),
    [
        ([], "In step: 1,000 contacts and 1 lead agree on every mapped field."),
        (["parked", "left_out"], "In step: 1,000 contacts and 1 lead agree on every mapped field. Beside that: 1 left to a person, 1 left out by the settings."),
        (["formula"], "Drifted: 1 contact differs."),
        (["formula", "missing_ours"], "Drifted: 2 contacts differ."),
        (["formula", "+formula"], "Drifted: 2 contacts differ; the next sync sees to 1 of them by itself."),
        (["+drifted_ours"], "Drifted: 1 contact differs; the next sync sees to all of them by itself."),
    ],
)  # fmt: skip
def test_the_verdict_is_the_first_line(findings: list[str], headline: str) -> None:
    drift = Drift()
    drift.in_step("contact", 1000)
    drift.in_step("lead", 1)
    drift.add("contact", [finding(c.lstrip("+"), waiting=c.startswith("+")) for c in findings])  # type: ignore[arg-type]
    assert drift.headline == headline
    assert drift.lines()[0] == headline


def test_nothing_at_all_is_in_step() -> None:
    assert Drift().headline == "In step: there is nothing to compare."


def test_every_cause_has_its_words() -> None:
    assert set(CAUSES) >= DRIFT
    assert len(set(CAUSES.values())) == len(CAUSES)
