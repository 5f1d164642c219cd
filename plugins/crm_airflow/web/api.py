"""The JSON API below /crm-sync/api/v1; the pages read through the same functions, their live parts ask it themselves."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.openapi.utils import get_openapi

from crm_airflow.web import acting, adding, setup
from crm_airflow.web.airflow_api import AirflowUser
from crm_airflow.web.guards import ADD, CHANGE, READ, SIGNED_IN, ConnectionName, may_read, sync_dag
from crm_airflow.web.models import (
    ConnectionModel,
    Connections,
    ProgressModel,
    RunAsked,
    RunModel,
    RunPage,
    RunRequest,
    SetupModel,
)
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_sync.decide.setup import STEP_OF
from crm_sync.ledger import overview

__all__ = ["MOST", "router"]

MOST: Final = 100
BIGGEST: Final = 2**63 - 1
ONE: Final = "/connections/{connection_id}"
Limit = Annotated[int, Query(ge=1, le=MOST, description="Rows of a page")]
Before = Annotated[int | None, Query(ge=1, le=BIGGEST, description="The page after this run")]
router = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


@router.get("/openapi.json", dependencies=SIGNED_IN, include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """The API's description of itself."""
    return _described(request.app, request.scope.get("root_path", ""))


@cache
def _described(app: FastAPI, root: str) -> dict[str, Any]:
    routes = [route for route in app.routes if getattr(route, "path", "").startswith(API)]
    return get_openapi(title="GPTWeb CRM Sync", version="1", routes=routes, servers=[{"url": root}])


@router.get("/connections", dependencies=SIGNED_IN)
def connections(tx: Reading, user: GetUserDep) -> Connections:
    """The connections that you may read, by name."""
    readable = [name for name in overview.names(tx) if may_read(name, user)]
    return Connections(connections=[ConnectionModel.of(view) for view in overview.overviews(tx, readable)])


@router.get(ONE, dependencies=READ)
def connection(connection_id: ConnectionName, tx: Reading) -> ConnectionModel:
    """One connection."""
    return ConnectionModel.of(overview.overview(tx, connection_id))


@router.get(f"{ONE}/setup", dependencies=READ)
def set_up(connection_id: ConnectionName, tx: Reading, airflow: AirflowUser) -> SetupModel:
    """How far its set-up has come."""
    stage = setup.look(tx, airflow, connection_id).stage
    return SetupModel(name=connection_id, state=stage, step=STEP_OF[stage])


@router.post("/connections", dependencies=ADD, status_code=201)
def add(airflow: AirflowUser, wanted: adding.NewConnection) -> ConnectionModel:
    """Make a connection to a Salesforce org."""
    adding.add(airflow, wanted, airflow.user)
    return _now(wanted.name)


@router.get(f"{ONE}/runs", dependencies=READ)
def runs(connection_id: ConnectionName, tx: Reading, before: Before = None, limit: Limit = 30) -> RunPage:
    """Its runs, the newest first."""
    overview.require(tx, connection_id)
    found = overview.runs(tx, connection_id, limit + 1, before)
    shown = found[:limit]
    more = shown[-1].run_id if len(found) > limit else None
    return RunPage(runs=[RunModel.model_validate(run) for run in shown], next_before=more)


@router.get(f"{ONE}/runs/{{run_id}}", dependencies=READ)
def run(
    connection_id: ConnectionName, run_id: Annotated[int, Path(ge=1, le=BIGGEST)], tx: Reading
) -> ProgressModel:
    """One run, and how far it has come."""
    return ProgressModel.of(overview.progress(tx, connection_id, run_id))


@router.post(f"{ONE}/runs", dependencies=CHANGE, status_code=202)
def run_now(connection_id: ConnectionName, airflow: AirflowUser, wanted: RunRequest) -> RunAsked:
    """Ask for a run at once."""
    with writing() as tx:
        overview.require(tx, connection_id)
    asked = acting.run_now(airflow, connection_id, wanted.once, dry_run=wanted.dry_run)
    return RunAsked(dag_id=sync_dag(connection_id), dag_run_id=asked)


@router.post(f"{ONE}/pause", dependencies=CHANGE)
def pause(connection_id: ConnectionName, user: GetUserDep) -> ConnectionModel:
    """Let no more syncs begin by themselves."""
    acting.pause(connection_id, user.get_name())
    return _now(connection_id)


@router.post(f"{ONE}/disconnect", dependencies=CHANGE)
def disconnect(connection_id: ConnectionName, user: GetUserDep) -> ConnectionModel:
    """Revoke and wipe its tokens; its sentence then says so."""
    acting.disconnect(connection_id, user.get_name())
    return _now(connection_id)


@router.post(f"{ONE}/resume", dependencies=CHANGE)
def resume(connection_id: ConnectionName, user: GetUserDep, airflow: AirflowUser) -> ConnectionModel:
    """Let syncs begin by themselves again."""
    acting.resume(airflow, connection_id, user.get_name())
    return _now(connection_id)


def _now(connection_id: str) -> ConnectionModel:
    with writing() as tx:
        return ConnectionModel.of(overview.overview(tx, connection_id))
