"""The database's own version is looked at before its schema is touched."""

from __future__ import annotations

import psycopg
import pytest

from crm_sync.errors import Misconfigured
from crm_sync.ledger.migrate import migrate, require_postgres


def test_an_older_postgres_is_refused_with_what_is_needed() -> None:
    with pytest.raises(Misconfigured, match="runs on Postgres 16; CRM Sync needs 17 or newer"):
        require_postgres(160_009)
    require_postgres(170_000)


def test_a_database_that_is_new_enough_is_migrated_again_without_harm(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("insert into gptweb.contacts (email) values ('ann@example.com')")
    before = state(database_url)
    migrate(database_url)
    assert state(database_url) == before


def state(url: str) -> tuple[object, ...]:
    """The revision, and the records."""
    query = """select (select array_agg(version_num) from alembic_version),
      (select array_agg(to_jsonb(c)) from gptweb.contacts c)"""
    with psycopg.connect(url) as connection:
        ((revision, records),) = connection.execute(query).fetchall()
    assert records, "the record is there"
    return revision, records
