"""The login of a connection: tokens kept in the vault for all processes, and renewed by one of them at a time.

Single flight is a row lock on the credential.  Whoever gets it reads again: another's newer token is used.  The rotated
refresh token is committed before anybody sees the access token that came with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final

from crm_sync.access.login import Session
from crm_sync.access.oauth import OAuthEndpoint, Tokens
from crm_sync.access.vault import Vault
from crm_sync.errors import Misconfigured, NotSent, ReconnectNeeded, RetryLater
from crm_sync.ledger import credentials
from crm_sync.ledger.credentials import Credential
from crm_sync.ledger.database import Database, Transaction

__all__ = ["VaultLogin", "keep"]

log = logging.getLogger(__name__)

EARLY: Final = 0.8
"""Part of its lifetime after which a token is renewed before it is refused."""
SHORTEST: Final = timedelta(minutes=15)
"""No org's sessions end sooner (its shortest setting): what is refused at a younger age was revoked, not too old."""
CONNECT: Final = "/crm-sync/connections/{}/connect"
"""Where a person connects, below the address of Airflow's UI."""
PATIENCE: Final = 60.0
"""Seconds until renewing early is tried again when it could not be done; the present token is still good."""


@dataclass(frozen=True, slots=True)
class _Held:
    session: Session
    renew_at: float
    is_new: bool = False


