"""A whole life of a connection in a process of its own, at debug level, with everything that can be seen of it printed.

It is connected in the browser, provisioned, synced, expires, is tampered with and dies; then every page is looked at.  The
secrets that it came across go into a file of their own, so that the parent can search everything else for them.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.crm_airflow.airflow_env import airflow_home

airflow_home()

import logging  # noqa: E402  Airflow's environment comes first

from fastapi.testclient import TestClient  # noqa: E402

from crm_airflow.hooks.salesforce_hook import CrmSalesforceHook  # noqa: E402
from crm_airflow.hooks.sync_hook import CrmSyncHook  # noqa: E402
from crm_sync.access.vault import KEYS_VARIABLE, KeyRing, Vault, new_entry  # noqa: E402
from tests.crm_airflow.real import NAME, Org, make_connection, rows, run  # noqa: E402
from tests.crm_airflow.ui import ADDRESS, airflow_app, browser  # noqa: E402
from tests.salesforce_standin.browser import Browser  # noqa: E402

USER, PASSWORD = "integration@gptweb.example", "the-password-of-the-integration-user"
PAGES = (
    "/api/v2/connections", f"/api/v2/connections/{NAME}", "/api/v2/connections/signed", "/api/v2/variables",
    "/api/v2/plugins", "/api/v2/config", "/api/v2/eventLogs?limit=100", "/api/v2/dags", "/ui/config",
    f"/crm-sync/connections/{NAME}/connect", "/crm-sync/connections/signed/connect",
    "/crm-sync/connections/nothing/connect", "/crm-sync/oauth/callback?state=x&code=y", "/crm-sync/nothing",
)  # fmt: skip


class Life:
    """The steps, and the secrets met on the way."""

    def __init__(self, org: Org, url: str, private_key: str, admin: TestClient) -> None:
        self.org, self.url, self.private_key, self.admin = org, url, private_key, admin
        self.secrets: dict[str, str] = {"password": PASSWORD, "signing key": private_key}

    def note(self, when: str) -> None:
        """Remember what the vault holds now."""
        vault = Vault(KeyRing.from_environment())
        self.secrets[f"vault key {when}"] = os.environ[KEYS_VARIABLE].partition(":")[2]
        for connection, sealed in rows(
            self.url, "select connection, sealed from crm_sync.credential where sealed is not null"
        ):
            with suppress(Exception):
                tokens = vault.open(connection, "tokens", sealed)
                for name in ("access_token", "refresh_token"):
                    self.secrets[f"{name} of {connection} {when}"] = tokens[name]
        for connection, sealed in rows(self.url, "select connection, sealed from crm_sync.authorization"):
            opened = vault.open(connection, "code verifier", sealed)
            self.secrets[f"code verifier {when}"] = opened["code_verifier"]

    def connections(self) -> None:
        for name, extra in (
            (NAME, {**self.org.extra(), "grant": "authorization_code"}),
            ("signed", {**self.org.extra(), "private_key": self.private_key, "username": USER}),
            ("wrong", {**self.org.extra(), "consumer_secret": "a-consumer-secret-that-is-wrong"}),
        ):
            make_connection(self.url, name)
            body = {"connection_id": name, "conn_type": "salesforce", "extra": json.dumps(extra)}
            assert self.admin.post("/api/v2/connections", json=body).status_code == 201
        self.secrets["wrong secret"] = "a-consumer-secret-that-is-wrong"

    def connect(self) -> None:
        self.org.control("/passwords", {"username": USER, "password": PASSWORD})
        self.org.change_app(redirect_uris=[f"{ADDRESS}/crm-sync/oauth/callback"], rotation=True)
        sent = self.admin.get(f"/crm-sync/connections/{NAME}/connect")
        self.note("while connecting")
        person = Browser(self.org.url).go(sent.headers["Location"])
        person.log_in(USER, PASSWORD)
        if not person.callback:
            person.submit(decision="approve")
        self.secrets["authorization code"] = parse_qs(urlsplit(person.address).query)["code"][0]
        for _ in range(2):  # the second time it is refused
            page = self.admin.get(person.address)
            print("PAGE", page.status_code, page.headers, page.text)
        person.http.close()
        self.note("connected")

    def runs(self) -> None:
        print("RUN", run("provision"))
        rows(self.url, "insert into gptweb.contacts (last_name, email) values ('Ann', 'ann@acme.example')")
        self.org.control("/sessions/expire", {})
        print("RUN", run("sync"))
        self.note("refreshed")
        with CrmSalesforceHook(NAME) as hook:
            print("QUERY", hook.make_query("SELECT Id FROM Contact")["totalSize"])
            print("OBJECTS", repr(hook), repr(hook.get_conn()), repr(hook.get_conn().session))

    def troubles(self) -> None:
        """Whatever can go wrong with a log-in, each with its traceback."""
        ring = os.environ[KEYS_VARIABLE]
        fails("wrong secret", lambda: test("wrong"))
        fails("signed, not approved", lambda: test("signed"))
        for name, keys in (("no ring", ""), ("other key", new_entry("other")), ("short key", "k:QUJD")):
            os.environ[KEYS_VARIABLE] = keys
            fails(name, lambda: login(NAME))
        os.environ[KEYS_VARIABLE] = ring
        rows(
            self.url,
            "update crm_sync.credential set sealed = overlay(sealed placing 'AAAA' from 200) where connection = %s",
            NAME,
        )
        fails("tampered", lambda: login(NAME))
        self.connect()
        users = self.org.query(f"SELECT Id FROM User WHERE Username = '{USER}'")
        self.org.control("/sessions/expire", {"username": USER})
        self.org.ask("PATCH", f"/sobjects/User/{users[0]['Id']}", json={"IsActive": False})
        print("RUN", run("sync", retries=0))
        fails("dead", lambda: login(NAME))
        self.note("dead")

    def pages(self) -> None:
        for address in PAGES:
            page = self.admin.get(address)
            print("PAGE", address, page.status_code, page.headers, page.text)
            self.note(address)
        for dag in ("crm_provision", "crm_sync"):
            for what in ("dagRuns", "dagRuns/~/taskInstances", "dagRuns/~/taskInstances/~/xcomEntries"):
                page = self.admin.get(f"/api/v2/dags/{dag}__{NAME}/{what}")
                print("PAGE", what, page.status_code, page.text)


def login(name: str) -> Any:
    with CrmSyncHook(name).login() as way:
        return way.renew(way.token())


def test(name: str) -> None:
    works, said = CrmSalesforceHook(name).test_connection()
    assert works, said


def fails(what: str, step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:  # noqa: BLE001  what is printed of it is the point
        print("TROUBLE", what)
        traceback.print_exc()
    else:
        raise AssertionError(what)


def main(secrets: str) -> None:
    """Live, and leave the secrets in a file."""
    given = json.load(sys.stdin)
    logging.getLogger().setLevel(logging.DEBUG)
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    with browser(airflow_app(), "admin") as admin:
        life = Life(Org(**given["org"]), os.environ["CRM_SYNC_DATABASE_URL"], given["private_key"], admin)
        for step in (life.connections, life.connect, life.runs, life.troubles, life.pages):
            step()
    Path(secrets).write_text(json.dumps(life.secrets), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
