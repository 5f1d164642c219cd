"""Logins in processes of their own, as Airflow workers would have them: ten at once, or one that is killed.

One process imports what they need and forks them, as Airflow does.
"""

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


def renew(url: str, app: App, vault: Vault, ready: int, go: int) -> str:
    """Take the stored session, say so, wait for the word, and renew it."""
    with login_of(url, app, vault) as login:
        session = login.token()
        os.write(ready, b".")
        os.read(go, 1)
        return login.renew(session).access_token


def main(url: str, app: str, keys: str, vault: str, count: str) -> None:
    """Fork the processes; say when all are ready; pass on the word, and print a line of each: its token, or its signal."""
    ring = KeyRing.parse(keys)
    chosen = DeadlyVault(ring) if vault == "deadly" else Vault(ring)
    ready, go = os.pipe(), os.pipe()
    children = []
    signal.alarm(60)
    for _ in range(int(count)):
        child = os.fork()
        if child == 0:
            os.close(go[1])  # so that none waits for ever when the first process is gone
            token = renew(url, App(**json.loads(app)), chosen, ready[1], go[0])
            os.write(1, f"{token}\n".encode())
            os._exit(0)
        children.append(child)
    for _ in children:
        os.read(ready[0], 1)
    print("ready", flush=True)
    sys.stdin.readline()
    os.write(go[1], b"g" * len(children))
    for child in children:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            os.write(1, f"ended with {code}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
