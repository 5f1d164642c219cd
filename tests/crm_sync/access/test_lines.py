"""Lines of a text that arrives in blocks: each as it is, wherever a block ends."""

from __future__ import annotations

from io import BytesIO

import pytest

from crm_sync.access.lines import BLOCK, lines_of


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a\nb", ["a\n", "b"]),
        ("a\r\nb\r\n", ["a\r\n", "b\r\n"]),
        ("\ufeffa\n", ["a\n"]),
        ("a\0b\n", ["ab\n"]),
        ("\u2028\x85\n", ["\u2028\x85\n"]),
    ],
    ids=["nothing", "no end", "both ends", "mark of order", "no character", "no ends of lines"],
)
def test_lines_are_as_they_are(text: str, lines: list[str]) -> None:
    assert list(lines_of(BytesIO(text.encode()))) == lines


def test_a_block_ends_anywhere() -> None:
    lines = [f"{'é𝄞' * (n % 41)};{n}\r\n" for n in range(4_000)] + ["x" * 3 * BLOCK, "\n", "end"]
    text = "".join(lines)
    assert len(text.encode()) > 8 * BLOCK
    assert "".join(lines_of(BytesIO(text.encode()))) == text
    assert list(lines_of(BytesIO(text.encode())))[:4_000] == lines[:4_000]


def test_what_breaks_off_amid_a_character_is_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        list(lines_of(BytesIO("a\né".encode()[:-1])))
