"""What the sync did: changes, found by person, record, run, field and time."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.web.guards import READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading
from crm_airflow.web.searching import Searched
from crm_airflow.web.tabs import TABS
from crm_sync.errors import SyncError
from crm_sync.ledger import activity, settings
from crm_sync.ledger.database import Transaction
from crm_sync.model import Value

__all__ = ["BIGGEST", "ONE", "SHOWN", "Before", "api", "columns", "older", "org_address", "router"]

ONE: Final = "/connections/{connection_id}"
SHOWN: Final = 30
BIGGEST: Final = 2**63 - 1
Before = Annotated[int | None, Query(ge=1, le=BIGGEST, description="The page after this change")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class FieldChangeModel(BaseModel):
    """One field of a change."""

    model_config = ConfigDict(from_attributes=True)

    field: str
    before: Value
    after: Value
    base: Value = Field(description="What both sides last agreed on")
    rule: str = Field(description="What decided it")
    conflict: bool = Field(description="Both sides had changed it")
    outcome: str | None = Field(description="null: nothing became of it yet")
    detail: str | None


class ChangeModel(BaseModel):
    """One record's change on one side."""

    model_config = ConfigDict(from_attributes=True)

    change_id: int
    run_id: int
    at: datetime | None
    object: str
    our_id: str
    their_id: str | None
    side: str = Field(description="The side that was written")
    op: str
    batch: str | None = Field(description="The call or job that carried it")
    calls: float | None = Field(description="Its share of the API calls")
    erased: bool = Field(description="A person's values were removed on demand")
    fields: list[FieldChangeModel]


class ChangePage(BaseModel):
    """Changes, the newest first."""

    changes: list[ChangeModel]
    next_before: int | None = Field(
        description="Give it as `before` for the next page; null: there are no more"
    )


@router.get(f"{ONE}/activity", dependencies=READ)
def show(
    request: Request,
    connection_id: ConnectionName,
    tx: Reading,
    user: GetUserDep,
    searched: Searched,
    before: Before = None,
) -> HTMLResponse:
    """Changes, the newest first, and the form to look for some."""
    settings.load(tx, connection_id)
    found = activity.changes(tx, connection_id, searched.wanted(tx, connection_id), SHOWN + 1, before)
    return page(
        request, "activity.html", name=connection_id, tab="Activity", tabs=TABS, searched=searched, found=found[:SHOWN],
        older=older(found, searched.query), org=org_address(connection_id), fields=columns(tx, connection_id),
        query=urlencode(searched.query), changes=may_change(connection_id, user),
    )  # fmt: skip


@api.get(f"{ONE}/changes", dependencies=READ)
def changes(
    connection_id: ConnectionName,
    tx: Reading,
    searched: Searched,
    before: Before = None,
    *,
    conflicts: bool = False,
) -> ChangePage:
    """Changes, the newest first, of one person, record, run, field or time; or only those with a conflict."""
    settings.load(tx, connection_id)
    wanted = searched.wanted(tx, connection_id, conflicts=conflicts)
    found = activity.changes(tx, connection_id, wanted, SHOWN + 1, before)
    more = found[SHOWN - 1].change_id if len(found) > SHOWN else None
    return ChangePage(changes=[ChangeModel.model_validate(one) for one in found[:SHOWN]], next_before=more)


def columns(tx: Transaction, name: str) -> list[str]:
    """Our fields that the connection maps, of all objects, by name."""
    return sorted(
        {column for mapping in settings.load(tx, name).mappings.values() for column in mapping.columns}
    )


def older(found: list[activity.RecordChange], query: dict[str, Any]) -> str:
    """The query of the next page; blank where this is the last one."""
    return "" if len(found) <= SHOWN else "?" + urlencode({**query, "before": found[SHOWN - 1].change_id})


def org_address(name: str) -> str:
    """Where records are looked at in the CRM; blank where the Airflow connection does not say."""
    with suppress(SyncError):
        return CrmSyncHook(name).endpoint().app.address
    return ""
