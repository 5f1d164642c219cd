"""The database's own version is looked at before its schema is touched."""

from __future__ import annotations

import pytest

from crm_sync.errors import Misconfigured
from crm_sync.ledger.migrate import migrate, require_postgres


def test_an_older_postgres_is_refused_with_what_is_needed() -> None:
    with pytest.raises(Misconfigured, match="runs on Postgres 16; CRM Sync needs 17 or newer"):
        require_postgres(160_009)
    require_postgres(170_000)


def test_a_database_that_is_new_enough_is_migrated_again_without_harm(database_url: str) -> None:
    migrate(database_url)
