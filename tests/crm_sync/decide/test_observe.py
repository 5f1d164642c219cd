"""What a read teaches, with literals: order, bounds, spelling, and the fate of unanswered writes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from crm_sync.decide.observe import is_newer, observe, resolve
from crm_sync.model import Image, Intent, Link, Value
from tests.crm_sync.decide.records import CONTACT, KEY, T0, at, link


def image(stamp: datetime = T0, **values: Any) -> Image:
    """Their record as a read shows it."""
    more = {
        name: values.pop(name) for name in ("marker", "our_id", "modified_by_us", "deleted") if name in values
    }
    return Image("003A", values, stamp, **{"our_id": KEY, **more})


def intent(id: str = "i1", settled: tuple[str, ...] = (), creates: bool = False, **values: Value) -> Intent:
    """A write that was sent at T0, claimed until +10, and may commit until +14."""
    return Intent(id, 1, 1, 1, creates, values, {}, {}, T0, T0, at(10), at(14), settled)


# --------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize(
    ("sent", "stamp", "newer"),
    [(6, 0, True), (6, -9, True), (5, 0, False), (4, 0, False), (4, 1, True), (4, -1, False)],
)
def test_a_read_is_newer_if_it_left_later_or_its_stamp_is_greater(
    sent: int, stamp: float, newer: bool
) -> None:
    assert is_newer(sent, at(stamp), seen_recv=5, seen_stamp=T0) is newer


def test_two_reads_that_cannot_be_ordered_mark_the_link() -> None:
    known = link({"title": "a"}, {"title": "a"}, seen_recv=5)
    assert observe(CONTACT, known, image(title="b"), 4, 6) == replace(known, reread=True)
    assert observe(CONTACT, known, image(title="a"), 4, 6) == known
    assert observe(CONTACT, replace(known, reread=True), image(title="b"), 7, 8).reread is False


def test_a_field_that_did_not_change_keeps_its_time() -> None:
    known = link({"title": "a", "phone": "1"}, {"title": "a", "phone": "1"}, seen_recv=5)
    first = observe(CONTACT, known, image(at(3), title="b", phone="1"), 6, 7)
    second = observe(CONTACT, first, image(at(9), title="b", phone="2"), 8, 9)
    assert (second.seen_lo, second.seen_hi) == (
        {"title": T0, "phone": at(3)},
        {"title": at(3), "phone": at(9)},
    )


def test_our_own_write_does_not_bump_a_time() -> None:
    known = link({"title": "a", "phone": "1"}, {"title": "a", "phone": "1"}, seen_recv=5)
    before, after = (
        image(at(3), title="b", phone="1"),
        image(at(9), title="b", phone="2", modified_by_us=True),
    )
    seen = observe(CONTACT, known, after, 6, 7, before)
    assert seen.seen_hi == {"title": at(3), "phone": at(9)}


def test_absent_columns_keep_what_was_seen() -> None:
    known = link({"title": "a"}, {"title": "a", "phone": "1"}, seen_recv=5)
    assert observe(CONTACT, known, image(at(1), title="b"), 6, 7).seen == {"title": "b", "phone": "1"}


def test_a_delete_and_the_key_are_seen() -> None:
    known = link({}, {"title": "a"}, seen_recv=5)
    seen = observe(CONTACT, known, image(at(1), title="a", deleted=True, our_id=None), 6, 7)
    assert (seen.their_alive, seen.keyed) == (False, False)


def test_the_first_read_after_a_create_shows_the_spelling() -> None:
    made = link({"phone": "12"}, {"phone": "12"}, spelling_of="i1", seen_stamp=None, seen_recv=5)
    shown = image(at(1), phone="(1) 2", marker="i1", modified_by_us=True)
    spelt = observe(CONTACT, made, shown, 6, 7, spelt=["phone"])
    assert (spelt.base_ours, spelt.base_theirs, spelt.spelling_of) == (
        {"phone": "12"},
        {"phone": "(1) 2"},
        None,
    )
    edited = observe(CONTACT, made, image(at(1), phone="(1) 2", marker="i1"), 6, 7, spelt=["phone"])
    assert edited.base_theirs == {"phone": "12"}


def test_only_what_was_sent_is_read_back() -> None:
    """A bulk job sends some fields; another one that a person edited before our write is an edit, not our spelling."""
    sent = link(
        {"phone": "12", "title": "a"},
        {"phone": "12", "title": "a"},
        spelling_of="i1",
        seen_stamp=at(3),
        seen_recv=5,
    )
    shown = image(at(4), phone="(1) 2", title="b", marker="i1", modified_by_us=True)
    spelt = observe(CONTACT, sent, shown, 6, 7, spelt=["phone"])
    assert spelt.base_theirs == {"phone": "(1) 2", "title": "a"}
    assert spelt.seen["title"] == "b"


def test_an_edit_while_a_job_was_at_work_is_not_dated_after_itself() -> None:
    """The image was stored with the time of the job's end; what somebody typed before that has its own stamp."""
    sent = link({"phone": "12"}, {"phone": "12"}, seen_stamp=at(9), seen_recv=5)
    edited = observe(CONTACT, sent, image(at(7), phone="34"), 6, 7)
    assert (edited.seen_lo["phone"], edited.seen_hi["phone"]) == (at(7), at(7))


