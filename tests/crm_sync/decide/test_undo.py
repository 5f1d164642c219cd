"""Undo as a decision: literals in, verdicts out; and two laws that hold for any history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync.decide.existence import EXISTS
from crm_sync.decide.undo import undo
from crm_sync.decide.undo_words import EFFECTIVE, Line, Recorded
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Link, OurRecord, Value

CONTACT = load_mappings("salesforce")["contact"]
BLANK: dict[str, Value] = dict.fromkeys(CONTACT.columns)
LINK = Link(1, "contact", "o1", "t1", keyed=True)
THEN = datetime(2026, 11, 22, 10, tzinfo=UTC)


def ours(deleted: bool = False, **values: Any) -> OurRecord:
    return OurRecord("o1", 3, {**BLANK, **values}, {}, THEN, deleted)


def wrote(
    side: Any,
    field: str,
    before: Value,
    after: Value,
    run: int = 1,
    rule: str = "theirs_changed",
    **more: Any,
) -> Recorded:
    return Recorded(run, side, "update", {field: before}, {field: after}, {field: rule}, (field,), **more)


def made(side: Any, **values: Value) -> Recorded:
    return Recorded(1, side, "create", {}, values, {"*": "new_in_crm"}, tuple(values))


def existed(side: Any, op: str, run: int = 1) -> Recorded:
    there = op in ("unarchive", "create")
    return Recorded(run, side, op, {EXISTS: not there}, {EXISTS: there}, {}, (EXISTS,))


def verdicts(lines: tuple[Line, ...]) -> list[tuple[str, str, Value]]:
    return [(line.verdict, line.field, line.target) for line in lines]


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_value_that_still_stands_is_put_back(side: str) -> None:
    lines = undo(CONTACT, [wrote(side, "title", "n0", "T1")], LINK, ours(title="T1"))
    assert lines == (Line("put back", "title", "T1", "n0", (1,)),)


def test_a_value_that_is_spelt_differently_still_stands() -> None:
    lines = undo(CONTACT, [wrote("theirs", "description", "a", "b\r\nc ")], LINK, ours(description="b\nc"))
    assert verdicts(lines) == [("put back", "description", "a")]


def test_a_chain_is_taken_back_to_its_beginning() -> None:
    history = [
        wrote("theirs", "title", "T2", "O3", run=3),
        wrote("ours", "title", "T1", "T2", run=2),
        wrote("ours", "title", "n0", "T1", run=1),
    ]
    (line,) = undo(CONTACT, history, LINK, ours(title="O3"))
    assert (line.target, line.runs) == ("n0", (3, 2, 1))


def test_a_newer_change_that_was_typed_over_keeps_the_older_ones_too() -> None:
    history = [wrote("ours", "title", "X", "B", run=2), wrote("ours", "title", "n0", "A", run=1)]
    assert verdicts(undo(CONTACT, history, LINK, ours(title="A"))) == [("kept", "title", "X")]


def test_who_typed_the_former_value_again_is_not_told_from_an_undo() -> None:
    """Compared are values: run 2 counts as taken back, whoever did it."""
    history = [wrote("ours", "title", "A", "B", run=2), wrote("ours", "title", "n0", "A", run=1)]
    assert verdicts(undo(CONTACT, history, LINK, ours(title="A"))) == [("put back", "title", "n0")]


def test_the_value_that_really_stood_there_comes_back() -> None:
    slipped = wrote("theirs", "title", "n0", "O1", slipped={"title": "T7"})
    assert verdicts(undo(CONTACT, [slipped], LINK, ours(title="O1"))) == [("put back", "title", "T7")]


@pytest.mark.parametrize(
    ("change", "record", "words"),
    [
        (wrote("theirs", "total_score", 1, 2), ours(total_score=2), "GPTWeb owns"),
        (wrote("ours", "title", None, "T1", rule="filled_blank"), ours(title="T1"), "filled a blank"),
        (wrote("ours", "do_not_call", False, True), ours(do_not_call=True), "an opt-out is not taken back"),
        (wrote("ours", "account_id", "gone", "a2"), ours(account_id="a2"), "account that it referred to"),
        (wrote("ours", "nickname", "a", "b"), ours(), "not mapped any more"),
        (replace(wrote("ours", "title", "a", "b"), before={}), ours(title="b"), "are not recorded"),
        (replace(wrote("theirs", "title", "a", "b"), fields=(), doubtful=("title",)), ours(title="b"), "nobody knows yet"),
        (wrote("ours", "title", "a", "b"), ours(deleted=True, title="b"), "is archived"),
        (existed("ours", "convert"), ours(deleted=True), "conversion can't be taken back"),
        (replace(existed("ours", "archive"), erased=True), ours(deleted=True), "was erased"),
    ],
)  # fmt: skip
def test_what_cant_be_undone_says_why(change: Recorded, record: OurRecord, words: str) -> None:
    (line,) = undo(CONTACT, [change], LINK, record, {"a1"})
    assert line.verdict == "impossible"
    assert words in line.why


def test_a_record_that_is_gone_for_good() -> None:
    (line,) = undo(CONTACT, [wrote("ours", "title", "a", "b")], LINK, None)
    assert (line.verdict, line.why) == ("impossible", "our record is gone for good")


def test_a_withdrawn_consent_may_be_undone() -> None:
    lines = undo(CONTACT, [wrote("ours", "do_not_call", True, False)], LINK, ours(do_not_call=False))
    assert verdicts(lines) == [("put back", "do_not_call", True)]


def test_our_key_in_their_record_is_no_value_of_anybody() -> None:
    assert undo(CONTACT, [wrote("theirs", "id", None, "o1", rule="first_link")], LINK, ours()) == ()


def test_an_edit_in_the_crm_that_is_on_its_way_is_kept() -> None:
    link = replace(LINK, base_theirs={"title": "T1"}, seen={"title": "T2"})
    lines = undo(CONTACT, [wrote("ours", "title", "n0", "T1")], link, ours(title="T1"))
    assert verdicts(lines) == [("kept", "title", "n0")]


@pytest.mark.parametrize(
    ("change", "record", "link", "verdict"),
    [
        (made("ours", title="x"), ours(title="x"), LINK, "archive"),
        (made("ours", title="x"), ours(title="y"), LINK, "kept"),
        (made("ours", title="x"), ours(title="x", phone="1"), LINK, "kept"),
        (made("ours", title="x"), ours(title="x", total_score=5), LINK, "archive"),
        (made("ours", title="x"), ours(deleted=True, title="x"), LINK, "already"),
        (made("theirs", title="x"), ours(title="x"), LINK, "withdraw"),
        (made("theirs", title="x"), ours(title="y"), LINK, "kept"),
        (made("theirs", title="x"), ours(title="x"), replace(LINK, their_alive=False), "already"),
        (made("theirs", title="x"), ours(title="x"), replace(LINK, withdrawn=True), "already"),
        (made("theirs", title="x"), ours(title="x"), replace(LINK, state="merged"), "impossible"),
        (existed("ours", "archive"), ours(deleted=True), LINK, "bring back"),
        (existed("ours", "archive"), ours(), LINK, "already"),
        (existed("ours", "unarchive"), ours(), LINK, "archive"),
        (existed("theirs", "delete"), ours(deleted=True), LINK, "bring back"),
        (existed("theirs", "delete"), ours(), replace(LINK, withdrawn=True), "make again"),
        (existed("theirs", "delete"), ours(), replace(LINK, their_alive=False), "make again"),
        (existed("theirs", "delete"), ours(), LINK, "already"),
    ],
)
def test_existence(change: Recorded, record: OurRecord, link: Link, verdict: str) -> None:
    (line,) = undo(CONTACT, [change], link, record)
    assert (line.verdict, line.field) == (verdict, EXISTS)


def test_a_connection_that_only_pulls_withdraws_nothing() -> None:
    (line,) = undo(CONTACT, [made("theirs", title="x")], LINK, ours(title="x"), pulls_only=True)
    assert line.verdict == "impossible"


def test_what_is_brought_back_gets_its_values_back_and_what_goes_needs_none() -> None:
    history = [existed("ours", "archive"), wrote("ours", "title", "n0", "T1")]
    lines = undo(CONTACT, history, LINK, ours(deleted=True, title="T1"))
    assert [line.verdict for line in lines] == ["put back", "bring back"]
    history = [wrote("ours", "phone", None, "1", run=2), made("ours", title="x")]
    lines = undo(CONTACT, history, LINK, ours(title="x", phone="1"))
    assert [line.verdict for line in lines] == ["archive"]


def test_made_and_taken_away_again_is_as_before() -> None:
    lines = undo(
        CONTACT, [existed("ours", "archive", 2), made("ours", title="x")], LINK, ours(deleted=True, title="x")
    )
    assert verdicts(lines) == [("already", EXISTS, False)]


FIELDS = ("title", "phone", "department")
WORDS = st.sampled_from([None, "a", "b", "c"])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Recorded], dict[str, Any], dict[str, Any]]:
    """Runs that wrote on either side with people in between: newest first, the values before all, and those after."""
    start = {name: draw(WORDS) for name in FIELDS}
    held, history = dict(start), []
    for run in range(1, draw(st.integers(1, 6))):
        name = draw(st.sampled_from(FIELDS))
        if draw(st.booleans()):
            held[name] = draw(WORDS)
        after = draw(WORDS)
        history.append(wrote(draw(st.sampled_from(["ours", "theirs"])), name, held[name], after, run))
        held[name] = after
    return history[::-1], start, held


def put_back(lines: tuple[Line, ...], held: dict[str, Any]) -> dict[str, Any]:
    return held | {line.field: line.target for line in lines if line.verdict == "put back"}


@given(histories(), st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["typed 1", "typed 2"])))
def test_no_later_edit_is_ever_overwritten(
    made: tuple[list[Recorded], dict[str, Any], dict[str, Any]], typed: dict[str, str]
) -> None:
    history, _, held = made
    now = {**held, **typed}
    lines = undo(CONTACT, history, LINK, ours(**now))
    after: dict[str, Any] = put_back(lines, now)
    assert {name: after[name] for name in typed} == typed
    touched = {change.fields[0] for change in history if isinstance(change.fields, tuple)}
    assert {line.field for line in lines if line.verdict == "kept"} >= touched & set(typed)


@given(histories())
def test_an_undo_of_an_undo_restores_and_a_second_undo_is_empty(
    made: tuple[list[Recorded], dict[str, Any], dict[str, Any]],
) -> None:
    history, _, held = made
    lines = undo(CONTACT, history, LINK, ours(**held))
    after = put_back(lines, held)
    of_undo = [
        wrote("ours", line.field, line.present, line.target, 9, "undo")
        for line in lines
        if line.verdict == "put back"
    ]
    assert put_back(undo(CONTACT, of_undo, LINK, ours(**after)), after) == held
    assert not [line for line in undo(CONTACT, history, LINK, ours(**after)) if line.verdict in EFFECTIVE]
