"""One provisioned org a process; every test begins with both sides empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from crm_sync.ledger.database import Database
from tests.crm_sync.stores.standin import StandinOrg, standin_org

pytest.register_assert_rewrite("tests.crm_sync.engine.cases.office")

from tests.crm_sync.engine.cases.office import Office  # noqa: E402


@pytest.fixture(scope="session")
def case_org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        yield org


@pytest.fixture
def office(case_org: StandinOrg, database_url: str) -> Iterator[Office]:
    """A connection that lets the CRM win, sees records at once, and knows nobody."""
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):
        office = Office(case_org, database_url, database, client)
        office.connect(conflict_policy="crm_wins")
        yield office
    case_org.people.mends()
    case_org.people.ask("POST", "/standin/clock", json={"offset": 0, "frozen": False})
    for type_ in ("Contact", "Lead", "Account"):
        case_org.people.empties(type_)
