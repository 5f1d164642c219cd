"""Case 31 of the field reports: no Modify All Data and no View All Data, only the least set, and everything works.

The org's records belong to somebody else, and the stand-in keeps them from whoever may not see or edit them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from crm_sync.access.transport import MeteredSession
from crm_sync.decide.preflight_rights import RIGHTS
from crm_sync.engine import RunOptions
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database
from crm_sync.provision import Provisioning
from crm_sync.stores.salesforce_schema import SalesforceSchema
from tests.crm_sync.engine.worker import MAPPINGS, engine_on
from tests.crm_sync.preflight.facts import EXPECTED, PROVISIONED
from tests.crm_sync.preflight.org import OBJECT_RIGHTS, TYPES, Org, spoilable_org
from tests.crm_sync.provision.orgs import MemoryLedger

ALL_RIGHTS = (
    "ApiEnabled", "AssignPermissionSets", "BulkApiHardDelete", "ConvertLeads", "CustomizeApplication",
    "EditReadonlyFields", "ManageProfilesPermissionsets", "ManageUsers", "ModifyAllData", "ModifyMetadata",
    "TransferAnyLead", "ViewAllData", "ViewSetup",
)  # fmt: skip
LEAST = {right.name for right in RIGHTS}
BEFORE = replace(EXPECTED, layouts=False)
AFTER = replace(PROVISIONED, layouts=False)
PRIVATE = dict.fromkeys(("DefaultAccountAccess", "DefaultLeadAccess"), "None")
PUBLIC = {"DefaultAccountAccess": "Edit", "DefaultLeadAccess": "ReadEditTransfer"}


@pytest.fixture
def org() -> Iterator[Org]:
    with spoilable_org() as org:
        org.forbid(*(right for right in ALL_RIGHTS if right not in LEAST))
        yield org


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        with database.transaction() as tx:
            settings.connect(tx, "main", "salesforce", {})
        yield database


def provision(session: MeteredSession) -> None:
    stages = Provisioning("main", lambda _run: SalesforceSchema(session), MAPPINGS, MemoryLedger())
    run_id, _report = stages.plan("provision")
    stages.apply(run_id)
    stages.verify(run_id)


def sync(database: Database, session: MeteredSession, number: int) -> str:
    engine = engine_on(database, session)
    run_id = engine.open_run(RunOptions("main", dag_run_id=str(number)))
    for stage in ("pull", "plan", "push_ours", "push_theirs"):
        getattr(engine, stage)(run_id)
    return engine.settle(run_id).state


def rows(url: str, query: bytes) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as client:
        cursor = client.execute(query)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize(
    ("sharing", "taken"),
    [
        (PUBLIC, ("Create", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")),
        (PRIVATE, ()),
    ],
    ids=["public", "private"],
)
def test_the_least_set_provisions_and_syncs_records_of_others(
    org: Org, database: Database, database_url: str, sharing: dict[str, str], taken: tuple[str, ...]
) -> None:
    org.organization(DefaultContactAccess="ControlledByParent", **sharing)
    for type_ in TYPES:
        org.forbid_records(type_, *(right for right in reversed(OBJECT_RIGHTS) if right in taken))
    amiss = [line for line in org.preflight(BEFORE).checks if line.result in ("problem", "not_known")]
    assert amiss == []
    account = org.people.creates("account", name="Acme", website="acme.example")
    theirs = org.people.creates("contact", last_name="Theirs", email="t@acme.example", account_id=account)
    rows(database_url, b"insert into gptweb.contacts (last_name, email) values ('Ours', 'o@acme.example')")
    with org.session() as session:
        provision(session)
        assert sync(database, session, 1) == "succeeded"
        rows(database_url, b"update gptweb.contacts set title = 'Boss' where last_name = 'Theirs'")
        assert sync(database, session, 2) == "succeeded"
        assert sync(database, session, 3) == "succeeded"
    assert rows(database_url, b"select name from gptweb.accounts") == [("Acme",)]
    contacts = org.admin.query("SELECT Id, LastName, Title FROM Contact ORDER BY LastName")
    assert [(row["LastName"], row["Title"]) for row in contacts] == [("Ours", None), ("Theirs", "Boss")]
    assert contacts[1]["Id"] == theirs
    assert rows(database_url, b"select 1 from crm_sync.parked where lifted_at is null") == []


def test_after_provisioning_its_rights_may_be_taken_away_again(
    org: Org, database: Database, database_url: str
) -> None:
    rows(database_url, b"insert into gptweb.leads (last_name, company) values ('Lea', 'Acme')")
    with org.session() as session:
        provision(session)
        org.forbid(*(right.name for right in RIGHTS if right.need != "calls"))
        assert [line for line in org.preflight(AFTER).checks if line.result == "problem"] == []
        assert sync(database, session, 1) == "succeeded"
    assert [row["LastName"] for row in org.admin.query("SELECT LastName FROM Lead")] == ["Lea"]


def test_what_is_private_and_not_opened_is_not_synced_as_preflight_says(
    org: Org, database: Database, database_url: str
) -> None:
    org.organization(DefaultContactAccess="ControlledByParent", **PRIVATE)
    for type_ in TYPES:
        org.forbid_records(type_, "ModifyAllRecords", "ViewAllRecords")
    warned = {line.check for line in org.preflight(BEFORE).checks if line.result == "warning"}
    assert {"records_seen", "records_edited"} <= warned
    org.people.creates("lead", last_name="Hidden", company="Acme")
    with org.session() as session:
        provision(session)
        assert sync(database, session, 1) == "succeeded"
    assert rows(database_url, b"select last_name from gptweb.leads") == []
