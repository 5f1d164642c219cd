"""A login in a process of its own, as an Airflow worker would have it: one of many at once, or one that is killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from crm_sync.access.app import App
from crm_sync.access.oauth import OAuthEndpoint
from crm_sync.access.vault import KeyRing, Purpose, Vault
from crm_sync.access.vault_login import VaultLogin
from crm_sync.ledger.database import Database

__all__ = ["NAME", "login_of"]

NAME = "salesforce_main"


class DeadlyVault(Vault):
    """Kills its process when it is about to seal: after the tokens were received, before they are stored."""

    def seal(self, connection: str, purpose: Purpose, payload: Mapping[str, Any]) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@contextmanager
def login_of(url: str, app: App, vault: Vault, name: str = NAME) -> Iterator[VaultLogin]:
    """A login with database connections of its own."""
    with closing(Database(url)) as database, closing(Database(url)) as marks:
        yield VaultLogin(name, OAuthEndpoint(app), vault, database, marks)


def main(url: str, app: str, keys: str, vault: str) -> None:
    """Take the stored session, wait for the word, renew it, and print what came of it."""
    ring = KeyRing.parse(keys)
    with login_of(
        url, App(**json.loads(app)), DeadlyVault(ring) if vault == "deadly" else Vault(ring)
    ) as login:
        session = login.token()
        print("ready", flush=True)
        sys.stdin.readline()
        print(login.renew(session).access_token, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
