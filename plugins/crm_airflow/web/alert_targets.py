"""Those whom a connection tells of changes: what the form says of one, kept in the settings, its address with Airflow; and a trial."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import orjson
from pydantic import TypeAdapter, ValidationError

from crm_airflow.alerts.targets import notifier_for
from crm_airflow.alerts.webhook import trusted
from crm_airflow.web.airflow_api import Airflow
from crm_airflow.web.forms import SentForm
from crm_airflow.web.reading import writing
from crm_sync.decide.alerts import EVENTS, AlertTarget, Mail, trial
from crm_sync.errors import Misconfigured, RetryLater, SyncError
from crm_sync.ledger import lifecycle, settings, settings_history
from crm_sync.ledger.database import Transaction

__all__ = ["keep_address", "put", "remove", "send_trial", "target_of", "to"]

TARGET: Final[TypeAdapter[AlertTarget]] = TypeAdapter(AlertTarget)


def put(connection: str, target: AlertTarget, instead_of: str, who: str) -> None:
    """Tell somebody new, or somebody otherwise than before."""
    with writing() as tx:
        present = _locked(tx, connection)
        kept = [one for one in present if one.key != instead_of]
        if instead_of and len(kept) == len(present):
            raise Misconfigured("Somebody has changed or removed this line meanwhile: open the page again.")
        if any(one.key == target.key for one in kept):
            raise Misconfigured(f"{to(target)} is told already: change that line instead.")
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
        raise RetryLater(f"The test message could not be sent to {to(target)}: {error}") from None
    with writing() as tx:
        lifecycle.note(tx, connection, "alert_tried", f"test message to {to(target)}, by {who}", who)


def _locked(tx: Transaction, connection: str) -> tuple[AlertTarget, ...]:
    return settings_history.locked(tx, connection).settings.alerts


def _store(tx: Transaction, connection: str, targets: list[AlertTarget], who: str) -> None:
    chosen = [one.model_dump(mode="json", exclude_defaults=True) for one in targets]
    settings.change_settings(tx, connection, {"alerts": chosen}, who)


def target_of(sent: SentForm) -> AlertTarget:
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


def keep_address(airflow: Airflow, connection: str, conn_id: str, sent: SentForm) -> None:
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


def to(target: AlertTarget) -> str:
    """Whom or what it is, in words."""
    return ", ".join(target.to) if isinstance(target, Mail) else f"webhook {target.conn_id}"
