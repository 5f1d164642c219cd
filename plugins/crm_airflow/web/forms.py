"""What forms send: fields that a table names and no parameter list, a value that may be blank, and the number of a button."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from fastapi import Depends, Form, HTTPException, Request

from crm_sync.errors import Misconfigured

__all__ = ["Once", "Sent", "SentForm", "typed"]

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
Once = Annotated[str, Form(pattern="^([0-9a-f]{16})?$")]
"""The number of a button that starts something: pressed twice before the page is anew, it starts one thing."""


def typed(value: str, *, blank: bool) -> str:
    """The value that a person typed.  A blank one clears a field: only who ticks its box means that."""
    if blank and value.strip():
        raise Misconfigured("Type a value, or tick the box that leaves the field blank; not both.")
    if not blank and not value.strip():
        raise Misconfigured("Type a value first, or tick the box that leaves the field blank.")
    return "" if blank else value