@given(st.permutations([1, 2, 3]), st.lists(st.integers(0, 1), min_size=3, max_size=3))
def test_reads_one_after_the_other_end_with_the_last(stamps: list[int], titles: list[int]) -> None:
    """However the stamps lie: each left after the one before had arrived."""
    known = link({}, {}, seen_recv=1)
    for n, (stamp, title) in enumerate(zip(stamps, titles, strict=True)):
        known = observe(CONTACT, known, image(at(stamp), title=str(title)), 2 * n + 2, 2 * n + 3)
    assert (known.seen["title"], known.reread) == (str(titles[-1]), False)


@given(st.integers(0, 2), st.integers(0, 2), st.booleans())
def test_reads_at_the_same_time_end_with_the_greater_stamp_or_in_doubt(
    first: int, second: int, differ: bool
) -> None:
    """Both left before either arrived; the one that shows ``b`` is stored last."""
    known = link({}, {}, seen_recv=1)
    known = observe(CONTACT, known, image(at(first), title="a"), 2, 4)
    known = observe(CONTACT, known, image(at(second), title="b" if differ else "a"), 3, 5)
    if second > first:
        assert (known.seen["title"], known.reread) == ("b" if differ else "a", False)
    else:
        assert (known.seen["title"], known.reread) == ("a", differ)


# -------------------------------------------------------------------------------------------- unanswered writes


def landed(known: Link, sent: Intent, shown: Image, began: datetime = T0) -> tuple[dict, dict, list]:
    """Both bases after a read, and which fields of the intent it closed."""
    found = resolve(known, [sent], shown, began)
    return (
        dict(found.link.base_ours),
        dict(found.link.base_theirs),
        [(c.landed, c.expired) for c in found.closed],
    )


def test_the_marker_proves_that_it_landed() -> None:
    known = link({"title": "a"}, {"title": "a"})
    shown = image(at(1), title="typed since", marker="i1")
    assert landed(known, intent(title="O1"), shown) == (
        {"title": "O1"},
        {"title": "O1"},
        [(("title",), False)],
    )


def test_with_the_marker_our_own_spelling_is_the_base() -> None:
    known = link({"phone": "0"}, {"phone": "0"})
    shown = image(at(1), phone="(1) 2", marker="i1", modified_by_us=True)
    assert landed(known, intent(phone="12"), shown) == (
        {"phone": "12"},
        {"phone": "(1) 2"},
        [(("phone",), False)],
    )


def test_without_the_marker_the_value_shows_it() -> None:
    known = link({"title": "a", "phone": "0"}, {"title": "a", "phone": "0"})
    shown = image(at(1), title="O1", phone="0")
    bases = ({"title": "O1", "phone": "0"},) * 2
    assert landed(known, intent(title="O1", phone="1"), shown) == (*bases, [(("title",), False)])


def test_a_create_landed_if_the_record_carries_our_key() -> None:
    shown = image(at(1), title="typed since")
    assert landed(link(), intent(title="O1", creates=True), shown)[2] == [(("title",), False)]
    assert landed(link(), intent(title="O1", creates=True), image(at(1), title="x", our_id=None))[2] == []


def test_each_field_closes_once() -> None:
    known = link({"title": "later"}, {"title": "later"})
    assert (
        landed(known, intent(title="O1", settled=("title",)), image(at(1), title="O1", marker="i1"))[2] == []
    )


@pytest.mark.parametrize(("began", "closed"), [(14, []), (14.1, [((), True)])])
def test_it_stays_open_until_it_can_no_longer_commit(began: float, closed: list) -> None:
    known = link({"title": "a"}, {"title": "a"})
    assert landed(known, intent(title="O1"), image(at(1), title="a"), at(began)) == (
        {"title": "a"},
        {"title": "a"},
        closed,
    )
