"""The page of who is told when the state of a connection changes: by mail or webhook, of what, after which patience; and the trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web import mail_server
from crm_airflow.web.after import Told, back
from crm_airflow.web.airflow_api import Airflow, AirflowUser
from crm_airflow.web.alert_targets import keep_address, put, remove, send_trial, target_of, to
from crm_airflow.web.forms import Sent
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_add, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.settings import store
from crm_airflow.web.settings_form import STALLED, entered, entries, mistakes
from crm_airflow.web.settings_words import STALL
from crm_airflow.web.tabs import TABS
from crm_sync.decide.alerts import EVENTS, AlertTarget, Webhook
from crm_sync.decide.settings import Settings
from crm_sync.errors import Misconfigured, Missing, SyncError
from crm_sync.ledger import settings

__all__ = ["api", "router"]

ALERTS: Final = "/connections/{connection_id}/alerts"
TOLD: Final[Mapping[str, str]] = {
    "stored": "Stored. The next message goes by it.",
    "removed": "Taken out: no message goes there any more.",
    "sent": "The test message was sent: look whether it has arrived.",
    "server": "Stored. Send a test message to see whether the mail server takes it.",
}
NOBODY: Final[Mapping[str, Any]] = {
    "via": "",
    "to": "",
    "conn_id": "",
    "instead_of": "",
    "events": tuple(EVENTS),
}
"""The empty forms."""
Key = Annotated[str, Form(max_length=20_000)]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class Trial(BaseModel):
    """Which of those who are told gets a test message."""

    model_config = ConfigDict(extra="forbid")

    target: int = Field(ge=0, le=9, description="Its place in the setting alerts, from 0 on")


class Tried(BaseModel):
    """A test message left."""

    sent: str = Field(description="To whom")


@router.get(ALERTS, dependencies=READ)
def show(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, airflow: AirflowUser, told: Told, change: str = "",
) -> HTMLResponse:  # fmt: skip
    """Who is told of what, and the forms to change it."""
    found = settings.load(tx, connection_id).settings
    chosen = next((one for one in found.alerts if one.key == change), None)
    return _page(request, connection_id, user, airflow, found, _shown(chosen), told=TOLD.get(told, ""))


@router.post(ALERTS, dependencies=CHANGE)
def change(
    request: Request, connection_id: ConnectionName, user: GetUserDep, airflow: AirflowUser, sent: Sent
) -> Response:
    """Tell somebody, new or otherwise than before."""
    try:
        target = target_of(sent)
        if isinstance(target, Webhook):
            keep_address(airflow, connection_id, target.conn_id, sent)
        put(connection_id, target, sent.get("instead_of", ""), user.get_name())
    except SyncError as error:
        with writing() as tx:
            found = settings.load(tx, connection_id).settings
        shown = {**NOBODY, **sent, "events": sent.every("events")}
        return _page(request, connection_id, user, airflow, found, shown, problem=str(error))
    return back(request, connection_id, "/alerts", told="stored")


@router.post(f"{ALERTS}/remove", dependencies=CHANGE)
def take_out(request: Request, connection_id: ConnectionName, user: GetUserDep, target: Key) -> Response:
    """Tell somebody no more."""
    remove(connection_id, target, user.get_name())
    return back(request, connection_id, "/alerts", told="removed")


@router.post(f"{ALERTS}/try", dependencies=CHANGE)
def try_out(
    request: Request, connection_id: ConnectionName, user: GetUserDep, airflow: AirflowUser, target: Key
) -> Response:
    """Send a test message."""
    with writing() as tx:
        found = settings.load(tx, connection_id).settings
    chosen = next((one for one in found.alerts if one.key == target), None)
    if chosen is None:
        raise Misconfigured("Somebody has changed that line meanwhile: open the page again.")
    try:
        send_trial(connection_id, chosen, user.get_name())
    except SyncError as error:
        return _page(request, connection_id, user, airflow, found, _shown(None), problem=str(error))
    return back(request, connection_id, "/alerts", told="sent")


@router.post(f"{ALERTS}/patience", dependencies=CHANGE)
def patience(
    request: Request, connection_id: ConnectionName, user: GetUserDep, airflow: AirflowUser, sent: Sent
) -> Response:
    """After how long a sync counts as stalled."""
    wanted = entered(sent, STALLED)
    with writing() as tx:
        found = settings.load(tx, connection_id).settings
    if wrong := mistakes({**found.model_dump(mode="json"), **wanted}):
        return _page(
            request,
            connection_id,
            user,
            airflow,
            found,
            _shown(None),
            stall=sent.get(STALL.name, ""),
            wrong=wrong,
        )
    store(connection_id, wanted, None, user.get_name())
    return back(request, connection_id, "/alerts", told="stored")


@api.post(f"{ALERTS}/try", dependencies=CHANGE)
def try_one(connection_id: ConnectionName, user: GetUserDep, wanted: Trial) -> Tried:
    """Send a test message to one of those whom the setting `alerts` names."""
    with writing() as tx:
        targets = settings.load(tx, connection_id).settings.alerts
    if wanted.target >= len(targets):
        raise Missing(
            f"connection {connection_id} tells {len(targets)} targets: there is no number {wanted.target}"
        )
    send_trial(connection_id, targets[wanted.target], user.get_name())
    return Tried(sent=to(targets[wanted.target]))


def _shown(target: AlertTarget | None) -> dict[str, Any]:
    if target is None:
        return {**NOBODY}
    kept = target.model_dump(mode="json")
    shown = {
        "to": "\n".join(kept.get("to", ())),
        "events": target.events or tuple(EVENTS),
        "instead_of": target.key,
    }
    return {**NOBODY, **kept, **shown}


def _page(
    request: Request, name: str, user: Any, airflow: Airflow, found: Settings, entered: Mapping[str, Any],
    problem: str = "", told: str = "", stall: str | None = None, wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:  # fmt: skip
    shown = {STALL.name: found.stall_minutes if stall is None else stall}
    changes = may_change(name, user)
    return page(
        request, "alerts.html", status=409 if problem or wrong else 200, name=name, tab="Settings", part="Alerts", tabs=TABS,
        targets=found.alerts, events=EVENTS, entered=entered, problem=problem, told=told, wrong=wrong or {}, to=to,
        stall=entries(shown, [STALL], wrong)[0], changes=changes, server=mail_server.shown(airflow) if changes and may_add(user) else None,
        encryptions=mail_server.ENCRYPTION_WORDS,
    )  # fmt: skip
