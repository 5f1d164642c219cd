"""A real Postgres for the tests of the sync: one server a session, one migrated database a process, emptied per test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from crm_sync.ledger.migrate import migrate
from stack import postgres

SERVER = "CRM_SYNC_TEST_POSTGRES"
"""The address of a server that runs already: tests that start tests in processes of their own hand theirs on."""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database from which others can be made."""
    if given := os.environ.get(SERVER):
        yield given
        return
    with postgres.temporary(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server.database("postgres")


@pytest.fixture(scope="session")
def migrated_database(postgres_server: str) -> Iterator[str]:
    """This process's own database with the product's schema."""
    name = f"tests_{os.getpid()}"
    identifier = sql.Identifier(name)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(identifier))
    address = postgres_server.rsplit("/", 1)[0] + f"/{name}"
    migrate(address)
    yield address
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(identifier))


@pytest.fixture
def database_url(migrated_database: str) -> str:
    """The database, empty."""
    empty(migrated_database)
    return migrated_database


def empty(url: str) -> None:
    """Remove every row; plain deletes are ten times faster than truncate on tables of a few rows."""
    with psycopg.connect(url) as connection:
        # The audit trail refuses deletes by trigger; a replica's session fires none.
        connection.execute("set session_replication_role = replica")
        for schema, table in connection.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname in ('gptweb', 'crm_sync') and tablename <> 'alembic_version'"
        ).fetchall():
            connection.execute(sql.SQL("delete from {}").format(sql.Identifier(schema, table)))
