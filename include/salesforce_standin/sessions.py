"""Access tokens and the grants behind them: who they stand for and how long they live."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from salesforce_standin.clock import Clock
from salesforce_standin.grants import Grant, Grants
from salesforce_standin.policy import Policy


@dataclass(slots=True)
class Session:
    """One access token in use; ``grant`` is the id of the grant that it was got with."""

    token: str
    user_id: str
    issued: float
    used: float
    scope: str = "api"
    client_id: str = ""
    grant: str = ""
    forever: bool = False
    address: str = ""
    login_type: str = "Remote Access 2.0"


class Sessions:
    """All tokens of an org."""

    def __init__(self, clock: Clock, policy: Policy, org_id: str, seconds_of: Callable[[str], float]) -> None:
        self._clock = clock
        self._seconds_of = seconds_of
        self._org_id = org_id
        self._by_token: dict[str, Session] = {}
        self.grants = Grants(clock, policy)

    def open(
        self,
        user_id: str,
        *,
        scope: str = "api",
        client_id: str = "",
        grant: str = "",
        address: str = "",
        login_type: str = "Remote Access 2.0",
    ) -> Session:
        """Issue a new access token."""
        token = f"{self._org_id[:15]}!AQ{secrets.token_urlsafe(70).replace('-', '.')}"
        now = self._clock.now()
        self._end(lambda s: not s.forever and self.expires(s) <= now)
        session = Session(token, user_id, now, now, scope, client_id, grant, False, address, login_type)
        self._by_token[token] = session
        return session

    def fix(self, token: str, user_id: str) -> None:
        """Let a given token stand for a user for ever."""
        now = self._clock.now()
        self._by_token[token] = Session(token, user_id, now, now, "full api", forever=True)

    def find(self, token: str) -> Session | None:
        """Return the session of a token that still lives; using it prolongs it."""
        session = self.peek(token)
        if session is not None:
            session.used = self._clock.now()
        return session

    def peek(self, token: str) -> Session | None:
        """Return the session of a token without prolonging it."""
        session = self._by_token.get(token)
        if session and not session.forever and self.expires(session) <= self._clock.now():
            return None
        return session

    def expires(self, session: Session) -> float:
        """Return when a session ends if nobody uses it."""
        return session.used + self._seconds_of(session.user_id)

    def of_user(self, user_id: str) -> list[Session]:
        """Return the sessions of a user that still live."""
        return [s for s in self._by_token.values() if s.user_id == user_id and self.peek(s.token)]

    def grant(self, user_id: str, client_id: str, scope: str) -> Grant:
        """Issue a refresh token; a grant that makes room for it ends with its access tokens."""
        made, dropped = self.grants.issue(user_id, client_id, scope)
        for old in dropped:
            self.end_grant(old)
        return made

    def end_grant(self, grant: Grant) -> None:
        """End a grant and every access token got with it."""
        self.grants.drop(grant)
        self._end(lambda s: s.grant == grant.id)

    def end_app(self, client_id: str) -> None:
        """End everything that an app holds."""
        for grant in self.grants.of_app(client_id):
            self.grants.drop(grant)
        self._end(lambda s: s.client_id == client_id)

    def revoke(self, token: str) -> bool:
        """End an access token, or a refresh token with all its access tokens; False if it is neither."""
        grant = self.grants.find(token)
        if grant is not None:
            self.end_grant(grant)
            return True
        return self._by_token.pop(token, None) is not None

    def expire(self, user_id: str | None = None) -> int:
        """End the access tokens of a user, or of everybody but the fixed token; return how many."""
        return self._end(lambda s: not s.forever and user_id in {None, s.user_id})

    def _end(self, ends: Any) -> int:
        over = [session.token for session in self._by_token.values() if ends(session)]
        for token in over:
            del self._by_token[token]
        return len(over)

    def dump(self) -> list[dict[str, Any]]:
        """Return what to store; the fixed token comes from the settings at every start."""
        return [asdict(s) for s in self._by_token.values() if not s.forever] + self.grants.dump()

    def load(self, documents: list[dict[str, Any]]) -> None:
        """Take over what was stored."""
        for document in documents:
            if "used" in document:
                self._by_token[document["token"]] = Session(**document)
            else:
                self.grants.load(document)
