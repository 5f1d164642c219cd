"""The reports of reconciliations: a page that is whole in itself, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from crm_airflow.web import acting
from crm_airflow.web.after import Told, back
from crm_airflow.web.airflow_api import AirflowUser
from crm_airflow.web.forms import Once
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change, reconcile_dag
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading
from crm_airflow.web.tabs import TABS
from crm_sync.ledger import overview, reconciliation
from crm_sync.ledger.database import Transaction

__all__ = ["api", "router"]

REPORTS: Final = "/connections/{connection_id}/reconciliations"
ONE: Final = REPORTS + "/{run_id}"
MOST: Final = 30
TOLD: Final[Mapping[str, str]] = {"asked": "A reconciliation was asked for: Airflow begins it in a moment."}
HEADERS: Final = {
    # Its own styles stand in the page, as a saved copy needs them; nothing else is let in.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
RunId = Annotated[int, Path(ge=1, le=2**63 - 1, description="The reconciliation's run")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


@router.get(REPORTS, dependencies=READ)
def all_reports(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, told: Told
) -> HTMLResponse:
    """The last reconciliations, the newest first, each with its verdict, and the button that starts one."""
    overview.require(tx, connection_id)
    return page(
        request, "reconciliations.html", name=connection_id, tab="Reconciliation", tabs=TABS, found=_history(tx, connection_id),
        changes=may_change(connection_id, user), told=TOLD.get(told, ""),
        dag=reconcile_dag(connection_id),
    )  # fmt: skip


@router.post(REPORTS, dependencies=CHANGE)
def reconcile(
    request: Request, connection_id: ConnectionName, airflow: AirflowUser, once: Once = ""
) -> Response:
    """Compare both sides completely, now."""
    acting.reconcile(airflow, connection_id, once)
    return back(request, connection_id, "/reconciliations", told="asked")


@router.get(ONE, dependencies=READ)
def report(request: Request, connection_id: ConnectionName, run_id: RunId, tx: Reading) -> HTMLResponse:
    """One report with charts and samples."""
    from crm_sync import reconciliation_report  # noqa: PLC0415  pandas is loaded by who asks for it

    found = reconciliation.load(tx, connection_id, run_id)
    past = reconciliation.history(tx, connection_id, run_id, reconciliation_report.HISTORY)
    back = f"{request.scope.get('root_path', '')}/connections/{connection_id}/reconciliations"
    return HTMLResponse(reconciliation_report.page(found, past, back), headers=HEADERS)


@api.get(REPORTS, dependencies=READ)
def reports(connection_id: ConnectionName, tx: Reading) -> list[dict[str, Any]]:
    """The figures of the last reconciliations, the newest first, without samples."""
    return _history(tx, connection_id)


@api.get(ONE, dependencies=READ)
def figures(connection_id: ConnectionName, run_id: RunId, tx: Reading) -> dict[str, Any]:
    """The figures of one reconciliation, with samples."""
    return reconciliation.load(tx, connection_id, run_id)


def _history(tx: Transaction, connection: str) -> list[dict[str, Any]]:
    newest = reconciliation.latest(tx, connection)
    return [] if newest is None else reconciliation.history(tx, connection, newest, MOST)[::-1]