class VaultLogin:
    """Gives the sessions of one connection.

    ``database`` and ``marks`` are two database connections of its own, opened when first used: one holds the row, the
    other leaves the trace that a killed process can't take back.
    """

    def __init__(
        self,
        connection: str,
        endpoint: OAuthEndpoint,
        vault: Vault,
        database: Database,
        marks: Database,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self._endpoint = endpoint
        self._vault = vault
        self._database = database
        self._marks = marks
        self._monotonic = monotonic
        self._app = endpoint.app.digest()
        self._held: _Held | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<VaultLogin of {self.connection}>"

    def token(self) -> Session:
        """The present session; fetched when there is none, renewed when it will soon be too old."""
        with self._lock:
            held = self._held or self._stored()
            if held is None:
                held = self._renewed(None)
            elif self._monotonic() >= held.renew_at:
                held = self._renewed_early(held)
            self._held = held
            return held.session

    def renew(self, refused: Session) -> Session:
        """A session other than the refused one; whoever asks second, in any process, gets what the first one fetched."""
        with self._lock:
            if self._held is None or self._held.session == refused:
                self._held = self._renewed(refused, learns=True)
            return self._held.session

    def try_again(self) -> Session:
        """Log in although the connection was given up: a person says that what was wrong has been mended."""
        with self._lock:
            self._held = self._renewed(None, anew=True)
            return self._held.session

    # ------------------------------------------------------------------------------------------ the steps

    def _stored(self) -> _Held | None:
        """The session that is kept; None when the app's keys are others since."""
        with self._database.transaction() as tx:
            row = credentials.load(tx, self.connection)
        if row.app_digest != self._app:
            return None
        self._refuse_given_up(row)
        tokens = self._opened(row)
        return self._hold(tokens, row) if tokens else None

    def _renewed_early(self, held: _Held) -> _Held:
        try:
            return self._renewed(held.session)
        except RetryLater as error:
            log.warning("connection %s: %s; its present session is used meanwhile", self.connection, error)
            return _Held(held.session, self._monotonic() + PATIENCE)

    def _renewed(self, refused: Session | None, *, learns: bool = False, anew: bool = False) -> _Held:
        """A session that is not the refused one: the newest that is kept, or a new one; ``anew``: a new one."""
        with self._database.transaction() as tx:
            outcome = self._renewed_alone(tx, refused, learns=learns, anew=anew)
        if isinstance(outcome, ReconnectNeeded):
            self._held = None
            raise outcome  # not before that state is committed
        return self._with_lifetime(outcome) if outcome.is_new else outcome

    def _renewed_alone(
        self, tx: Transaction, refused: Session | None, *, learns: bool, anew: bool
    ) -> _Held | ReconnectNeeded:
        row = credentials.lock(tx, self.connection)
        same_app = row.app_digest == self._app
        if same_app and not anew:
            self._refuse_given_up(row)
        needs_kept = not anew or self._endpoint.app.grant == "authorization_code"
        kept = self._opened(row) if needs_kept else None
        if kept and same_app and not anew and kept.session != refused:
            return self._hold(kept, row)
        if learns and same_app and row.age and row.age >= SHORTEST:
            credentials.learn(tx, self.connection, row.age)
        try:
            tokens = self._asked(row, kept.refresh_token if kept else "")
        except ReconnectNeeded as error:
            if row.generation or self._endpoint.app.grant != "authorization_code":
                self._give_up(tx, str(error))
            return error
        keep(tx, self._vault, self.connection, tokens, self._app)
        return self._hold(tokens, credentials.load(tx, self.connection), is_new=True)

    def _asked(self, row: Credential, refresh_token: str) -> Tokens:
        """Ask by the grant; a refresh token may be used up by it, so a trace is left before."""
        if self._endpoint.app.grant != "authorization_code":
            return self._endpoint.fetch()
        if not refresh_token:
            raise ReconnectNeeded(
                f"connection {self.connection} has never been connected: open {CONNECT.format(self.connection)} in Airflow "
                "and log in as the integration user"
            )
        with self._marks.transaction() as tx:
            lost = credentials.begin_renewal(tx, self.connection, row.generation)
        try:
            tokens = self._endpoint.fetch(refresh_token)
        except (NotSent, Misconfigured) as error:
            if lost and isinstance(error, ReconnectNeeded):
                raise ReconnectNeeded(
                    f"the reply to a refresh of {lost:%Y-%m-%d %H:%M:%S} UTC was lost, and the new refresh token with it "
                    f"(a process was killed, or the network broke); {error}"
                ) from None
            if not lost:
                with self._marks.transaction() as tx:
                    credentials.end_renewal(tx, self.connection)
            raise
        except RetryLater as error:
            raise NotSent(str(error), error.after) from None
        if lost:
            log.warning(
                "connection %s: the reply to a refresh of %s UTC was lost; the refresh token still worked, so nothing "
                "else is", self.connection, f"{lost:%Y-%m-%d %H:%M:%S}",
            )  # fmt: skip
        return tokens

    def _give_up(self, tx: Transaction, reason: str) -> None:
        if credentials.give_up(tx, self.connection, self._app, reason):
            log.error("connection %s: reconnect needed: %s (in Airflow: %s)", self.connection, reason,
                      CONNECT.format(self.connection))  # fmt: skip

    def _refuse_given_up(self, row: Credential) -> None:
        if row.state == "reconnect needed":
            raise ReconnectNeeded(
                f"connection {self.connection}: reconnect needed since {row.state_since:%Y-%m-%d %H:%M} UTC: {row.reason}. "
                f"Nothing is asked again until you connect it again (in Airflow: {CONNECT.format(self.connection)}) or "
                "change the keys of its Airflow connection"
            )

    def _with_lifetime(self, held: _Held) -> _Held:
        """Learn how long the new token is good for, once a connection, where the app may ask."""
        if held.renew_at != float("inf") or not self._endpoint.app.consumer_secret:
            return held
        lifetime = self._endpoint.lifetime(held.session.access_token)
        if lifetime is None or lifetime < SHORTEST:
            return held
        with self._database.transaction() as tx:
            credentials.learn(tx, self.connection, lifetime)
        return _Held(held.session, self._monotonic() + EARLY * lifetime.total_seconds())

    def _opened(self, row: Credential) -> Tokens | None:
        return Tokens(**self._vault.open(self.connection, "tokens", row.sealed)) if row.sealed else None

    def _hold(self, tokens: Tokens, row: Credential, *, is_new: bool = False) -> _Held:
        left = float("inf")
        if row.lifetime and row.age is not None:
            left = EARLY * row.lifetime.total_seconds() - row.age.total_seconds()
        return _Held(tokens.session, self._monotonic() + left, is_new)


def keep(tx: Transaction, vault: Vault, connection: str, tokens: Tokens, app_digest: str) -> None:
    """Seal and store what the token endpoint gave."""
    sealed = vault.seal(connection, "tokens", asdict(tokens))
    credentials.store(tx, connection, sealed, vault.ring.first, app_digest)
