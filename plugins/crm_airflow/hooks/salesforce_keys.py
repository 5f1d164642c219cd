"""What an Airflow connection of type salesforce has to hold, read with one clear message for each thing that is amiss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from crm_sync.access.app import GRANTS, App, GrantName
from crm_sync.errors import Misconfigured

__all__ = ["salesforce_app"]

CONN_TYPE: Final = "salesforce"
FIELDS: Final = {
    "instance_url": "Instance URL, the org's My Domain address",
    "consumer_key": "Consumer Key, from the org's external client app",
    "consumer_secret": "Consumer Secret, from the same app",
    "private_key": "Private Key, the one of the app's certificate, in PEM form",
}
NEEDED: Final[Mapping[GrantName, tuple[str, ...]]] = MappingProxyType(
    {
        "client_credentials": ("instance_url", "consumer_key", "consumer_secret"),
        "authorization_code": ("consumer_key",),
        "jwt_bearer": ("consumer_key", "private_key"),
    }
)
"""What each grant can't do without; the address is that of production where none is given."""


def salesforce_app(
    conn_id: str, get_connection: Callable[[str], Connection] = BaseHook.get_connection
) -> App:
    """Read the Airflow connection; everything that is missing is named at once."""
    connection = _connection(conn_id, get_connection)
    extra = _extra(connection)
    grant = _grant(conn_id, extra)
    missing = [f"{name} ({FIELDS[name]})" for name in NEEDED[grant] if not _text(extra, name)]
    username = (connection.login or _text(extra, "username")).strip()
    if grant == "jwt_bearer" and not username:
        missing.append("login (Username, the integration user)")
    if missing:
        hint = _hint(connection, extra)
        msg = f"Airflow connection {conn_id!r} lacks {'; '.join(missing)}. Enter it under Admin > Connections.{hint}"
        raise Misconfigured(msg)
    app = App(
        address=_address(extra), consumer_key=_text(extra, "consumer_key"),
        consumer_secret=_text(extra, "consumer_secret"), grant=grant,
        username=username if grant == "jwt_bearer" else "",
        private_key=_text(extra, "private_key").replace("\\n", "\n") if grant == "jwt_bearer" else "",
    )  # fmt: skip
    for secret in filter(None, (app.consumer_secret, app.private_key)):
        mask_secret(secret)  # Airflow masks the extra as a whole, not what it holds
    return app


def _connection(conn_id: str, get_connection: Callable[[str], Connection]) -> Connection:
    try:
        connection = get_connection(conn_id)
    except AirflowNotFoundException:
        wanted = ", ".join(NEEDED["client_credentials"])
        msg = (
            f"There is no Airflow connection {conn_id!r}. Make one of type {CONN_TYPE} under Admin > Connections, "
            f"with {wanted}, or with the grant and keys that docs/connect-salesforce.md describes."
        )
        raise Misconfigured(msg) from None
    if connection.conn_type != CONN_TYPE:
        msg = (
            f"Airflow connection {conn_id!r} is of type {connection.conn_type!r}; change it to {CONN_TYPE!r}."
        )
        raise Misconfigured(msg)
    return connection


def _extra(connection: Connection) -> dict[str, Any]:
    try:
        extra: Any = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        msg = f"The extra of Airflow connection {connection.conn_id!r} is no JSON object; enter its fields in the form."
        raise Misconfigured(msg)
    return extra


def _text(extra: Mapping[str, Any], name: str) -> str:
    """One extra field, blank where absent, also under the name of old Airflow forms."""
    return str(extra.get(name) or extra.get(f"extra__salesforce__{name}") or "").strip()


def _grant(conn_id: str, extra: Mapping[str, Any]) -> GrantName:
    named = _text(extra, "grant")
    if not named:
        return "jwt_bearer" if _text(extra, "private_key") else "client_credentials"
    if named not in GRANTS:
        msg = f"Airflow connection {conn_id!r} has the grant {named!r} in its extra; it can be one of {', '.join(GRANTS)}."
        raise Misconfigured(msg)
    return named


def _address(extra: Mapping[str, Any]) -> str:
    """The org's own address, else the log-in host of the domain, like "test" for a sandbox."""
    return _text(extra, "instance_url") or f"https://{_text(extra, 'domain') or 'login'}.salesforce.com"


def _hint(connection: Connection, extra: Mapping[str, Any]) -> str:
    if not (connection.password or _text(extra, "security_token")):
        return ""
    return (
        " Logging in with user name and password is not offered: Salesforce retires it; make an external client app, "
        "see docs/connect-salesforce.md."
    )
