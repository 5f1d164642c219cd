"""What the transport needs from a login: a session, a new one when that is refused, and an address to trust.

``access.vault_login`` keeps sessions for all processes; where a token is kept is never the transport's to know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from crm_sync.errors import Misconfigured

__all__ = ["Login", "MemoryLogin", "Session", "is_loopback", "trusted_address"]


@dataclass(frozen=True, slots=True)
class Session:
    """An access token and the address it is good for; ``identity`` is the token reply's "id", org and user."""

    access_token: str = field(repr=False)
    instance_url: str
    identity: str = ""


class Login(Protocol):
    """Gives sessions; safe to be asked by several threads."""

    def token(self) -> Session:
        """The present session, fetched when there is none."""
        ...

    def renew(self, refused: Session) -> Session:
        """A session other than the refused one; only the first to ask for it logs in again."""
        ...


class MemoryLogin:
    """A login that keeps its session in the memory of this process: for measurements and tools without a ledger."""

    def __init__(self, fetch: Callable[[], Session]) -> None:
        self._fetch = fetch
        self._session: Session | None = None
        self._lock = threading.Lock()

    def token(self) -> Session:
        """The present session, fetched when there is none."""
        with self._lock:
            if self._session is None:
                self._session = self._fetch()
            return self._session

    def renew(self, refused: Session) -> Session:
        """A session other than the refused one; whoever asks second gets what the first one fetched."""
        with self._lock:
            if self._session is None or self._session == refused:
                self._session = self._fetch()
            return self._session


def trusted_address(url: str) -> str:
    """The address without a path, or Misconfigured when a token must not be sent there."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if not parts.hostname or parts.username or parts.scheme not in ("https", "http"):
        raise Misconfigured(
            f"{parts.hostname or 'the address'} is no address of an org: enter it like https://acme.my.salesforce.com"
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise Misconfigured(
            f"http://{parts.netloc}: plain http would show the token to the network; enter the address with https "
            "(plain http is for a stand-in on this machine only)"
        )
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
