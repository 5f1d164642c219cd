"""The pages of connections: all of them as cards, and one with its runs and what a person can do to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from crm_airflow.web import acting
from crm_airflow.web.after import Told, back
from crm_airflow.web.airflow_api import AirflowUser
from crm_airflow.web.forms import Once
from crm_airflow.web.guards import (
    CHANGE,
    READ,
    SIGNED_IN,
    ConnectionName,
    may_add,
    may_change,
    may_read,
    sync_dag,
)
from crm_airflow.web.pages import page
from crm_airflow.web.reading import Reading
from crm_airflow.web.tabs import TABS
from crm_sync.decide.condition import ConditionName
from crm_sync.ledger import overview
from crm_sync.ledger.overview import CHART_RUNS

__all__ = ["router"]

ONE: Final = "/connections/{connection_id}"
STATE_TONES: Final[Mapping[ConditionName, str]] = {
    "healthy": "ok",
    "running": "info",
    "paused": "info",
    "not_provisioned": "info",
    "paused_budget": "warn",
    "waiting_approval": "warn",
    "failing": "bad",
    "reconnect_needed": "bad",
}
TOLD: Final[Mapping[str, str]] = {
    "run": "A run was asked for: Airflow begins it in a moment.",
    "dry": "A dry run was asked for: Airflow begins it in a moment. It writes on neither side; its report says what it would do.",
    "paused": "Paused. A run that is under way comes to its end; no other begins by itself.",
    "disconnected": "Disconnected: the tokens are revoked in Salesforce and wiped here.",
    "wiped": "Disconnected: the tokens are wiped here, but Salesforce did not say that it revoked them. End the grant there, in "
    "Setup under OAuth Usage.",
    "resumed": "Resumed: the next sync begins by itself within a minute.",
}
"""What a page says after something was done, by the word in its address."""
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
"""The runs before this one."""
router = APIRouter(include_in_schema=False)


@router.get("/", dependencies=SIGNED_IN)
def all_connections(request: Request, tx: Reading, user: GetUserDep) -> HTMLResponse:
    """Every connection that the user may read, as a card."""
    views = overview.overviews(tx, [name for name in overview.names(tx) if may_read(name, user)])
    return page(request, "connections.html", views=views, tones=STATE_TONES, adds=may_add(user))


@router.get(ONE, dependencies=READ)
def one_connection(
    request: Request,
    connection_id: ConnectionName,
    tx: Reading,
    user: GetUserDep,
    told: Told,
    before: Before = None,
) -> HTMLResponse:
    """One connection: state, figures, runs, and what a person can do."""
    view = overview.overview(tx, connection_id)
    found = overview.runs(tx, connection_id, CHART_RUNS + 1, before)
    shown = found[:CHART_RUNS]
    under_way = next((run for run in view.runs if run.state == "running"), None)
    progress = overview.progress(tx, connection_id, under_way.run_id) if under_way else None
    waiting = next((run for run in view.runs if run.state == "waiting_approval"), None)
    return page(
        request, "connection.html", view=view, name=connection_id, tab="Overview", tabs=TABS, tones=STATE_TONES,
        dag=sync_dag(connection_id), runs=shown, older=f"?before={shown[-1].run_id}" if len(found) > CHART_RUNS else "", progress=progress, waiting=waiting, told=TOLD.get(told, ""), changes=may_change(connection_id, user),
    )  # fmt: skip


@router.post(f"{ONE}/run", dependencies=CHANGE)
def run_now(
    request: Request,
    connection_id: ConnectionName,
    airflow: AirflowUser,
    once: Once = "",
    *,
    dry_run: Annotated[bool, Form()] = False,
) -> Response:
    """Start a sync, or a dry run."""
    acting.run_now(airflow, connection_id, once, dry_run=dry_run)
    return back(request, connection_id, told="dry" if dry_run else "run")


@router.post(f"{ONE}/pause", dependencies=CHANGE)
def pause(request: Request, connection_id: ConnectionName, user: GetUserDep) -> Response:
    """Let no more syncs begin by themselves."""
    acting.pause(connection_id, user.get_name())
    return back(request, connection_id, told="paused")


@router.post(f"{ONE}/resume", dependencies=CHANGE)
def resume(
    request: Request, connection_id: ConnectionName, user: GetUserDep, airflow: AirflowUser
) -> Response:
    """Let syncs begin by themselves again."""
    acting.resume(airflow, connection_id, user.get_name())
    return back(request, connection_id, told="resumed")


@router.post(f"{ONE}/disconnect", dependencies=CHANGE)
def disconnect(request: Request, connection_id: ConnectionName, user: GetUserDep) -> Response:
    """Give the tokens back and forget them."""
    ended = acting.disconnect(connection_id, user.get_name())
    return back(request, connection_id, told="disconnected" if ended else "wiped")
