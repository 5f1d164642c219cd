"""Preflight's place in the ledger: its reports, and what a connection is going to do, as preflight has to know it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.preflight_facts import Expectations
from crm_sync.decide.preflight_line import CheckLine
from crm_sync.decide.schema_diff import wanted_fields
from crm_sync.decide.settings import MINUTES
from crm_sync.ledger.database import Database, Jsonb, Transaction
from crm_sync.ledger.settings import Connection
from crm_sync.model import Object
from crm_sync.preflight_report import PreflightReport

__all__ = ["SqlPreflightLedger", "newest"]


class SqlPreflightLedger:
    """``preflight.PreflightLedger`` on Postgres, each call one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expectations(self, connection: Connection, mappings: Mapping[Object, ObjectMapping]) -> Expectations:
        """What the connection's settings and mappings ask of the org, and its calls of the last 24 hours."""
        chosen = connection.settings
        pushes = chosen.direction != "pull"
        with self._database.transaction() as tx:
            spent = tx.one(
                "select count(*) from crm_sync.spending where connection = %s "
                "and booked_at > clock_timestamp() - interval '24 hours'",
                (connection.name,),
            )
        return Expectations(
            connection=connection.name,
            wanted=wanted_fields(mappings),
            creates=frozenset(name for name in mappings if pushes and chosen.creates(name)),
            every=timedelta(minutes=MINUTES[chosen.frequency]),
            daily_calls=chosen.daily_calls,
            spent=spent,
            provisioned=connection.provisioned_at is not None,
            layouts=chosen.provisioning.layouts,
            deletes=pushes and chosen.our_archive == "delete",
        )

    def keep(self, report: PreflightReport) -> None:
        """Keep a report; it is never changed."""
        with self._database.transaction() as tx:
            tx.run(
                "insert into crm_sync.preflight (connection, possible, counts, checks) values (%s, %s, %s, %s)",
                (report.connection, report.possible, Jsonb(report.counts), Jsonb(report.as_json())),
            )

    def newest(self, connection: str) -> PreflightReport | None:
        """The newest report of a connection."""
        with self._database.transaction() as tx:
            return newest(tx, connection)


def newest(tx: Transaction, connection: str) -> PreflightReport | None:
    """The newest report of a connection."""
    rows = tx.rows(
        "select checks, counts, at from crm_sync.preflight where connection = %s order by preflight_id desc limit 1",
        (connection,),
    )
    if not rows:
        return None
    checks, counts, at = rows[0]
    return PreflightReport(connection, tuple(CheckLine(**line) for line in checks), counts["api_calls"], at)
