"""Authorization codes: good once, for 15 minutes, for the app and address that asked (facts/salesforce.md 2.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from salesforce_standin.clock import Clock

_SECONDS = 15 * 60


@dataclass(slots=True)
class Code:
    """One code, and what it stands for."""

    code: str
    client_id: str
    user_id: str
    redirect_uri: str
    scope: str
    challenge: str
    method: str
    born: float
    nonce: str = ""
    spent: bool = False

    def is_verifier(self, given: str) -> bool:
        """Whether a PKCE verifier belongs to the challenge (RFC 7636)."""
        shown = given
        if self.method != "plain":
            digest = hashlib.sha256(given.encode()).digest()
            shown = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return hmac.compare_digest(shown.encode(), self.challenge.rstrip("=").encode())


class Codes:
    """The codes of the last quarter of an hour."""

    def __init__(self, clock: Clock, stored: list[dict[str, Any]] | None) -> None:
        self._clock = clock
        self._codes = {document["code"]: Code(**document) for document in stored or []}

    def issue(
        self,
        *,
        client_id: str,
        user_id: str,
        redirect_uri: str,
        scope: str,
        challenge: str,
        method: str,
        nonce: str,
    ) -> Code:
        """Return a new code. Like real ones it ends with characters that must be encoded in an address."""
        now = self._clock.now()
        self._codes = {key: one for key, one in self._codes.items() if one.born + 2 * _SECONDS > now}
        text = f"aPrx{secrets.token_urlsafe(48)}=="
        made = Code(text, client_id, user_id, redirect_uri, scope, challenge, method, now, nonce)
        self._codes[made.code] = made
        return made

    def find(self, code: str) -> Code | None:
        """Return a code that was issued, used ones too."""
        return self._codes.get(code)

    def is_over(self, code: Code) -> bool:
        """Whether a code was used, or is too old."""
        return code.spent or self._clock.now() >= code.born + _SECONDS

    def dump(self) -> list[dict[str, Any]]:
        """Return what to store."""
        return [asdict(code) for code in self._codes.values()]
