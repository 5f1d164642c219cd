"""Lines of a text that is read while it arrives: never held whole, and no step of Python for each of them."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from io import StringIO
from itertools import chain
from typing import Protocol

__all__ = ["Source", "lines_of"]

BLOCK = 2**16
"""Bytes that are read at once."""
NUL = "\0"
"""Postgres stores no such character, and nobody means one."""


class Source(Protocol):
    """What bytes are read from; none means the end."""

    def read(self, amount: int, /) -> bytes:
        """So many bytes, or what is left."""


def lines_of(source: Source) -> Iterator[str]:
    """The lines of a text in UTF-8 with their ends, as they are."""
    return chain.from_iterable(_blocks(source))


def _blocks(source: Source) -> Iterator[StringIO]:
    decoder = getincrementaldecoder("utf-8-sig")()
    begun = ""
    while data := source.read(BLOCK):
        lines, end, begun = (begun + decoder.decode(data).replace(NUL, "")).rpartition("\n")
        yield StringIO(lines + end, newline="")
    yield StringIO(begun + decoder.decode(b"", final=True), newline="")
