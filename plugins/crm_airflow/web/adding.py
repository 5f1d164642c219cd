"""Adding a connection: the form of what a CRM is come into by, checked before anything is stored."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Final

import orjson
from airflow.sdk import Connection
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crm_airflow.hooks.salesforce_keys import CONN_TYPE, FIELDS, NEEDED, salesforce_app
from crm_airflow.web.addresses import callback_url
from crm_airflow.web.after import back
from crm_airflow.web.airflow_api import Airflow, AirflowUser
from crm_airflow.web.guards import ADD, ASK_TO_ADD, NAME
from crm_airflow.web.pages import page
from crm_airflow.web.reading import writing
from crm_sync.access.app import GrantName
from crm_sync.access.login import trusted_address
from crm_sync.errors import Misconfigured, SyncError
from crm_sync.ledger import lifecycle, overview, settings, snapshot

__all__ = ["NewConnection", "add", "router"]

GRANT_WORDS: Final[dict[GrantName, tuple[str, str]]] = {
    "authorization_code": (
        "Log in through the browser",
        "Somebody logs in once as the integration user and allows the app. The usual way.",
    ),
    "client_credentials": (
        "Key and secret",
        "Nobody can log in as the integration user; the app names the user that it runs as.",
    ),
    "jwt_bearer": (
        "Signed log-ins",
        "The app has a certificate, and every log-in is signed with its private key.",
    ),
}
Text = Annotated[str, Form(max_length=255)]
router = APIRouter(include_in_schema=False)


class NewConnection(BaseModel):
    """What a connection to a Salesforce org comes in by; docs/connect-salesforce.md says where each of it is found."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    name: str = Field(pattern=NAME, description="Lower case letters, digits and _; also the name in Airflow")
    grant: GrantName = "authorization_code"
    instance_url: str = Field(max_length=255, description="The org's My Domain address")
    consumer_key: str = Field(default="", max_length=255)
    consumer_secret: str = Field(default="", max_length=255)
    username: str = Field(default="", max_length=255)
    private_key: str = Field(default="", max_length=10_000)

    @field_validator("instance_url")
    @classmethod
    def _trusted(cls, address: str) -> str:
        try:
            return trusted_address(address)
        except (Misconfigured, ValueError) as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _whole(self) -> NewConnection:
        missing = [FIELDS[name] for name in NEEDED[self.grant] if not getattr(self, name)]
        if self.grant == "jwt_bearer" and not self.username:
            missing.append("Username, the integration user")
        if missing:
            raise ValueError(f"this way in needs: {'; '.join(missing)}")
        return self

    @property
    def login(self) -> str:
        """The user in the Airflow connection, for whom log-ins are signed."""
        return self.username if self.grant == "jwt_bearer" else ""

    def extra(self) -> str:
        """What the Airflow connection keeps, encrypted."""
        kept = {"grant": self.grant, "instance_url": self.instance_url, "consumer_key": self.consumer_key}
        if self.consumer_secret:
            kept["consumer_secret"] = self.consumer_secret
        if self.grant == "jwt_bearer":
            kept["private_key"] = self.private_key
        return orjson.dumps(kept).decode()


def add(airflow: Airflow, wanted: NewConnection, who: str) -> None:
    """Store the way in with Airflow, and make the connection; Airflow makes its DAGs within a minute.

    Asked again with the same keys it takes up what is there, be it whole or only stored with Airflow.
    """
    with writing() as tx:
        known = wanted.name in overview.names(tx)
    if (known or not airflow.make_connection(wanted.name, wanted.extra(), wanted.login)) and not _stored(
        wanted
    ):
        raise Misconfigured(
            f"There is a connection {wanted.name!r} already, and it has other keys: choose another name."
            if known
            else f"Airflow has a connection {wanted.name!r} already, with other keys, and those are not overwritten: choose another "
            f"name, or use that one as it is with: python -m crm_sync connect {wanted.name}"
        )
    if known:
        return
    with writing() as tx:
        settings.connect(tx, wanted.name, "salesforce", {})
        lifecycle.note(tx, wanted.name, "connection_added", f"by {who}", who)
        snapshot.write(tx)


def _stored(wanted: NewConnection) -> bool:
    """Whether Airflow has these very keys under this name."""
    given = Connection(conn_id=wanted.name, conn_type=CONN_TYPE, login=wanted.login, extra=wanted.extra())
    with suppress(Misconfigured):
        return salesforce_app(wanted.name) == salesforce_app(wanted.name, lambda _: given)
    return False


@router.get("/add", dependencies=ASK_TO_ADD)
def ask(request: Request) -> HTMLResponse:
    """The empty form."""
    return _form(request, {}, [])


@router.post("/add", dependencies=ADD)
def make(
    request: Request,
    airflow: AirflowUser,
    name: Text = "",
    grant: Text = "authorization_code",
    instance_url: Text = "",
    consumer_key: Text = "",
    consumer_secret: Text = "",
    username: Text = "",
    private_key: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Make the connection and go on with its set-up, or show the form again with what is amiss."""
    given = {
        "name": name, "grant": grant, "instance_url": instance_url, "consumer_key": consumer_key,
        "consumer_secret": consumer_secret, "username": username, "private_key": private_key,
    }  # fmt: skip
    try:
        wanted = NewConnection.model_validate(given)
        add(airflow, wanted, airflow.user)
    except ValidationError as error:
        return _form(request, given, [_said(each) for each in error.errors()])
    except SyncError as error:
        return _form(request, given, [str(error)])
    return back(request, wanted.name, "/setup")


def _said(error: Any) -> str:
    where = {"name": "Name", "instance_url": "Address"}.get(str(error["loc"][0])) if error["loc"] else None
    told = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        told = "begin with a letter, then only lower case letters, digits and _, at most 50"
    return f"{where}: {told}" if where else told


def _form(request: Request, given: dict[str, str], problems: list[str]) -> HTMLResponse:
    """Secrets are never sent back to the browser."""
    shown = {name: value for name, value in given.items() if name not in {"consumer_secret", "private_key"}}
    try:
        callback = callback_url()
    except Misconfigured as error:
        callback, problems = "", [*problems, str(error)]
    return page(
        request, "add.html", status=422 if given else 200, given=shown, problems=problems, grants=GRANT_WORDS, callback=callback
    )  # fmt: skip
