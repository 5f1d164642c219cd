"""Two ordered streams side by side: every row comes out once, with its partner if any."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from crm_sync.decide.side_by_side import ordered_merge

KEYS = st.lists(st.sampled_from("ABCDEFabcdef"), max_size=12).map(sorted)


def letter(row: tuple[int, str]) -> str:
    return row[1]


@given(KEYS, KEYS)
def test_each_row_of_two_ordered_streams_comes_out_once(theirs: list[str], ours: list[str]) -> None:
    left, right = list(enumerate(theirs)), list(enumerate(ours))
    laid = [*ordered_merge(left, right, letter, letter)]
    assert [t for t, _ in laid if t] == left
    assert [o for _, o in laid if o] == right
    pairs = [(t[1], o[1]) for t, o in laid if t and o]
    assert Counter(t for t, _ in pairs) == Counter(theirs) & Counter(ours), "whoever has a partner meets it"
    assert all(t == o for t, o in pairs)


@pytest.mark.parametrize("wrong", ["theirs", "ours"])
def test_a_stream_that_is_out_of_order_is_refused(wrong: str) -> None:
    rows = {"theirs": ["A", "B"], "ours": ["A", "B"], wrong: ["B", "A"]}
    with pytest.raises(ValueError, match="order"):
        list(ordered_merge(rows["theirs"], rows["ours"], str, str))
