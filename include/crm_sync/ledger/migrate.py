"""Brings the database's schema to the newest revision, once at a time."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

__all__ = ["migrate"]

LOCK = 7_272_026  # any number of ours: two migrations at once wait for each other


def migrate(url: str, revision: str = "head") -> None:
    """Run all revisions that the database lacks, up to this one."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
