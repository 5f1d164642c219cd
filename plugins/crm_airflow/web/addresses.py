"""The addresses of our pages as browsers have them, and the one that the CRM sends people back to."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from airflow.configuration import conf

from crm_airflow.web import PREFIX
from crm_sync.access.login import is_loopback
from crm_sync.errors import Misconfigured

__all__ = ["CALLBACK", "callback_url", "cookie_path", "public_url"]

CALLBACK: Final = "/oauth/callback"
PUBLIC_URL: Final = "CRM_SYNC_PUBLIC_URL"


def public_url() -> str:
    """The address under which people reach Airflow: the callback that the CRM knows begins with it, to the letter."""
    url = _chosen_url()
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return url
    raise Misconfigured(
        f"the address of Airflow, {url or 'which is not set'}, is no address that a CRM sends a code to: set {PUBLIC_URL} "
        "(or Airflow's [api] base_url) to its https address"
    )


def _chosen_url() -> str:
    return (os.environ.get(PUBLIC_URL) or conf.get("api", "base_url", fallback="") or "").rstrip("/")


def cookie_path() -> str:
    """The path of our pages as the browser sees it: a proxy may serve Airflow below one of its own."""
    return urlsplit(_chosen_url()).path + PREFIX


def callback_url() -> str:
    """Where the CRM sends a browser back to; its app has to know this address to the letter."""
    return public_url() + PREFIX + CALLBACK
