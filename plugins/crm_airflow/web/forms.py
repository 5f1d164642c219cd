"""What a form sent, for routes whose fields a table names and no parameter list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from fastapi import Depends, HTTPException, Request

__all__ = ["Sent", "SentForm"]

MOST_FIELDS: Final = 100
MOST_CHARACTERS: Final = 100_000


class SentForm(Mapping[str, str]):
    """The texts of a form by name, outer blanks gone; ``every``: the texts of boxes that share a name."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields
        self._last = dict(fields)

    def __getitem__(self, name: str) -> str:
        """The text of a field, the last one where several have its name."""
        return self._last[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._last)

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._last)

    def every(self, name: str) -> tuple[str, ...]:
        """All texts that were sent under one name."""
        return tuple(text for field, text in self._fields if field == name)


async def sent(request: Request) -> SentForm:
    """The form of a request; no file, and nothing that a database can't hold."""
    form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    fields = [(name, value.strip()) for name, value in form.multi_items() if isinstance(value, str)]
    if any("\x00" in name + value or len(value) > MOST_CHARACTERS for name, value in fields):
        raise HTTPException(422, "A field is too long, or holds what is no text.")
    return SentForm(fields)


Sent = Annotated[SentForm, Depends(sent)]
"""A parameter of this type gives a route what its form sent."""
