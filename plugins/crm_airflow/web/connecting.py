"""The routes of a log-in: an administrator's browser goes to the CRM's page and comes back with a code, or presses a button."""

from __future__ import annotations

import secrets
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from crm_airflow.hooks import connect_hook
from crm_airflow.web.addresses import CALLBACK, callback_url, cookie_path, public_url
from crm_airflow.web.guards import CHANGE, OPEN, ConnectionName
from crm_airflow.web.pages import page
from crm_sync.errors import Misconfigured, SyncError

__all__ = ["router"]

COOKIE: Final = "crm_sync_state"
CONNECT: Final = "/connections/{connection_id}/connect"
router = APIRouter(include_in_schema=False)


@router.get(CONNECT, dependencies=OPEN)
def connect(request: Request, connection_id: ConnectionName) -> Response:
    """Send the browser to the CRM's log-in page; where the grant needs no browser, show the button that logs in."""
    try:
        address = public_url()
        started = connect_hook.begin(connection_id, callback_url())
    except SyncError as error:
        return _problem(request, error)
    if started is None:
        return page(request, "log_in.html", connection=connection_id)
    reply = RedirectResponse(
        started.url, status_code=303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
    # Who comes back has to be who was sent: the state alone could be somebody else's who was talked into a click.
    reply.set_cookie(
        COOKIE,
        started.state,
        max_age=600,
        path=cookie_path(),
        httponly=True,
        samesite="lax",
        secure=address.startswith("https"),
    )
    return reply


@router.post(CONNECT, dependencies=CHANGE)
def log_in(request: Request, connection_id: ConnectionName) -> HTMLResponse:
    """Log in by a grant that needs no browser; only our own page's button may ask for it."""
    try:
        return page(request, "connected.html", connected=connect_hook.log_in(connection_id))
    except SyncError as error:
        return _problem(request, error)


@router.get(CALLBACK)
def callback(
    request: Request,
    state: str = "",
    code: str = "",
    error: str = "",
    error_description: str = "",
) -> HTMLResponse:
    """Take the browser back; open to anyone, and good only for who brings the state of a log-in that was begun here."""
    request.scope["query_string"] = b""  # whoever logs the request after us shall not have the code
    try:
        if not state or not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), state.encode()):
            raise Misconfigured(
                "this browser did not begin this log-in, or more than ten minutes ago: begin again, in one browser, and "
                f"at the address {public_url()}, to which the CRM sends you back"
            )
        reply = page(
            request, "connected.html", connected=connect_hook.finish(state, code, error, error_description)
        )
    except SyncError as problem:
        reply = _problem(request, problem)
    reply.delete_cookie(COOKIE, path=cookie_path())
    return reply


def _problem(request: Request, error: SyncError) -> HTMLResponse:
    return page(request, "problem.html", status=400, problem=str(error), heading="Not connected")
