"""Connecting in the browser: a person logs in at the org, and comes back with a code that only we can exchange.

What the return is checked against is kept in the ledger: ten minutes, for one use, the PKCE verifier sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from authlib.common.security import generate_token

from crm_sync.access.oauth import Identity, OAuthEndpoint, Tokens, identity_of
from crm_sync.access.vault import Vault
from crm_sync.access.vault_login import keep
from crm_sync.errors import Misconfigured
from crm_sync.ledger import credentials, lifecycle, settings
from crm_sync.ledger.credentials import Authorization
from crm_sync.ledger.database import Database

__all__ = ["Connected", "Started", "begin", "disconnect", "finish", "take"]

GOOD_FOR: Final = timedelta(minutes=10)
REVOKED: Final = "The grant that this log-in gave was revoked again."
NOT_REVOKED: Final = (
    "The grant that this log-in gave could not be revoked: revoke it there, in Setup under OAuth Usage."
)


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and what it has to bring back from there."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Connected:
    """Whose tokens are stored now; ``username`` is blank where the app may not ask for it."""

    connection: str
    instance_url: str
    identity: Identity
    username: str


def begin(
    database: Database, vault: Vault, endpoint: OAuthEndpoint, connection: str, redirect_uri: str
) -> Started:
    """Put by a state and a verifier, and give the address of the org's log-in page."""
    state, verifier = generate_token(48), generate_token(64)
    sealed = vault.seal(connection, "code verifier", {"code_verifier": verifier})
    with database.transaction() as tx:
        kept = Authorization(connection, sealed, redirect_uri)
        credentials.begin_authorization(tx, state, kept, vault.ring.first, GOOD_FOR)
    return Started(endpoint.authorize_url(state, verifier, redirect_uri), state)


def take(database: Database, state: str) -> Authorization:
    """What was put by for this state, once; Misconfigured when it is unknown, used or too old."""
    with database.transaction() as tx:
        kept = credentials.take_authorization(tx, state)
    if kept is None:
        raise Misconfigured(
            "this log-in was finished before, was begun more than ten minutes ago, or was never begun here: begin again"
        )
    return kept


def finish(
    database: Database, vault: Vault, endpoint: OAuthEndpoint, kept: Authorization, code: str
) -> Connected:
    """Exchange the code and store the tokens; those of another org than the connection's are given back."""
    verifier = vault.open(kept.connection, "code verifier", kept.sealed)["code_verifier"]
    tokens = endpoint.exchange(code, verifier, kept.redirect_uri)
    try:
        identity = _identity(tokens)
        with database.transaction() as tx:
            settings.pin(tx, kept.connection, identity.organization_id)
            keep(tx, vault, kept.connection, tokens, endpoint.app.digest())
    except Misconfigured as error:
        raise Misconfigured(f"{error} {REVOKED if endpoint.revoke(tokens) else NOT_REVOKED}") from None
    return Connected(kept.connection, tokens.instance_url, identity, endpoint.username(tokens.session))


def disconnect(database: Database, vault: Vault, endpoint: OAuthEndpoint, connection: str, who: str) -> bool:
    """End the grant at the CRM, wipe the tokens and pause the connection; False when the CRM did not say that it ended.

    Whoever renews the login meanwhile waits for the row, and then finds that there is nothing to renew.
    """
    with database.transaction() as tx:
        sealed = credentials.lock(tx, connection).sealed
        ended = sealed is None or _revoked(vault, endpoint, connection, sealed)
        credentials.wipe(tx, connection, endpoint.app.digest(), f"disconnected by {who}")
        lifecycle.pause(tx, connection, who)
        told = "revoked there" if ended else "not revoked there"
        lifecycle.note(tx, connection, "connection_disconnected", f"by {who}; tokens wiped, {told}", who)
    return ended


def _revoked(vault: Vault, endpoint: OAuthEndpoint, connection: str, sealed: str) -> bool:
    """What can't be opened can't be revoked, and is wiped all the same."""
    try:
        return endpoint.revoke(Tokens(**vault.open(connection, "tokens", sealed)))
    except Misconfigured:
        return False


def _identity(tokens: Tokens) -> Identity:
    if known := identity_of(tokens.identity):
        return known
    raise Misconfigured('the org\'s reply does not say whose log-in this is ("id" is missing): begin again.')
