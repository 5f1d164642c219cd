"""Who is there, decided with literals: every case of algorithm.md 6.1, under all settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crm_sync.decide.existence import EXISTS, agreed, decide_existence, lost_values, work_left
from crm_sync.decide.merge import Rules, merge
from crm_sync.decide.observe import resolve
from crm_sync.model import Image, Intent, OurRecord, Value
from tests.crm_sync.decide.records import CONTACT, KEY, T0, at, link, record

VALUES: dict[str, Value] = {"title": "a", "phone": "1", "total_score": 1.0}


def rules(their_delete: str = "archive", our_archive: str = "keep", **more: Any) -> Rules:
    """The settings about deletes."""
    return Rules(their_delete=their_delete, our_archive=our_archive, **more)  # type: ignore[arg-type]


def ours(alive: bool = True, by: str | None = None, **values: Any) -> OurRecord:
    """Our record, unchanged unless said otherwise."""
    return replace(record(**{**VALUES, **values}), deleted=not alive, archived_by=by)  # type: ignore[arg-type]


DEFAULTS = rules()
OTHERS = rules("keep", "delete")


@pytest.mark.parametrize(
    ("base", "here", "there", "default", "other"),
    [
        ((True, True), True, True, None, None),
        ((True, False), True, False, None, None),
        ((False, True), False, True, None, None),
        ((False, False), False, False, None, None),
        ((True, False), True, True, "agree", "agree"),
        ((True, True), False, False, "agree", "agree"),
        ((True, True), True, False, "archive", "apart"),
        ((True, True), False, True, "apart", "delete"),
        ((True, False), False, True, "apart", "revive"),
        ((False, False), True, False, "create_again", "create_again"),
        ((False, True), True, False, "create_again", "create_again"),
        ((False, False), False, True, "apart", "unarchive"),
    ],
)
def test_every_case(
    base: tuple[bool, bool], here: bool, there: bool, default: str | None, other: str | None
) -> None:
    known = link(VALUES, VALUES, alive=base, their_alive=there, state="gone")
    mine = ours(here, None if here else "person")
    assert decide_existence(CONTACT, DEFAULTS, known, mine) == default
    assert decide_existence(CONTACT, OTHERS, known, mine) == other
    if default in (None, "agree", "apart"):
        assert decide_existence(CONTACT, DEFAULTS, agreed(known, mine), mine) is None


def test_only_what_the_engine_archived_comes_back() -> None:
    undeleted = link(VALUES, VALUES, alive=(False, False), state="gone")
    assert decide_existence(CONTACT, DEFAULTS, undeleted, ours(False, "engine")) == "unarchive"
    assert decide_existence(CONTACT, DEFAULTS, undeleted, ours(False, "person")) == "apart"
    assert decide_existence(CONTACT, OTHERS, undeleted, None) == "apart"


DELETED = link(VALUES, VALUES, their_alive=False)


@pytest.mark.parametrize(
    ("edit", "fate"),
    [
        ({"title": "b"}, "create_again"),
        ({"title": None}, "create_again"),
        ({"total_score": 2.0}, "archive"),
        ({}, "archive"),
    ],
)
def test_an_edit_of_a_person_wins_over_their_delete(edit: dict[str, Any], fate: str) -> None:
    assert decide_existence(CONTACT, DEFAULTS, DELETED, ours(**edit)) == fate


def test_what_is_no_edit() -> None:
    refused = replace(DELETED, parked={("theirs", "title"): "b"})
    assert decide_existence(CONTACT, DEFAULTS, refused, ours(title="b")) == "archive"
    shown = replace(DELETED, seen={**VALUES, "title": " b"})
    assert decide_existence(CONTACT, DEFAULTS, shown, ours(title="b")) == "archive"


def test_nothing_is_decided_in_doubt_or_after_a_merge() -> None:
    for change in ({"reread": True}, {"their_id": None}, {"state": "lost"}, {"merged_into": "003W"}):
        assert decide_existence(CONTACT, DEFAULTS, replace(DELETED, **change), ours()) is None


@pytest.mark.parametrize(
    ("direction", "known", "mine", "fate"),
    [
        ("push", DELETED, ours(), "apart"),
        ("push", DELETED, ours(title="b"), "create_again"),
        ("pull", DELETED, ours(title="b"), "archive"),
        ("pull", replace(DELETED, alive=(False, False)), ours(), "apart"),
        ("push", link(VALUES, VALUES, alive=(False, False)), ours(False, "engine"), "apart"),
        ("pull", link(VALUES, VALUES, alive=(False, False)), ours(False, "engine"), "unarchive"),
    ],
)
def test_one_direction_never_writes_the_other_side(
    direction: str, known: Any, mine: OurRecord, fate: str
) -> None:
    assert decide_existence(CONTACT, rules(direction=direction), known, mine) == fate


def test_without_creation_nothing_is_made_again() -> None:
    assert decide_existence(CONTACT, rules(creates=("lead",)), DELETED, ours(title="b")) == "apart"


def test_ours_comes_back_when_theirs_was_edited_before_our_delete() -> None:
    edited = link(VALUES, {**VALUES, "title": "T"})
    scored = link(VALUES, {**VALUES, "total_score": 9.0})
    settings = rules(our_archive="delete")
    assert decide_existence(CONTACT, settings, edited, ours(False, "person")) == "revive"
    assert decide_existence(CONTACT, settings, scored, ours(False, "person")) == "delete"


def test_the_tombstone_has_values() -> None:
    tombstone = link(VALUES, {**VALUES, "title": "T", "phone": "9"}, their_alive=False)
    pulled = merge(CONTACT, DEFAULTS, tombstone, ours(phone="2"))
    assert [(d.field, d.action, d.theirs) for d in pulled] == [("title", "pull", "T")]
    assert lost_values(CONTACT, tombstone, ours(title="T", phone="2")) == [("phone", "9", "2")]
    assert merge(CONTACT, DEFAULTS, tombstone, ours(False)) == ()
    assert merge(CONTACT, rules(direction="push"), tombstone, ours()) == ()
    assert work_left(CONTACT, DEFAULTS, tombstone, ours())


def test_a_delete_of_ours_that_landed_moves_the_base() -> None:
    intent = Intent("i1", 1, 1, 1, False, {EXISTS: False}, {}, {}, T0, T0, at(10), at(14))
    gone = Image("003A", VALUES, at(1), KEY, deleted=True)
    found = resolve(link(VALUES, VALUES), [intent], gone, at(2))
    assert found.link.alive == (False, False)
    assert [c.landed for c in found.closed] == [(EXISTS,)]
    for other in (replace(gone, deleted=False), replace(gone, merged_into="003W")):
        assert resolve(link(VALUES, VALUES), [intent], other, at(2)).closed == ()


def test_a_record_that_came_back_proves_no_create() -> None:
    intent = Intent("i1", 1, 1, 1, True, {"title": "b"}, {}, {}, T0, T0, at(10), at(14))
    back = Image("003A", VALUES, at(1), KEY)
    assert resolve(link({}, {}), [intent], back, at(2)).closed
    assert not resolve(link({}, {}), [intent], back, at(2), came_back=True).closed
