"""A request as the resources see it, whether it came over the socket or inside a composite, and the reply to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from salesforce_standin.errors import fail


class _Nothing:
    """The type of a reply without a body."""


NOTHING = _Nothing()


@dataclass(slots=True)
class Incoming:
    """A request as it came, and what became known of it while it was served; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes
    base: str
    remote: str = ""
    address_size: int = 0
    user_id: str = ""
    counted: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. ``path`` is what follows the version; header names are in lower case."""

    method: str
    path: str
    version: int
    user_id: str
    base: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content: bytes = b""
    tooling: bool = False
    all_or_none: bool = False

    @property
    def root(self) -> str:
        """Return the path under which this version's resources live."""
        return f"/services/data/v{self.version}.0"

    def inner(self, **changes: Any) -> Call:
        """Return a call made on behalf of this one."""
        return replace(self, **changes)

    def document(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        if not isinstance(self.body, dict):
            raise fail(
                400,
                "JSON_PARSER_ERROR",
                "The HTTP entity body is required, but this request has no entity body.",
            )
        return self.body


@dataclass(slots=True)
class Reply:
    """What is answered; ``written`` counts rows for the log of calls."""

    status: int = 200
    body: Any = NOTHING
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"
