"""The whole stack as a person meets it, once for all tests of the pages: Airflow, a Salesforce org, GPTWeb's database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg import sql

from stack import env
from stack.lifecycle import Stack
from stack.settings import ROOT, Settings

USERS = ("admin", "viewer")
INTEGRATION_USER = "integration@gptweb.example"
TABLES = """select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'connection'
  where c.relnamespace = 'crm_sync'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"""


@dataclass(frozen=True)
class Running:
    """Where everything is, and what people know to get in."""

    values: dict[str, str]

    @property
    def airflow(self) -> str:
        """The address of Airflow."""
        return self.values["AIRFLOW_URL"]

    @property
    def home(self) -> str:
        """The address of our pages."""
        return f"{self.airflow}/crm-sync/"

    @property
    def password(self) -> str:
        """The password of Airflow's users."""
        return self.values["AIRFLOW_PASSWORD"]

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of one statement in GPTWeb's database."""
        with psycopg.connect(self.values["CRM_SYNC_DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def token(self, user: str) -> str:
        """A token of Airflow's API for one of its users."""
        given = {"username": user, "password": self.password}
        reply = requests.post(f"{self.airflow}/auth/token", json=given, timeout=30)
        reply.raise_for_status()
        return str(reply.json()["access_token"])


@contextmanager
def running() -> Iterator[Running]:
    """Start everything, in a folder of its own; takes 20 s, and leaves nothing behind."""
    folder = ROOT / ".local" / f"ui-{os.getpid()}"
    stack = Stack(Settings.load(folder), say=lambda _: None)
    try:
        with stack.alone():
            stack.up({})
        yield Running(env.read(stack.env_file))
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


def forget(running: Running, names: list[str]) -> None:
    """Take connections out again with all that is theirs; the trail refuses deletes, but for a replica's session."""
    with psycopg.connect(running.values["CRM_SYNC_DATABASE_URL"]) as database:
        database.execute("set session_replication_role = replica")
        runs = "select run_id from crm_sync.run where connection = any(%s)"
        database.execute(f"delete from crm_sync.outcome where run_id in ({runs})".encode(), (names,))
        for (table,) in database.execute(TABLES).fetchall():
            mine = sql.SQL("delete from {} where connection = any(%s)").format(
                sql.Identifier("crm_sync", table)
            )
            database.execute(mine, (names,))
        database.execute("delete from crm_sync.connection where name = any(%s)", (names,))


def pictures() -> Path:
    """Where the screenshots of a run are kept, for people to look at."""
    folder = ROOT / ".local" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
