"""What is parked: values and records that wait for a person, with cause, remedy and what each side holds, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web.activity import BIGGEST, org_address
from crm_airflow.web.after import Told, back
from crm_airflow.web.forms import typed
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.errors import Misconfigured
from crm_sync.ledger import deciding, lifecycle, parking, settings
from crm_sync.model import Value

__all__ = ["api", "router"]

PARKED: Final = "/connections/{connection_id}/parked"
SHOWN: Final = 30
EXACT: Final = 2**53 - 1
"""The greatest number that every client of JSON writes exactly."""
TOLD: Final[Mapping[str, str]] = {
    "retry": "The next run tries it again.",
    "ignore": "Ignored: it stays as it is, and nobody is reminded of it. A new value, setting or mapping lifts it as ever.",
    "decided": "Decided: the value is in GPTWeb's record now, and the next sync carries it.",
}
Action = Literal["retry", "ignore", "theirs", "value"]
Code = Annotated[
    str, Query(max_length=100, pattern="^[^\x00]*$", description="Only what is parked for this reason")
]
Before = Annotated[int | None, Query(ge=1, le=BIGGEST, description="The page after this row")]
Ids = list[Annotated[int, Field(ge=1, le=EXACT)]]
Ticked = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,14}\.[0-9a-f]{16}$")]
"""A row with its mark, as the page ticks it."""
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class ParkedModel(BaseModel):
    """One parked value or record."""

    model_config = ConfigDict(from_attributes=True)

    parked_id: int
    object: str
    our_id: str | None
    their_id: str | None
    side: str = Field(description="The side that did not take it")
    field: str | None = Field(description="null: the whole record")
    value: Value = Field(description="What was not taken")
    ours: Value = Field(description="What GPTWeb holds now")
    theirs: Value = Field(description="What the CRM was last seen to hold")
    base: Value = Field(description="What both sides last agreed on")
    code: str
    cause: str
    remedy: str
    waits_for: str
    first_at: datetime
    last_at: datetime
    tries: int
    calls: float = Field(description="Calls that the tries have cost")
    ignored_by: str | None


class ParkedPage(BaseModel):
    """Parked rows, the newest first."""

    parked: list[ParkedModel]
    next_before: int | None = Field(
        description="Give it as `before` for the next page; null: there are no more"
    )


class ParkedAction(BaseModel):
    """What is to become of some parked rows."""

    model_config = ConfigDict(extra="forbid")

    action: Action = Field(description="theirs: GPTWeb takes the CRM's value; value: GPTWeb takes `value`")
    rows: Ids = Field(default=[], max_length=1_000)
    code: str | None = Field(
        default=None,
        max_length=100,
        pattern="^[^\x00]*$",
        description="All rows of this reason; for retry only",
    )
    value: str = Field(default="", max_length=32_000, pattern="^[^\x00]*$")


class Done(BaseModel):
    """How many rows it was done to."""

    rows: int


def act(connection: str, wanted: ParkedAction, who: str, marks: Mapping[int, str] | None = None) -> int:
    """Do it to all of them or, if one refuses, to none; returns to how many.

    ``marks``: of the rows as the person saw them; a value that was changed since refuses.
    """
    seen = marks or {}
    with writing() as tx:
        mappings = settings.load(tx, connection).mappings
        if wanted.action == "retry":
            count = parking.try_again(tx, connection, None if wanted.code else wanted.rows, wanted.code)
            lifecycle.note(tx, connection, "retry_asked", f"{count} parked rows", who)
            return count
        if not wanted.rows:
            raise Misconfigured("choose the rows first")
        if wanted.action == "ignore":
            return deciding.ignore(tx, connection, wanted.rows, who)
        for number in wanted.rows:
            if wanted.action == "theirs":
                deciding.take_theirs(tx, connection, mappings, number, who, seen.get(number))
            else:
                deciding.put_parked(tx, connection, mappings, number, wanted.value, who, seen.get(number))
        return len(wanted.rows)


@router.get(PARKED, dependencies=READ)
def show(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, told: Told, code: Code = "",
    before: Before = None, *, ignored: bool = False,
) -> HTMLResponse:  # fmt: skip
    """Parked rows, the newest first."""
    settings.load(tx, connection_id)
    found = deciding.parked(tx, connection_id, SHOWN + 1, before, code or None, ignored=ignored)
    query: dict[str, Any] = {
        name: value for name, value in (("code", code), ("ignored", "true" if ignored else "")) if value
    }
    older = "" if len(found) <= SHOWN else "?" + urlencode({**query, "before": found[SHOWN - 1].parked_id})
    return page(
        request, "parked.html", name=connection_id, tab="Parked", tabs=TABS, found=found[:SHOWN], older=older, code=code,
        ignored=ignored, codes=deciding.codes(tx, connection_id), org=org_address(connection_id),
        changes=may_change(connection_id, user), told=TOLD.get(told, ""),
    )  # fmt: skip


@router.post(PARKED, dependencies=CHANGE)
def do(
    request: Request, connection_id: ConnectionName, user: GetUserDep,
    action: Annotated[Action, Form()],
    row: Annotated[list[Ticked], Form(max_length=100)] = [],  # noqa: B006  what FastAPI makes of boxes that nobody ticked
    code: Annotated[str, Form(max_length=100)] = "",
    value: Annotated[str, Form(max_length=32_000)] = "",
    blank: Annotated[bool, Form()] = False,  # noqa: FBT002  a box of a form
) -> Response:  # fmt: skip
    """Retry, ignore, or decide."""
    if not row and not code:
        raise Misconfigured("Nothing is chosen: tick the rows first.")
    if action == "value":
        value = typed(value, blank=blank)
    marks = {int(number): mark for number, _, mark in (one.partition(".") for one in row)}
    wanted = ParkedAction(action=action, rows=list(marks), code=code or None, value=value)
    act(connection_id, wanted, user.get_name(), marks)
    return back(request, connection_id, "/parked", told=action if action in TOLD else "decided")


@api.get(PARKED, dependencies=READ)
def rows(
    connection_id: ConnectionName,
    tx: Reading,
    code: Code = "",
    before: Before = None,
    *,
    ignored: bool = False,
) -> ParkedPage:
    """Parked rows, the newest first."""
    settings.load(tx, connection_id)
    found = deciding.parked(tx, connection_id, SHOWN + 1, before, code or None, ignored=ignored)
    more = found[SHOWN - 1].parked_id if len(found) > SHOWN else None
    return ParkedPage(parked=[ParkedModel.model_validate(one) for one in found[:SHOWN]], next_before=more)


@api.post(PARKED, dependencies=CHANGE)
def decide(connection_id: ConnectionName, user: GetUserDep, wanted: ParkedAction) -> Done:
    """Retry, ignore or decide; the next run takes it."""
    return Done(rows=act(connection_id, wanted, user.get_name()))
