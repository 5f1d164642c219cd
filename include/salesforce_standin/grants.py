"""Refresh tokens: the five-grants rule, and rotation with its one-time tokens (facts/salesforce.md 2.2)."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, field
from typing import Any

from salesforce_standin.clock import Clock
from salesforce_standin.policy import Policy

_REMEMBERED = 50


@dataclass(slots=True)
class Grant:
    """What a user allowed an app once. Its refresh token may change; ``id`` stays the first one."""

    token: str
    user_id: str
    client_id: str
    issued: float
    scope: str
    id: str = ""
    # Earlier tokens of a rotated grant, newest last: who shows one of them again ends the grant.
    spent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Name the grant by its first token."""
        self.id = self.id or self.token


class Grants:
    """The live grants of an org."""

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._policy = policy
        self._live: dict[str, Grant] = {}

    def issue(self, user_id: str, client_id: str, scope: str) -> tuple[Grant, list[Grant]]:
        """Return a new grant, and the oldest ones of this user and app that had to make room for it."""
        dropped: list[Grant] = []
        if self._policy.grants_per_user:
            mine = [g for g in self._live.values() if (g.user_id, g.client_id) == (user_id, client_id)]
            dropped = mine[: max(0, len(mine) - self._policy.grants_per_user + 1)]
        for old in dropped:
            self.drop(old)
        made = Grant(_token(), user_id, client_id, self._clock.now(), scope)
        self._live[made.id] = made
        return made, dropped

    def find(self, token: str) -> Grant | None:
        """Return the grant whose present token this is."""
        return next((grant for grant in self._live.values() if grant.token == token), None)

    def find_spent(self, token: str) -> Grant | None:
        """Return the grant whose token this was before it was rotated."""
        return next((grant for grant in self._live.values() if token in grant.spent), None)

    def of_app(self, client_id: str) -> list[Grant]:
        """Return the grants of one app."""
        return [grant for grant in self._live.values() if grant.client_id == client_id]

    def rotate(self, grant: Grant) -> None:
        """Give a grant a new token; the present one is void from now on."""
        grant.spent = [*grant.spent, grant.token][-_REMEMBERED:]
        grant.token = _token()

    def drop(self, grant: Grant) -> None:
        """End a grant."""
        self._live.pop(grant.id, None)

    def dump(self) -> list[dict[str, Any]]:
        """Return what to store."""
        return [asdict(grant) for grant in self._live.values()]

    def load(self, document: dict[str, Any]) -> None:
        """Take over one stored grant."""
        grant = Grant(**document)
        self._live[grant.id] = grant


def _token() -> str:
    return "5Aep861" + secrets.token_urlsafe(60)
