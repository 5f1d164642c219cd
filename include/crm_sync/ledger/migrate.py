"""Brings the database's schema to the newest revision, once at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from crm_sync.errors import Misconfigured

__all__ = ["migrate", "require_postgres"]

LOCK = 7_272_026  # any number of ours: two migrations at once wait for each other
OLDEST = 17
"""The first Postgres that knows the right to analyse a table (``maintain``), which the application's role is given."""


def migrate(url: str, revision: str = "head") -> None:
    """Run all revisions that the database lacks, up to this one; Misconfigured on a Postgres that is too old."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        require_postgres(int(connection.execute(text("show server_version_num")).scalar_one()))
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def require_postgres(number: int) -> None:
    """Misconfigured unless the server, by its ``server_version_num``, is new enough."""
    if number // 10_000 < OLDEST:
        raise Misconfigured(
            f"GPTWeb's database runs on Postgres {number // 10_000}; CRM Sync needs {OLDEST} or newer: upgrade it first"
        )
