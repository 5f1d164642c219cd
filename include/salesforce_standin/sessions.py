"""Access and refresh tokens: who they stand for and how long they live."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from salesforce_standin.clock import Clock
from salesforce_standin.config import Settings

_PER_USER_AND_APP = 5


@dataclass(slots=True)
class Session:
    """One access token in use."""

    token: str
    user_id: str
    issued: float
    used: float
    scope: str = "api"
    client_id: str = ""
    grant: str = ""
    forever: bool = False


@dataclass(slots=True)
class Grant:
    """One refresh token: at most five live ones per user and app, the oldest makes room (facts 2.2)."""

    token: str
    user_id: str
    client_id: str
    issued: float
    scope: str


class Sessions:
    """All tokens of an org."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._by_token: dict[str, Session] = {}
        self._grants: dict[str, Grant] = {}

    def open(self, user_id: str, *, scope: str = "api", client_id: str = "", grant: str = "") -> Session:
        """Issue a new access token."""
        token = f"{self._settings.org_id[:15]}!AQ{secrets.token_urlsafe(70).replace('-', '.')}"
        now = self._clock.now()
        for old in [s for s in self._by_token.values() if not s.forever and self.expires(s) <= now]:
            del self._by_token[old.token]
        session = Session(token, user_id, now, now, scope, client_id, grant)
        self._by_token[token] = session
        return session

    def fix(self, token: str, user_id: str) -> None:
        """Let a given token stand for a user for ever."""
        now = self._clock.now()
        self._by_token[token] = Session(token, user_id, now, now, "full api", forever=True)

    def find(self, token: str) -> Session | None:
        """Return the session of a token that still lives; using it prolongs it."""
        session = self._by_token.get(token)
        if session is None:
            return None
        now = self._clock.now()
        if not session.forever and now - session.used >= self._settings.session_seconds:
            del self._by_token[token]
            return None
        session.used = now
        return session

    def peek(self, token: str) -> Session | None:
        """Return the session of a token without prolonging it."""
        session = self._by_token.get(token)
        if session and not session.forever and self.expires(session) <= self._clock.now():
            return None
        return session

    def expires(self, session: Session) -> float:
        """Return when a session ends if nobody uses it."""
        return session.used + self._settings.session_seconds

    def grant(self, user_id: str, client_id: str, scope: str) -> Grant:
        """Issue a refresh token."""
        mine = [g for g in self._grants.values() if (g.user_id, g.client_id) == (user_id, client_id)]
        for old in sorted(mine, key=lambda g: g.issued)[: max(0, len(mine) - _PER_USER_AND_APP + 1)]:
            self.revoke(old.token)
        made = Grant("5Aep861" + secrets.token_urlsafe(60), user_id, client_id, self._clock.now(), scope)
        self._grants[made.token] = made
        return made

    def find_grant(self, token: str) -> Grant | None:
        """Return a live refresh token."""
        return self._grants.get(token)

    def revoke(self, token: str) -> bool:
        """End an access token, or a refresh token with all its access tokens."""
        if self._grants.pop(token, None) is not None:
            for session in [s for s in self._by_token.values() if s.grant == token]:
                del self._by_token[session.token]
            return True
        return self._by_token.pop(token, None) is not None

    def dump(self) -> list[dict[str, Any]]:
        """Return what to store; the fixed token comes from the settings at every start."""
        return [asdict(s) for s in self._by_token.values() if not s.forever] + [
            asdict(g) for g in self._grants.values()
        ]

    def load(self, documents: list[dict[str, Any]]) -> None:
        """Take over what was stored."""
        for document in documents:
            if "used" in document:
                self._by_token[document["token"]] = Session(**document)
            else:
                self._grants[document["token"]] = Grant(**document)
