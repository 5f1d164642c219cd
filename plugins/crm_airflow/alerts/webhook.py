"""A notifier that posts an alert as JSON, as incoming webhooks of chats and pagers take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from airflow.sdk import BaseNotifier
from airflow.sdk.bases.hook import BaseHook

from crm_sync.access.login import is_loopback
from crm_sync.errors import Misconfigured, RetryLater

__all__ = ["WebhookNotifier", "trusted"]

TIMEOUT: Final = (5.0, 10.0)


class WebhookNotifier(BaseNotifier):
    """POST ``payload`` to the address that an Airflow connection holds.

    The connection's host is the address, or schema, host and port are; ``{"path": …}`` in its extra goes behind it; its
    password goes along as bearer token.  The address may be a secret by itself, so no error shows it.

    Args:
        conn_id: the Airflow connection, of type HTTP.
        payload: what is sent; a key ``text`` is what chats show.
    """

    def __init__(self, conn_id: str, payload: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.payload = payload

    def notify(self, context: Mapping[str, Any]) -> None:
        """Send it; RetryLater where the other end does not take it now."""
        found = BaseHook.get_connection(self.conn_id)
        headers = {"Authorization": f"Bearer {found.password}"} if found.password else {}
        try:
            # No redirect: the token is for this address alone.
            reply = requests.post(
                _address(found), json=self.payload, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            raise RetryLater(
                f"webhook {self.conn_id} can't be reached ({type(error).__name__}): look at the Airflow connection's address"
            ) from None
        if not 200 <= reply.status_code < 300:
            raise RetryLater(
                f"webhook {self.conn_id} answered {reply.status_code}: look at the Airflow connection's address and password"
            )


def trusted(address: str) -> bool:
    """Whether what is sent to an address is kept from others on its way: https, or this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _address(found: Any) -> str:
    host = found.host or ""
    base = host if "://" in host else f"{found.schema or 'https'}://{host}"
    if found.port:
        base = f"{base}:{found.port}"
    if not trusted(base):
        raise Misconfigured(
            f"Airflow connection {found.conn_id}: a webhook's address begins with https; put it into the host"
        )
    return base.rstrip("/") + str(found.extra_dejson.get("path", ""))
