"""What an Airflow connection of type salesforce has to hold, read with one clear message for each thing that is amiss."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from crm_sync.errors import Misconfigured

__all__ = ["SalesforceKeys", "salesforce_keys"]

CONN_TYPE: Final = "salesforce"
NEEDED: Final = {
    "instance_url": "Instance URL, the org's My Domain address",
    "consumer_key": "Consumer Key, from the org's external client app",
    "consumer_secret": "Consumer Secret, from the same app",
}


@dataclass(frozen=True, slots=True)
class SalesforceKeys:
    """The org's address and the app by which we log in to it (client credentials)."""

    instance_url: str
    consumer_key: str
    consumer_secret: str = field(repr=False)


def salesforce_keys(
    conn_id: str, get_connection: Callable[[str], Connection] = BaseHook.get_connection
) -> SalesforceKeys:
    """Read the Airflow connection; everything that is missing is named at once."""
    try:
        connection = get_connection(conn_id)
    except AirflowNotFoundException:
        msg = (
            f"There is no Airflow connection {conn_id!r}. Make one of type {CONN_TYPE} under Admin > Connections, "
            f"with {', '.join(NEEDED)}."
        )
        raise Misconfigured(msg) from None
    if connection.conn_type != CONN_TYPE:
        msg = (
            f"Airflow connection {conn_id!r} is of type {connection.conn_type!r}; change it to {CONN_TYPE!r}."
        )
        raise Misconfigured(msg)
    extra = _extra(connection)
    missing = [f"{name} ({what})" for name, what in NEEDED.items() if not extra[name]]
    if missing:
        msg = (
            f"Airflow connection {conn_id!r} lacks {'; '.join(missing)}. Enter it under Admin > Connections."
        )
        raise Misconfigured(msg)
    mask_secret(extra["consumer_secret"])  # Airflow masks the extra as a whole, not what it holds
    return SalesforceKeys(**extra)


def _extra(connection: Connection) -> dict[str, str]:
    """The needed extra fields, blank where absent, also under the names of old Airflow forms."""
    try:
        extra: Any = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        msg = f"The extra of Airflow connection {connection.conn_id!r} is no JSON object; enter its fields in the form."
        raise Misconfigured(msg)
    return {
        name: str(extra.get(name) or extra.get(f"extra__salesforce__{name}") or "").strip() for name in NEEDED
    }
