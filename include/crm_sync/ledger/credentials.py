"""Credentials: one row a connection, locked by whoever renews it; what is secret in it is sealed and stays so here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

import psycopg

from crm_sync.errors import NotSent
from crm_sync.ledger.database import Transaction

__all__ = [
    "Authorization",
    "Credential",
    "State",
    "begin_authorization",
    "begin_renewal",
    "end_renewal",
    "give_up",
    "learn",
    "load",
    "lock",
    "note_rotation",
    "reseal",
    "sealed_connections",
    "store",
    "take_authorization",
    "wipe",
]

State = Literal["good", "reconnect needed"]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a connection may come in with; ``age`` of its access token by the database's clock.

    ``app_digest``: fingerprint of the app that it was got by.  ``generation`` counts the tokens stored.
    """

    sealed: str | None = None
    app_digest: str = ""
    generation: int = 0
    age: timedelta | None = None
    lifetime: timedelta | None = None
    state: State = "good"
    state_since: datetime | None = None
    reason: str | None = None


def load(tx: Transaction, connection: str) -> Credential:
    """The credential as it stands; an empty one where there is none yet."""
    rows = tx.rows(
        "select sealed, app_digest, generation, clock_timestamp() - issued_at, lifetime, state, state_since, reason "
        "from crm_sync.credential where connection = %s",
        (connection,),
    )
    return Credential(*rows[0]) if rows else Credential()


def lock(tx: Transaction, connection: str) -> Credential:
    """The same, held until the transaction ends: only one process anywhere renews."""
    tx.run("set local lock_timeout = '60s'")  # longer than a log-in may take with its time-outs
    try:
        tx.run(
            "insert into crm_sync.credential (connection) values (%s) on conflict do nothing", (connection,)
        )
        tx.run("select 1 from crm_sync.credential where connection = %s for no key update", (connection,))
    except psycopg.errors.LockNotAvailable:
        raise NotSent(
            f"connection {connection}: another process has been renewing its log-in for a minute; it is tried again"
        ) from None
    return load(tx, connection)


def store(tx: Transaction, connection: str, sealed: str, key_id: str, app_digest: str) -> None:
    """New tokens, the next generation; a connection that was given up is good again."""
    if lock(tx, connection).state != "good":
        _record(tx, connection, "good", "connected again")
    tx.run(
        """update crm_sync.credential set sealed = %s, key_id = %s, app_digest = %s, generation = generation + 1,
          issued_at = clock_timestamp(), state = 'good', reason = null,
          state_since = case state when 'good' then state_since else clock_timestamp() end
        where connection = %s""",
        (sealed, key_id, app_digest, connection),
    )


def give_up(tx: Transaction, connection: str, app_digest: str, reason: str) -> bool:
    """The grant is dead; whether that is news, which is written down once, for whoever alerts people."""
    before = lock(tx, connection)
    news = before.state == "good" or before.app_digest != app_digest
    tx.run(
        """update crm_sync.credential set state = 'reconnect needed', reason = %s, app_digest = %s,
          state_since = case when %s then clock_timestamp() else state_since end where connection = %s""",
        (reason, app_digest, news, connection),
    )
    if news:
        _record(tx, connection, "reconnect needed", reason)
    return news


def wipe(tx: Transaction, connection: str, app_digest: str, reason: str) -> None:
    """Forget the tokens, and what a browser may still bring back; nothing leaves until a person connects again."""
    give_up(tx, connection, app_digest, reason)
    tx.run("update crm_sync.credential set sealed = null, key_id = null where connection = %s", (connection,))
    tx.run("delete from crm_sync.authorization where connection = %s", (connection,))
    end_renewal(tx, connection)


def learn(tx: Transaction, connection: str, lifetime: timedelta) -> None:
    """How long an access token is good for, the shortest that was seen."""
    tx.run(
        "update crm_sync.credential set lifetime = least(lifetime, %s) where connection = %s",
        (lifetime, connection),
    )


def sealed_connections(tx: Transaction) -> list[str]:
    """The connections that have something sealed."""
    rows = tx.rows("select connection from crm_sync.credential where sealed is not null order by connection")
    return [row[0] for row in rows]


def reseal(tx: Transaction, connection: str, sealed: str, key_id: str) -> None:
    """The same tokens under another key; the caller holds the row."""
    tx.run(
        "update crm_sync.credential set sealed = %s, key_id = %s where connection = %s",
        (sealed, key_id, connection),
    )


def note_rotation(tx: Transaction, connection: str, problem: str | None) -> None:
    """Keep why the last rotation could not seal its tokens anew; None: it could."""
    tx.run(
        "update crm_sync.credential set rotation_problem = %s where connection = %s and rotation_problem is distinct from %s",
        (problem, connection, problem),
    )


def _record(tx: Transaction, connection: str, state: State, detail: str) -> None:
    tx.run(
        "insert into crm_sync.decision (connection, object, rule, outcome, detail) "
        "values (%s, 'connection', 'connection state', %s, %s)",
        (connection, state, detail),
    )


# ------------------------------------------------------------------------------------------------ renewals


def begin_renewal(tx: Transaction, connection: str, generation: int) -> datetime | None:
    """Leave a trace before a refresh token is used; when an earlier use of the same one began, if its end is unknown.

    The caller holds the credential's row in another transaction.
    """
    earlier: datetime | None = tx.one(
        "select began_at from crm_sync.renewal where connection = %s and generation = %s",
        (connection, generation),
    )
    if earlier is None:
        tx.run(
            """insert into crm_sync.renewal values (%s, %s, clock_timestamp()) on conflict (connection)
            do update set generation = excluded.generation, began_at = excluded.began_at""",
            (connection, generation),
        )
    return earlier


def end_renewal(tx: Transaction, connection: str) -> None:
    """The token certainly was not used up."""
    tx.run("delete from crm_sync.renewal where connection = %s", (connection,))


# ------------------------------------------------------------------------------------------ authorizations


@dataclass(frozen=True, slots=True)
class Authorization:
    """What was put by when a browser was sent to log in."""

    connection: str
    sealed: str
    redirect_uri: str


def begin_authorization(
    tx: Transaction, state: str, authorization: Authorization, key_id: str, good_for: timedelta
) -> None:
    """Put by what the browser's return will be checked against; of the state only a digest is kept."""
    tx.run("delete from crm_sync.authorization where expires_at < clock_timestamp()")
    tx.run(
        "insert into crm_sync.authorization values (%s, %s, %s, %s, %s, clock_timestamp() + %s)",
        (
            _digest(state),
            authorization.connection,
            authorization.sealed,
            key_id,
            authorization.redirect_uri,
            good_for,
        ),
    )


def take_authorization(tx: Transaction, state: str) -> Authorization | None:
    """What was put by, once; None when there is none, it is too late, or it was taken before."""
    rows = tx.rows(
        "delete from crm_sync.authorization where state_digest = %s "
        "returning connection, sealed, redirect_uri, expires_at > clock_timestamp()",
        (_digest(state),),
    )
    return Authorization(*rows[0][:3]) if rows and rows[0][3] else None


def _digest(state: str) -> str:
    return sha256(state.encode()).hexdigest()
