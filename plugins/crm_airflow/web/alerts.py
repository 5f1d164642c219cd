"""Who is told when the state of a connection changes: mail and webhooks, each with what it is told of, and a message to try it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast
from urllib.parse import urlsplit, urlunsplit

import orjson
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from crm_airflow.alerts.targets import notifier_for
from crm_airflow.alerts.webhook import trusted
from crm_airflow.web.after import Told, back
from crm_airflow.web.airflow_api import Airflow, AirflowUser
from crm_airflow.web.forms import Sent, SentForm
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_add, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.settings import store
from crm_airflow.web.settings_form import STALLED, entered, entries, mistakes
from crm_airflow.web.settings_words import STALL
from crm_airflow.web.tabs import TABS
from crm_sync.decide.alerts import EVENTS, AlertTarget, Mail, Webhook, trial
from crm_sync.decide.settings import Settings
from crm_sync.errors import Misconfigured, Missing, RetryLater, SyncError
from crm_sync.ledger import lifecycle, settings, settings_history
from crm_sync.ledger.database import Transaction

__all__ = ["api", "router"]

ALERTS: Final = "/connections/{connection_id}/alerts"
SMTP: Final = "smtp_default"
ENCRYPTION: Final = {
    "starttls": ("STARTTLS, usually port 587", {"disable_ssl": True, "disable_tls": False}),
    "ssl": ("TLS from the beginning, usually port 465", {"disable_ssl": False, "disable_tls": True}),
    "none": (
        "None: only for a server on this machine or network",
        {"disable_ssl": True, "disable_tls": True},
    ),
}
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
TARGET: Final[TypeAdapter[AlertTarget]] = TypeAdapter(AlertTarget)
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class Trial(BaseModel):
    """Which of those who are told gets a test message."""

    model_config = ConfigDict(extra="forbid")

    target: int = Field(ge=0, le=9, description="Its place in the setting alerts, from 0 on")


class Tried(BaseModel):
    """A test message left."""

    sent: str = Field(description="To whom")


def put(connection: str, target: AlertTarget, instead_of: str, who: str) -> None:
    """Tell somebody new, or somebody otherwise than before."""
    with writing() as tx:
        present = _locked(tx, connection)
        kept = [one for one in present if one.key != instead_of]
        if instead_of and len(kept) == len(present):
            raise Misconfigured("Somebody has changed or removed this line meanwhile: open the page again.")
        if any(one.key == target.key for one in kept):
            raise Misconfigured(f"{_to(target)} is told already: change that line instead.")
        _store(tx, connection, [*kept, target], who)


def remove(connection: str, key: str, who: str) -> None:
    """Tell somebody no more."""
    with writing() as tx:
        _store(tx, connection, [one for one in _locked(tx, connection) if one.key != key], who)


def send_trial(connection: str, target: AlertTarget, who: str) -> None:
    """Send a test message from this process; RetryLater with what the other end, or the way to it, says."""
    try:
        notifier_for(target, trial(connection)).notify({})
    except SyncError:
        raise
    except Exception as error:  # noqa: BLE001  any notifier, any library: what is wrong there is for the person who tries it
        raise RetryLater(f"The test message could not be sent to {_to(target)}: {error}") from None
    with writing() as tx:
        lifecycle.note(tx, connection, "alert_tried", f"test message to {_to(target)}, by {who}", who)


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
        target = _target(sent)
        if isinstance(target, Webhook):
            _keep_address(airflow, connection_id, target.conn_id, sent)
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


@router.post(f"{ALERTS}/server", dependencies=CHANGE)
def server(
    request: Request, connection_id: ConnectionName, airflow: AirflowUser,
    host: Annotated[str, Form(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.:_-]+$")],
    sender: Annotated[str, Form(max_length=254, pattern=r"^[^@\s,;]+@[^@\s,;]+$")],
    port: Annotated[int, Form(ge=1, le=65535)] = 587,
    login: Annotated[str, Form(max_length=255)] = "", password: Annotated[str, Form(max_length=1_000)] = "",
    encryption: Annotated[str, Form(pattern="^(starttls|ssl|none)$")] = "starttls",
) -> Response:  # fmt: skip
    """The mail server, as Airflow's connection; a password that is left blank stays as it is."""
    # What the form does not ask for stays; Airflow puts back what it shows only as stars.
    extra = _extra(airflow.connection(SMTP)) | {"from_email": sender, **ENCRYPTION[encryption][1]}
    content: dict[str, Any] = {
        "host": host,
        "port": port,
        "login": login or None,
        "extra": orjson.dumps(extra).decode(),
    }
    if password:
        content["password"] = password
    airflow.store_connection(SMTP, "smtp", **content)
    return back(request, connection_id, "/alerts", told="server")


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
    return Tried(sent=_to(targets[wanted.target]))


