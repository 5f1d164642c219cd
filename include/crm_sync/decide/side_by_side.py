"""Two streams in the order of one key, laid side by side without holding either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["ordered_merge"]

T = TypeVar("T")
O = TypeVar("O")  # noqa: E741  theirs and ours


def ordered_merge(
    theirs: Iterable[T], ours: Iterable[O], their_key: Callable[[T], str], our_key: Callable[[O], str]
) -> Iterator[tuple[T | None, O | None]]:
    """Lay two streams side by side that are ordered by the same key: each row comes out once, with its partner if any.

    Holds one row of each.  ValueError if a stream is not in order: then nothing that it gave can be trusted.
    """
    left, right = _in_order(theirs, their_key), _in_order(ours, our_key)
    t, o = next(left, None), next(right, None)
    while t and o:
        if t[0] == o[0]:
            yield t[1], o[1]
            t, o = next(left, None), next(right, None)
        elif t[0] < o[0]:
            yield t[1], None
            t = next(left, None)
        else:
            yield None, o[1]
            o = next(right, None)
    while t:
        yield t[1], None
        t = next(left, None)
    while o:
        yield None, o[1]
        o = next(right, None)


def _in_order(rows: Iterable[T], key: Callable[[T], str]) -> Iterator[tuple[str, T]]:
    last = ""
    for row in rows:
        here = key(row)
        if here < last:
            raise ValueError("a stream of the comparison is not in the order of its keys")
        last = here
        yield here, row
