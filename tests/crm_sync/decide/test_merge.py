"""The three-way merge, with literals: the table of algorithm.md 1.5, and what may never happen."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import hypothesis.strategies as st
import pytest
from hypothesis import given

from crm_sync.decide.merge import Decision, Parents, conflict_winner, merge, work_left
from crm_sync.decide.values import same
from crm_sync.model import ClockReading, Link, OurRecord, Row, Value
from tests.crm_sync.decide.records import CONTACT, KEY, T0, at, link, record, rules


def decide(
    base: Value, ours: Value, seen: Value, policy: str = "crm_wins", direction: str = "bidirectional"
) -> tuple:
    """What becomes of one title: action, rule, whether it was a conflict."""
    found = merge(
        CONTACT, rules(policy, direction), link({"title": base}, {"title": seen}), record(title=ours)
    )
    return tuple((d.action, d.rule, d.conflict) for d in found)


@pytest.mark.parametrize(
    ("base", "ours", "seen", "expected"),
    [
        ("a", "a", "a", ()),
        (None, None, None, ()),
        ("a", "b", "a", (("push", "ours_changed", False),)),
        ("a", "a", "b", (("pull", "theirs_changed", False),)),
        ("a", "b", "b", (("agree", "same_value", False),)),
        ("a", "b ", "b", (("agree", "same_value", False),)),
        ("a", "x\r\ny", "x\ny", (("agree", "same_value", False),)),
        ("a", "b", "c", (("pull", "crm_wins", True),)),
        ("a", None, "a", (("push", "ours_changed", False),)),
        ("a", "a", None, (("pull", "theirs_changed", False),)),
        ("a", None, "c", (("pull", "crm_wins", True),)),
        ("a", "b", None, (("pull", "crm_wins", True),)),
        ("a", None, None, (("agree", "same_value", False),)),
    ],
)
def test_the_table(base: Value, ours: Value, seen: Value, expected: tuple) -> None:
    assert decide(base, ours, seen) == expected


@pytest.mark.parametrize(
    ("ours", "seen", "expected"),
    [
        (None, None, ("agree", "first_link", False)),
        ("a", "a", ("agree", "first_link", False)),
        ("a", None, ("push", "filled_blank", False)),
        (None, "a", ("pull", "filled_blank", False)),
        ("a", "b", ("pull", "crm_wins", True)),
    ],
)
def test_a_first_link_has_no_base(ours: Value, seen: Value, expected: tuple) -> None:
    [d] = merge(CONTACT, rules("crm_wins"), link({}, {"title": seen}), record(title=ours))
    assert (d.action, d.rule, d.conflict) == expected


@pytest.mark.parametrize(
    ("direction", "ours", "seen", "expected"),
    [
        ("push", "b", "a", (("push", "push_only", False),)),
        ("push", "a", "b", ()),
        ("push", "b", "c", (("push", "push_only", True),)),
        ("pull", "a", "b", (("pull", "pull_only", False),)),
        ("pull", "b", "a", ()),
        ("pull", "b", "c", (("pull", "pull_only", True),)),
        ("push", "b", "b", (("agree", "same_value", False),)),
    ],
)
def test_one_way(direction: str, ours: Value, seen: Value, expected: tuple) -> None:
    assert decide("a", ours, seen, "gptweb_wins", direction) == expected


@pytest.mark.parametrize("direction", ["bidirectional", "push"])
@pytest.mark.parametrize("policy", ["crm_wins", "gptweb_wins", "most_recent"])
def test_a_measure_of_ours_is_restored(policy: str, direction: str) -> None:
    known = link({"total_score": 1.0}, {"total_score": 9.0})
    [d] = merge(CONTACT, rules(policy, direction), known, record(total_score=1.0))
    assert (d.action, d.rule, d.restored, d.ours, d.theirs) == ("push", "gptweb_owns", True, 1.0, 9.0)


def test_pull_only_writes_nothing_there() -> None:
    known = link({"total_score": 1.0, "title": "a"}, {"total_score": 9.0, "title": "a"}, keyed=False)
    assert merge(CONTACT, rules(direction="pull"), known, record(total_score=1.0, title="b")) == ()


def test_absent_is_not_blank() -> None:
    assert merge(CONTACT, rules(), link({"title": "a"}, {}), record(title="a")) == ()
    assert merge(CONTACT, rules(), link({"title": "a"}, {"title": "a"}), record()) == ()


@pytest.mark.parametrize(
    "asleep",
    [
        link({"title": "a"}, {"title": "b"}, state="gone"),
        link({"title": "a"}, {"title": "b"}, their_alive=False),
        link({"title": "a"}, {"title": "b"}, reread=True),
    ],
)
def test_nothing_is_decided_while_asleep_or_in_doubt(asleep: Link) -> None:
    assert merge(CONTACT, rules(), asleep, record(title="c")) == ()
    assert (
        merge(
            CONTACT, rules(), link({"title": "a"}, {"title": "b"}), replace(record(title="c"), deleted=True)
        )
        == ()
    )
    assert merge(CONTACT, rules(), link({"title": "a"}, {"title": "b"}), None) == ()


def test_a_link_without_our_key_gets_it() -> None:
    unkeyed = link({"title": "a"}, {"title": "a"}, keyed=False)
    [d] = merge(CONTACT, rules(), unkeyed, record(title="a"))
    assert (d.field, d.action, d.ours) == ("id", "push", KEY)
    assert merge(CONTACT, rules(direction="pull"), unkeyed, record(title="a")) == ()


def test_the_base_has_two_spellings() -> None:
    spelt = link(seen={"phone": "(1) 2"}, base_ours={"phone": "12"}, base_theirs={"phone": "(1) 2"})
    assert merge(CONTACT, rules(), spelt, record(phone="12")) == ()
    assert [d.action for d in merge(CONTACT, rules(), spelt, record(phone="34"))] == ["push"]


def test_parked_by_side_field_and_value() -> None:
    parked = link(
        {"title": "a", "phone": "1"}, {"title": "a", "phone": "1"}, parked={("theirs", "title"): "b"}
    )
    assert merge(CONTACT, rules(), parked, record(title="b", phone="1")) == ()
    assert [d.field for d in merge(CONTACT, rules(), parked, record(title="b", phone="2"))] == ["phone"]
    assert [d.ours for d in merge(CONTACT, rules(), parked, record(title="c", phone="1"))] == ["c"]
    theirs = replace(parked, seen={"title": "t", "phone": "1"})
    assert [d.action for d in merge(CONTACT, rules("crm_wins"), theirs, record(title="b", phone="1"))] == [
        "pull"
    ]


# ---------------------------------------------------------------------------------------------- most recent wins


@pytest.mark.parametrize(
    ("ours", "lo", "hi", "expected"),
    [
        (5, 0, 3, ("ours", "most_recent")),
        (4.1, 0, 3, ("ours", "most_recent")),
        (4, 0, 3, ("theirs", "most_recent_undecidable")),
        (2, 0, 3, ("theirs", "most_recent_undecidable")),
        (0, 0, 3, ("theirs", "most_recent")),
        (-1, 0, 3, ("theirs", "most_recent")),
        (-1, None, 3, ("theirs", "most_recent_undecidable")),
        (9, None, None, ("theirs", "most_recent_undecidable")),
    ],
)
def test_most_recent(ours: float, lo: float | None, hi: float | None, expected: tuple[str, str]) -> None:
    bounds = [None if bound is None else at(bound) for bound in (lo, hi)]
    winner, rule, words = conflict_winner("most_recent", rules().clock, at(ours), *bounds)
    assert (winner, rule) == expected
    assert ("undecidable" in words) == rule.endswith("undecidable")


@pytest.mark.parametrize(
    ("offset", "error", "winner"), [(0, 0, "ours"), (-5, 0, "theirs"), (5, 0, "ours"), (0, 5, "theirs")]
)
def test_most_recent_corrects_the_clock(offset: float, error: float, winner: str) -> None:
    clock: ClockReading = rules(offset=offset, error=error).clock
    assert conflict_winner("most_recent", clock, at(5), at(0), at(3))[0] == winner


def test_a_column_that_never_changed_is_as_old_as_its_record() -> None:
    known = link({}, {"title": "t"}, seen_stamp=at(-100))
    [d] = merge(CONTACT, rules(), known, record(title="o"))
    assert (d.action, d.rule) == ("push", "most_recent")


# --------------------------------------------------------------------------------------------------- references


def test_a_parent_that_is_not_known_yet_is_no_blank() -> None:
    child = link({"account_id": "A"}, {"account_id": "001B"})
    assert merge(CONTACT, rules(), child, record(account_id="A")) == ()
    assert work_left(CONTACT, rules(), child, record(account_id="A"))


def test_a_reference_is_merged_in_our_ids() -> None:
    child = link({"account_id": "A"}, {"account_id": "001B"})
    parents = Parents(ours={"001B": "B"}, theirs={"B": "001B", "A": "001A"})
    [d] = merge(CONTACT, rules(), child, record(account_id="A"), parents)
    assert (d.action, d.ours, d.theirs) == ("pull", "A", "B")


def test_a_parent_that_is_not_there_yet_waits() -> None:
    child = link({"account_id": None}, {"account_id": None})
    assert merge(CONTACT, rules(), child, record(account_id="A")) == ()
    [d] = merge(CONTACT, rules(), child, record(account_id="A"), Parents(theirs={"A": "001A"}))
    assert (d.action, d.ours) == ("push", "A")


# --------------------------------------------------------------------------------------------------- properties

TEXTS = st.one_of(st.none(), st.sampled_from(["a", "b", "b ", "c", "x\r\ny", "x\ny"]))
TIMES = st.integers(-5, 5).map(at)
ROWS = st.fixed_dictionaries(
    {"title": TEXTS, "phone": TEXTS, "total_score": st.sampled_from([None, 1.0, 2.0])}
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Link, OurRecord]:
    base = draw(st.one_of(st.just({}), ROWS))
    hi = draw(st.fixed_dictionaries({}, optional={"title": TIMES, "phone": TIMES}))
    known = link(seen=draw(ROWS), base_ours=base, base_theirs=base, seen_hi=hi)
    times: dict[str, datetime] = draw(st.fixed_dictionaries({}, optional={"title": TIMES, "phone": TIMES}))
    return known, record(times, **draw(ROWS))


def carried_out(known: Link, ours: OurRecord, decisions: tuple[Decision, ...]) -> tuple[Link, OurRecord]:
    """Both sides after every decision was written and acknowledged."""
    values, seen = dict(ours.values), dict(known.seen)
    base_ours, base_theirs = dict(known.base_ours), dict(known.base_theirs)
    for d in decisions:
        if d.action == "push":
            seen[d.field] = d.ours
        elif d.action == "pull":
            values[d.field] = d.theirs
        base_ours[d.field], base_theirs[d.field] = values[d.field], seen[d.field]
    after = replace(known, seen=seen, base_ours=base_ours, base_theirs=base_theirs)
    return after, replace(ours, values=values)


@given(pairs(), st.sampled_from(["crm_wins", "gptweb_wins", "most_recent"]))
def test_both_sides_agree_and_then_nothing_is_left(pair: tuple[Link, OurRecord], policy: str) -> None:
    known, ours = pair
    after, written = carried_out(known, ours, merge(CONTACT, rules(policy), known, ours))
    assert merge(CONTACT, rules(policy), after, written) == ()
    assert not work_left(CONTACT, rules(policy), after, written)
    for column in ("title", "phone", "total_score"):
        assert same(written.values[column], after.seen[column])


@given(pairs(), st.sampled_from(["crm_wins", "gptweb_wins", "most_recent"]))
def test_an_overwritten_edit_is_a_conflict_or_a_restoration(
    pair: tuple[Link, OurRecord], policy: str
) -> None:
    known, ours = pair
    for d in merge(CONTACT, rules(policy), known, ours):
        written_side, base = (
            (d.theirs, known.base_theirs) if d.action == "push" else (d.ours, known.base_ours)
        )
        edited = d.action != "agree" and written_side is not None and written_side != base.get(d.field)
        assert not edited or d.conflict or d.restored


COLUMNS = ("title", "phone", "total_score")
POLICIES = st.sampled_from(["crm_wins", "gptweb_wins", "most_recent"])


@given(pairs(), POLICIES, st.sets(st.sampled_from(COLUMNS)))
def test_what_is_absent_is_never_decided(pair: tuple[Link, OurRecord], policy: str, absent: set[str]) -> None:
    """Promise 10: a field that a read did not bring is no blank, and changes nothing about the others."""
    known, ours = pair
    without = replace(known, seen={c: v for c, v in known.seen.items() if c not in absent})
    whole = merge(CONTACT, rules(policy), known, ours)
    assert merge(CONTACT, rules(policy), without, ours) == tuple(d for d in whole if d.field not in absent)


@given(pairs().filter(lambda pair: bool(pair[0].base_ours)), POLICIES)
def test_a_clear_is_a_value_like_any_other(pair: tuple[Link, OurRecord], policy: str) -> None:
    """Promise 10: between linked records a blank wins, loses and conflicts as any text in its place would."""
    known, ours = pair

    def swapped(value: Value) -> Value:
        return "something" if value is None else value

    def row(values: Row) -> Row:
        return {c: v if c == "total_score" else swapped(v) for c, v in values.items()}

    other = replace(
        known, seen=row(known.seen), base_ours=row(known.base_ours), base_theirs=row(known.base_theirs)
    )
    found = merge(CONTACT, rules(policy), other, replace(ours, values=row(ours.values)))
    expected = [
        d if d.field == "total_score" else replace(d, ours=swapped(d.ours), theirs=swapped(d.theirs))
        for d in merge(CONTACT, rules(policy), known, ours)
    ]
    assert [*found] == expected


@given(pairs())
def test_the_decision_depends_on_nothing_else(pair: tuple[Link, OurRecord]) -> None:
    known, ours = pair
    found = merge(CONTACT, rules(), known, ours)
    assert (
        merge(CONTACT, rules(), replace(known, seen_recv=99, claim_run=7), replace(ours, version=99)) == found
    )


def test_a_stamp_is_never_read_as_more_than_a_second() -> None:
    assert conflict_winner("most_recent", rules().clock, at(0.9), None, T0)[0] == "theirs"
