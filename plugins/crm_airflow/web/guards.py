"""Who may: a guard for each kind of route.  Every route has one of them, or stands in the list of exemptions.

Reading asks for read access to the connection's DAG; changing for PUT on the Airflow connection of the same name.  A route
that changes anything also asks that the request came from a page of ours, because browsers send Airflow's cookie along.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagDetails
from airflow.api_fastapi.core_api.security import (
    GetUserDep,
    requires_access_connection,
    requires_access_dag,
    requires_authenticated,
)
from fastapi import Depends, HTTPException, Path, Request

__all__ = [
    "ADD",
    "ASK",
    "CHANGE",
    "EXEMPT",
    "GUARDS",
    "OPEN",
    "READ",
    "SIGNED_IN",
    "ConnectionName",
    "in_airflow",
    "may_add",
    "may_change",
    "may_read",
    "preflight_dag",
    "provision_dag",
    "reconcile_dag",
    "same_origin",
    "sync_dag",
    "undo_dag",
]

NAME: Final = "^[a-z][a-z0-9_]{0,49}$"
ConnectionName = Annotated[str, Path(pattern=NAME, description="The name of a connection")]
EXEMPT: Final = frozenset({"/oauth/callback"})
"""Open to anyone, and checked by what it brings: the state of a log-in that was begun here."""


def sync_dag(connection_id: str) -> str:
    """The DAG whose readers may read the connection."""
    return f"crm_sync__{connection_id}"


def preflight_dag(connection_id: str) -> str:
    """The DAG that checks the connection's org."""
    return f"crm_preflight__{connection_id}"


def provision_dag(connection_id: str) -> str:
    """The DAG that prepares the connection's org."""
    return f"crm_provision__{connection_id}"


def reconcile_dag(connection_id: str) -> str:
    """The DAG that compares the connection's two sides completely."""
    return f"crm_reconcile__{connection_id}"


def undo_dag(connection_id: str) -> str:
    """The DAG that takes back what the connection's runs wrote."""
    return f"crm_undo__{connection_id}"


def in_airflow(connection_id: str, dag_run_id: str) -> tuple[str, str]:
    """The DAG and its run, from how the ledger names them: the run of another DAG than the sync's has that before it."""
    dag_id, _, run_id = dag_run_id.rpartition("/")
    return dag_id or sync_dag(connection_id), run_id


def may_change(connection_id: str, user: Any) -> bool:
    """Whether a page shows this user the buttons that ``CHANGE`` guards."""
    details = ConnectionDetails(conn_id=connection_id)
    return bool(get_auth_manager().is_authorized_connection(method="PUT", details=details, user=user))


def may_add(user: Any) -> bool:
    """Whether a page shows this user the way to ``ADD``."""
    return bool(get_auth_manager().is_authorized_connection(method="POST", user=user))


def may_read(connection_id: str, user: Any) -> bool:
    """Whether a list may show this user the connection."""
    details = DagDetails(id=sync_dag(connection_id))
    return bool(get_auth_manager().is_authorized_dag(method="GET", details=details, user=user))


def _read(connection_id: ConnectionName, request: Request, user: GetUserDep) -> None:
    requires_access_dag("GET", param_dag_id=sync_dag(connection_id))(request, user)


def same_origin(request: Request) -> None:
    """Refuse what another site made the browser send; a client that shows a token of its own is no browser."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site"), urlsplit(headers.get("origin", "")).netloc
    # Browsers set the first themselves; over plain http, from another machine, they only say the second, with every form.
    if site == "same-origin":
        return
    if site is None and origin and origin == headers.get("host"):
        return
    if site is None and not origin and headers.get("authorization", "").lower().startswith("bearer "):
        return
    raise HTTPException(
        403, "This was not asked for by a page of CRM Sync: open the page and press its button."
    )


def _without_body(request: Request) -> Request:
    """With teams ([core] multi_team) Airflow reads of a change which team it moves the connection to: ours move none, and are forms."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    return Request(request.scope, receive)


async def _change(request: Request, user: GetUserDep) -> None:
    await requires_access_connection("PUT")(_without_body(request), user)


async def _add(request: Request, user: GetUserDep) -> None:
    await requires_access_connection("POST")(_without_body(request), user)


_signed_in = requires_authenticated()

GUARDS: Final = frozenset({_signed_in, _read, _change, _add})
SIGNED_IN: Final = [Depends(_signed_in)]
READ: Final = [Depends(_read)]
OPEN: Final = [Depends(_change)]
"""A page that leads to a change, or sends the browser away to one: for the same people, from wherever they come."""
ASK: Final = [Depends(_read), Depends(same_origin)]
"""A form whose answer is a page: for who may read."""
CHANGE: Final = [Depends(_change), Depends(same_origin)]
ADD: Final = [Depends(_add), Depends(same_origin)]
ASK_TO_ADD: Final = [Depends(_add)]
"""The page with the form whose sending ``ADD`` guards."""
