"""Connecting a CRM from the UI: what the ledger, the vault and the app of the Airflow connection do for it together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, cast

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_sync.access import connecting
from crm_sync.access.connecting import Connected, Started
from crm_sync.access.grant_errors import grant_error
from crm_sync.access.oauth import identity_of
from crm_sync.decide.schema import FoundField
from crm_sync.errors import Misconfigured
from crm_sync.ledger import snapshot
from crm_sync.ledger.database import Database, database_url
from crm_sync.ledger.settings import pin
from crm_sync.stores.salesforce_schema_wire import DATA, described

__all__ = ["begin", "describe", "disconnect", "finish", "log_in"]


def begin(connection: str, redirect_uri: str) -> Started | None:
    """Where to send the browser; None for a grant that needs none."""
    hook = CrmSyncHook(connection)
    with hook.database() as database:
        hook.settings(database)
        endpoint = hook.endpoint()
        if endpoint.app.grant == "authorization_code":
            return connecting.begin(database, hook.vault(), endpoint, connection, redirect_uri)
        return None


def log_in(connection: str) -> Connected:
    """Log in by a grant that needs no browser, also after a refusal."""
    hook = CrmSyncHook(connection)
    with hook.database() as database:
        hook.settings(database)
        endpoint = hook.endpoint()
        if endpoint.app.grant == "authorization_code":
            raise Misconfigured(f"connection {connection} logs in through the browser: open this page again")
        with hook.login() as login:
            session = login.try_again()
        identity = identity_of(session.identity)
        if identity is None:
            msg = "The org's reply does not say whose log-in this is: add the scope 'id' to the app."
            raise Misconfigured(msg)
        with database.transaction() as tx:
            pin(tx, connection, identity.organization_id)
        return Connected(connection, session.instance_url, identity, endpoint.username(session))


def finish(state: str, code: str, error: str = "", description: str = "") -> Connected:
    """Store the tokens for the code that the browser brought back, or raise what the CRM says in its place."""
    with closing(Database(database_url())) as database:
        kept = connecting.take(database, state)
        hook = CrmSyncHook(kept.connection)
        endpoint = hook.endpoint()
        if error or not code:
            raise grant_error(error or "access_denied", description, endpoint.app.grant, endpoint.app.address)
        return connecting.finish(database, hook.vault(), endpoint, kept, code)


def disconnect(connection: str, who: str) -> bool:
    """Give the tokens back and forget them; False when the CRM did not say that it ended them."""
    hook = CrmSyncHook(connection)
    with hook.database() as database:
        hook.settings(database)
        ended = connecting.disconnect(database, hook.vault(), hook.endpoint(), connection, who)
        with database.transaction() as tx:
            snapshot.write(tx)
    return ended


def describe(connection: str, type: str) -> list[FoundField]:
    """The fields of one of the CRM's objects, as the integration user sees them; one call."""
    with CrmSyncHook(connection).session(lane="provision") as session:
        reply = session.call("GET", f"{DATA}/sobjects/{type}/describe", purpose="describe")
    return list(described(cast("Mapping[str, Any]", reply.body)))
