"""The page of one run: its sums, its plan and what became of it, the question where it waits for a person, and its undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from crm_airflow.web import acting
from crm_airflow.web.activity import BIGGEST, ONE, SHOWN, Before, older, org_address
from crm_airflow.web.after import Told, back
from crm_airflow.web.airflow_api import AirflowUser
from crm_airflow.web.forms import Once
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, in_airflow, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.ledger import activity, overview, questions
from crm_sync.ledger.activity import Wanted
from crm_sync.model import OBJECTS

__all__ = ["router"]

TOLD: Final[Mapping[str, str]] = {
    "undo": "The undo was asked for. In a moment it stands here: it says what it would take back, and waits for your answer.",
    "approved": "You approved the plan: the run goes on with it by itself.",
    "rejected": "You rejected the plan: the run ends, and nothing of it is carried out.",
}
RunId = Annotated[int, Path(ge=1, le=BIGGEST)]
router = APIRouter(include_in_schema=False)


@router.get(f"{ONE}/runs/{{run_id}}", dependencies=READ)
def one_run(
    request: Request, connection_id: ConnectionName, run_id: RunId, tx: Reading, user: GetUserDep, told: Told,
    before: Before = None,
) -> HTMLResponse:  # fmt: skip
    """One run: its sums, its plan, and what became of it."""
    progress = overview.progress(tx, connection_id, run_id)
    run = progress.run
    found = activity.changes(tx, connection_id, Wanted(run_id=run_id), SHOWN + 1, before)
    asked = questions.newest(tx, connection_id, run_id)
    return page(
        request, "run.html", name=connection_id, tab="Activity", tabs=TABS, run=run, progress=progress,
        found=found[:SHOWN], older=older(found, {}), org=org_address(connection_id), airflow_run=in_airflow(connection_id, run.dag_run_id) if run.dag_run_id else None,
        changes=may_change(connection_id, user), told=TOLD.get(told, ""), asked=asked, objects=OBJECTS,
        waits=run.state == "waiting_approval" and asked is not None and asked.answer is None,
        answered=told in {"approved", "rejected"}, undos=overview.undos(tx, connection_id, run_id),
        mark=overview.overview(tx, connection_id).mark if told == "undo" else "",
    )  # fmt: skip


@router.post(f"{ONE}/runs/{{run_id}}/undo", dependencies=CHANGE)
def undo(
    request: Request, connection_id: ConnectionName, run_id: RunId, airflow: AirflowUser, once: Once = ""
) -> Response:
    """Ask for the undo of a run."""
    with writing() as tx:
        overview.run(tx, connection_id, run_id)
    acting.undo(airflow, connection_id, run_id, once)
    return back(request, connection_id, f"/runs/{run_id}", told="undo")
