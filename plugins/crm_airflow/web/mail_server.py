"""The mail server of Airflow, as a form: what the alerts go by, and whatever else sends mail from this Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, cast

import orjson
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from crm_airflow.web.after import back
from crm_airflow.web.airflow_api import Airflow, AirflowUser
from crm_airflow.web.guards import CHANGE, ConnectionName

__all__ = ["ENCRYPTION_WORDS", "router", "shown"]

SMTP: Final = "smtp_default"
ENCRYPTION: Final = {
    "starttls": ("STARTTLS, usually port 587", {"disable_ssl": True, "disable_tls": False}),
    "ssl": ("TLS from the beginning, usually port 465", {"disable_ssl": False, "disable_tls": True}),
    "none": (
        "None: only for a server on this machine or network",
        {"disable_ssl": True, "disable_tls": True},
    ),
}
ENCRYPTION_WORDS: Final = {name: words for name, (words, _) in ENCRYPTION.items()}
router = APIRouter(include_in_schema=False)


@router.post("/connections/{connection_id}/alerts/server", dependencies=CHANGE)
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


def shown(airflow: Airflow) -> dict[str, Any]:
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