def _locked(tx: Transaction, connection: str) -> tuple[AlertTarget, ...]:
    return settings_history.locked(tx, connection).settings.alerts


def _store(tx: Transaction, connection: str, targets: list[AlertTarget], who: str) -> None:
    chosen = [one.model_dump(mode="json", exclude_defaults=True) for one in targets]
    settings.change_settings(tx, connection, {"alerts": chosen}, who)


def _target(sent: SentForm) -> AlertTarget:
    """What the form asks for; all events are no choice, so that those of later releases are told as well."""
    events = sent.every("events")
    if not events:
        raise Misconfigured("Choose at least one thing to tell them of.")
    given: dict[str, Any] = {
        "via": sent.get("via", ""),
        "events": [] if set(events) == set(EVENTS) else events,
    }
    if given["via"] == "mail":
        given["to"] = sent.get("to", "").replace(",", " ").replace(";", " ").split()
    else:
        given["conn_id"] = sent.get("conn_id", "")
    try:
        return TARGET.validate_python(given)
    except ValidationError as error:
        raise Misconfigured(" ".join(dict.fromkeys(_said(each) for each in error.errors()))) from None


def _said(error: Any) -> str:
    field, value = str(error["loc"][1]) if len(error["loc"]) > 1 else "", error["input"]
    if field == "to":
        return (
            f"{value} is no mail address: enter one like anna@example.com."
            if isinstance(value, str)
            else "Enter at least one mail address."
        )
    if field == "conn_id":
        return "Name: give it a name of letters, digits, _, - and dots."
    return f"{field or 'This form'}: {error['msg']}."


def _keep_address(airflow: Airflow, connection: str, conn_id: str, sent: SentForm) -> None:
    """The address and its token, as an Airflow connection, which encrypts them; what is left blank stays as it is."""
    address, token = sent.get("address", ""), sent.get("token", "")
    known = airflow.connection(conn_id)
    if not address and not token:
        if known is None:
            raise Misconfigured(
                f"Enter the address: Airflow has no connection {conn_id!r} that could hold it."
            )
        return
    with writing() as tx:
        mine = any(
            one.key == f"webhook {conn_id}"
            for name in settings.connections(tx)
            for one in name.settings.alerts
        )
    if known and not mine:
        raise Misconfigured(
            f"Airflow has a connection {conn_id!r} already, which may serve others: leave address and token blank to use it as it "
            "is, or give this webhook another name."
        )
    if address and not trusted(address):
        raise Misconfigured(
            "The address of a webhook begins with https://, or what is sent there could be read on its way."
        )
    content: dict[str, Any] = {"password": token} if token else {}
    if address:
        parts = urlsplit(address)
        path = urlunsplit(("", "", parts.path, parts.query, ""))
        # What follows the host is the secret part: Airflow encrypts the extra, and not the host.
        content |= {
            "host": f"{parts.scheme}://{parts.netloc}",
            "extra": orjson.dumps({"path": path}).decode(),
        }
    airflow.store_connection(conn_id, "http", **content)


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


def _to(target: AlertTarget) -> str:
    return ", ".join(target.to) if isinstance(target, Mail) else f"webhook {target.conn_id}"


def _page(
    request: Request, name: str, user: Any, airflow: Airflow, found: Settings, entered: Mapping[str, Any],
    problem: str = "", told: str = "", stall: str | None = None, wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:  # fmt: skip
    shown = {STALL.name: found.stall_minutes if stall is None else stall}
    changes = may_change(name, user)
    return page(
        request, "alerts.html", status=409 if problem or wrong else 200, name=name, tab="Settings", part="Alerts", tabs=TABS,
        targets=found.alerts, events=EVENTS, entered=entered, problem=problem, told=told, wrong=wrong or {}, to=_to,
        stall=entries(shown, [STALL], wrong)[0], changes=changes, server=_server(airflow) if changes and may_add(user) else None,
        encryptions={key: words for key, (words, _) in ENCRYPTION.items()},
    )  # fmt: skip


def _server(airflow: Airflow) -> dict[str, Any]:
    """The mail server as the form shows it, without its password; blank where there is none yet."""
    found = airflow.connection(SMTP)
    if found is None:
        return {"known": False, "host": "", "port": 587, "login": "", "sender": "", "encryption": "starttls"}
    extra = _extra(found)
    encryption = "ssl" if not extra.get("disable_ssl") else "none" if extra.get("disable_tls") else "starttls"
    return {
        "known": True, "host": found["host"] or "", "port": found["port"] or "", "login": found["login"] or "",
        "sender": extra.get("from_email", ""), "encryption": encryption,
    }  # fmt: skip


def _extra(connection: Mapping[str, Any] | None) -> dict[str, Any]:
    return cast("dict[str, Any]", orjson.loads((connection or {}).get("extra") or "{}"))
