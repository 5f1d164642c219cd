"""First match, with literals."""

from __future__ import annotations

import pytest

from crm_sync.decide.match import Ambiguous, Candidates, Create, Match, judge


def level(
    column: str = "email", key: str | None = "k", same: int = 1, free: str = "", linked: str = ""
) -> Candidates:
    """Who has a key: how many here, and the ids there."""
    return Candidates(column, key, same, tuple(free), tuple(linked))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([], Create()),
        ([level(key=None)], Create()),
        ([level()], Create()),
        ([level(free="a")], Match("a", "email")),
        ([level(free="a", linked="b")], Match("a", "email")),
        ([level("website"), level("name", free="a")], Match("a", "name")),
        ([level("website", key=None), level("name", free="a")], Match("a", "name")),
        ([level("website", free="a"), level("name", free="b")], Match("a", "website")),
    ],
)
def test_a_clear_case(levels: list[Candidates], expected: Match | Create) -> None:
    assert judge(levels, "theirs") == expected


@pytest.mark.parametrize(
    ("levels", "candidates"),
    [
        ([level(free="ab")], ("a", "b")),
        ([level(same=2, free="a")], ("a",)),
        ([level(linked="a")], ("a",)),
        ([level("website", linked="a"), level("name", free="b")], ("a",)),
        ([level(same=2)], ()),
    ],
)
@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_what_is_not_clear_is_left_to_a_person(
    levels: list[Candidates], candidates: tuple, side: str
) -> None:
    verdict = judge(levels, side)  # type: ignore[arg-type]
    assert isinstance(verdict, Ambiguous)
    assert verdict.candidates == candidates
    assert levels[0].column in verdict.cause
