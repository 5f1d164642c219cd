"""Stages of a run in a process of its own, as an Airflow worker would run them: what a test can kill."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.engine import Engine
from crm_sync.ledger.database import Database
from crm_sync.mapping_files import load_mappings
from crm_sync.stores.salesforce import SalesforceStore
from tests.crm_sync.provision.standin import CLIENT
from tests.crm_sync.stores.standin import CountingMeter

__all__ = ["STAGES", "engine_on"]

STAGES = ("pull", "plan", "push_ours", "push_theirs")
MAPPINGS = load_mappings("salesforce")


def engine_on(database: Database, session: MeteredSession, later: timedelta = timedelta(0)) -> Engine:
    """An engine against the org behind ``session``; for its leases it is ``later`` than it is."""
    return Engine(
        database, MAPPINGS, lambda _connection, _run: SalesforceStore(session, MAPPINGS, lambda: identity(session).user_id),
        now=lambda: datetime.now(UTC) + later, sleep=lambda _seconds: None,
    )  # fmt: skip


def main(url: str, org: str, run_id: str, *stages: str) -> None:
    """Run the stages."""
    database = Database(url)
    endpoint = OAuthEndpoint(App(org, CLIENT["client_id"], CLIENT["client_secret"]))
    login = MemoryLogin(lambda: endpoint.fetch().session)
    with MeteredSession(login, CountingMeter(), sleep=lambda _seconds: None) as session:
        engine = engine_on(database, session)
        for stage in stages:
            getattr(engine, stage)(int(run_id))
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
