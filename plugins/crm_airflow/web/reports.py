"""The reports of reconciliations: a page that is whole in itself, and the same as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from crm_airflow.web.guards import READ, ConnectionName
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading
from crm_sync.errors import Missing
from crm_sync.ledger import reconciliation

__all__ = ["api", "router"]

REPORTS: Final = "/connections/{connection_id}/reconciliations"
ONE: Final = REPORTS + "/{run_id}"
MOST: Final = 30
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
def latest(request: Request, connection_id: ConnectionName, tx: Reading) -> RedirectResponse:
    """The newest report."""
    run_id = reconciliation.latest(tx, connection_id)
    if run_id is None:
        raise Missing(
            f"{connection_id} was never reconciled: trigger crm_reconcile__{connection_id} in Airflow"
        )
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/connections/{connection_id}/reconciliations/{run_id}", 303)


@router.get(ONE, dependencies=READ)
def report(request: Request, connection_id: ConnectionName, run_id: RunId, tx: Reading) -> HTMLResponse:
    """One report with charts and samples."""
    from crm_sync.reconciliation_report import HISTORY, page  # noqa: PLC0415  pandas is loaded by who asks for it

    found = reconciliation.load(tx, connection_id, run_id)
    past = reconciliation.history(tx, connection_id, run_id, HISTORY)
    back = f"{request.scope.get('root_path', '')}/connections/{connection_id}"
    return HTMLResponse(page(found, past, back), headers=HEADERS)


@api.get(REPORTS, dependencies=READ)
def reports(connection_id: ConnectionName, tx: Reading) -> list[dict[str, Any]]:
    """The figures of the last reconciliations, the newest first, without samples."""
    newest = reconciliation.latest(tx, connection_id)
    return [] if newest is None else reconciliation.history(tx, connection_id, newest, MOST)[::-1]


@api.get(ONE, dependencies=READ)
def figures(connection_id: ConnectionName, run_id: RunId, tx: Reading) -> dict[str, Any]:
    """The figures of one reconciliation, with samples."""
    return reconciliation.load(tx, connection_id, run_id)
