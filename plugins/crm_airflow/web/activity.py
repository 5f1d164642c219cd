"""What the sync did: changes found by person, record, run, field and time; conflicts and what a person decides about them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.errors import Misconfigured, SyncError
from crm_sync.ledger import activity, deciding, settings
from crm_sync.ledger.activity import Wanted
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object, Value

__all__ = [
    "BIGGEST",
    "ONE",
    "SHOWN",
    "Before",
    "Search",
    "Searched",
    "api",
    "day",
    "day_after",
    "older",
    "org_address",
    "router",
    "typed",
]

ONE: Final = "/connections/{connection_id}"
SHOWN: Final = 30
TOLD: Final[Mapping[str, str]] = {
    "decided": "Decided: the value is in GPTWeb's record now, and the next sync carries it.",
}
BIGGEST: Final = 2**63 - 1
Before = Annotated[int | None, Query(ge=1, le=BIGGEST, description="The page after this change")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class FieldChangeModel(BaseModel):
    """One field of a change."""

    model_config = ConfigDict(from_attributes=True)

    field: str
    before: Value
    after: Value
    base: Value = Field(description="What both sides last agreed on")
    rule: str = Field(description="What decided it")
    conflict: bool = Field(description="Both sides had changed it")
    outcome: str | None = Field(description="null: nothing became of it yet")
    detail: str | None


class ChangeModel(BaseModel):
    """One record's change on one side."""

    model_config = ConfigDict(from_attributes=True)

    change_id: int
    run_id: int
    at: datetime | None
    object: str
    our_id: str
    their_id: str | None
    side: str = Field(description="The side that was written")
    op: str
    batch: str | None = Field(description="The call or job that carried it")
    calls: float | None = Field(description="Its share of the API calls")
    erased: bool = Field(description="A person's values were removed on demand")
    fields: list[FieldChangeModel]


class ChangePage(BaseModel):
    """Changes, the newest first."""

    changes: list[ChangeModel]
    next_before: int | None = Field(
        description="Give it as `before` for the next page; null: there are no more"
    )


@dataclass(frozen=True, slots=True)
class Search:
    """What a person looks for, as typed."""

    who: str = ""
    field: str = ""
    since: date | None = None
    until: date | None = None
    run: int | None = None

    def wanted(self, tx: Transaction, connection: str, *, conflicts: bool = False) -> Wanted:
        """As the ledger is asked; the last day counts whole, by UTC."""
        return Wanted(
            run_id=self.run, records=activity.people(tx, connection, self.who) if self.who.strip() else None,
            field=self.field.strip() or None, since=day(self.since),
            until=day_after(self.until), conflicts=conflicts,
        )  # fmt: skip

    @property
    def query(self) -> dict[str, Any]:
        """For the address of the next page."""
        fields = {
            "who": self.who,
            "field": self.field,
            "since": self.since,
            "until": self.until,
            "run": self.run,
        }
        return {name: value for name, value in fields.items() if value}


def search(
    who: Annotated[
        str,
        Query(max_length=254, pattern="^[^\x00]*$", description="E-mail address, our id, or the CRM's id"),
    ] = "",
    field: Annotated[
        str, Query(max_length=63, pattern="^[A-Za-z0-9_]*$", description="Our name of a field")
    ] = "",
    since: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="First day, UTC")] = "",
    until: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="Last day, UTC")] = "",
    run: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="A run's number")] = "",
) -> Search:
    """The search of a request; a field that a form sends empty is not asked for."""
    try:
        days = [date.fromisoformat(text) if text else None for text in (since, until)]
    except ValueError as error:
        raise Misconfigured(f"a day is written like 2026-11-22: {error}") from None
    return Search(who, field, days[0], days[1], int(run) if run else None)


Searched = Annotated[Search, Depends(search)]


@router.get(f"{ONE}/activity", dependencies=READ)
def show(
    request: Request,
    connection_id: ConnectionName,
    tx: Reading,
    user: GetUserDep,
    searched: Searched,
    before: Before = None,
) -> HTMLResponse:
    """Changes, the newest first, and the form to look for some."""
    settings.load(tx, connection_id)
    found = activity.changes(tx, connection_id, searched.wanted(tx, connection_id), SHOWN + 1, before)
    return page(
        request, "activity.html", name=connection_id, tab="Activity", tabs=TABS, searched=searched, found=found[:SHOWN],
        older=older(found, searched.query), org=org_address(connection_id), fields=_fields(tx, connection_id),
        query=urlencode(searched.query), changes=may_change(connection_id, user),
    )  # fmt: skip


@router.get(f"{ONE}/conflicts", dependencies=READ)
def conflicts(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, searched: Searched, before: Before = None,
    told: str = "",
) -> HTMLResponse:  # fmt: skip
    """Conflicts that a policy settled, the newest first, with what a person can make of them."""
    settings.load(tx, connection_id)
    wanted = searched.wanted(tx, connection_id, conflicts=True)
    found = activity.changes(tx, connection_id, wanted, SHOWN + 1, before)
    return page(
        request, "conflicts.html", name=connection_id, tab="Conflicts", tabs=TABS, searched=searched, found=found[:SHOWN],
        older=older(found, searched.query), org=org_address(connection_id), changes=may_change(connection_id, user),
        told=TOLD.get(told, ""), fields=_fields(tx, connection_id),
    )  # fmt: skip


@router.post(f"{ONE}/conflicts", dependencies=CHANGE)
def decide(
    request: Request, connection_id: ConnectionName, user: GetUserDep,
    take: Annotated[str, Form(pattern="^(other|value)$")],
    change: Annotated[list[str], Form(max_length=100)] = [],  # noqa: B006  what FastAPI makes of boxes that nobody ticked
    value: Annotated[str, Form(max_length=32_000)] = "",
    blank: Annotated[bool, Form()] = False,  # noqa: FBT002
) -> Response:  # fmt: skip
    """Take the value that was overruled, or another one, for the chosen fields (``change id.field``)."""
    if not change:
        raise Misconfigured("Nothing is chosen: tick the fields first.")
    if take == "value":
        value = typed(value, blank=blank)
    with writing() as tx:
        mappings = settings.load(tx, connection_id).mappings
        for one in change:
            number, _, field = one.partition(".")
            _decide(
                tx,
                connection_id,
                mappings,
                number,
                field,
                None if take == "other" else value,
                user.get_name(),
            )
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/connections/{connection_id}/conflicts?told=decided", 303)


@api.get(f"{ONE}/changes", dependencies=READ)
def changes(
    connection_id: ConnectionName,
    tx: Reading,
    searched: Searched,
    before: Before = None,
    *,
    conflicts: bool = False,
) -> ChangePage:
    """Changes, the newest first, of one person, record, run, field or time; or only those with a conflict."""
    settings.load(tx, connection_id)
    wanted = searched.wanted(tx, connection_id, conflicts=conflicts)
    found = activity.changes(tx, connection_id, wanted, SHOWN + 1, before)
    more = found[SHOWN - 1].change_id if len(found) > SHOWN else None
    return ChangePage(changes=[ChangeModel.model_validate(one) for one in found[:SHOWN]], next_before=more)


def _decide(
    tx: Transaction,
    name: str,
    mappings: Mapping[Object, Any],
    number: str,
    field: str,
    value: Value,
    who: str,
) -> None:
    found = activity.one(tx, name, int(number)) if number.isdecimal() and len(number) < 19 else None
    lost = next((f for f in found.fields if f.field == field and f.conflict), None) if found else None
    if found is None or lost is None:
        raise Misconfigured(f"change {number} has no conflict in {field or 'a field'}: open the page again")
    mapping = mappings[found.object]
    wanted = lost.before if value is None else value
    deciding.put(tx, name, mapping, found.our_id, field, wanted, who, instead_of=lost.after)


def _fields(tx: Transaction, name: str) -> list[str]:
    return sorted(
        {column for mapping in settings.load(tx, name).mappings.values() for column in mapping.columns}
    )


def older(found: list[activity.RecordChange], query: dict[str, Any]) -> str:
    """The query of the next page; blank where this is the last one."""
    return "" if len(found) <= SHOWN else "?" + urlencode({**query, "before": found[SHOWN - 1].change_id})


def org_address(name: str) -> str:
    """Where records are looked at in the CRM; blank where the Airflow connection does not say."""
    with suppress(SyncError):
        return CrmSyncHook(name).endpoint().app.address
    return ""


def day(begins: date | None) -> datetime | None:
    """The first moment of a day, by UTC."""
    return datetime.combine(begins, time(), UTC) if begins else None


def day_after(until: date | None) -> datetime | None:
    """The moment after a day; the last day that there is has none after it."""
    return None if until in (None, date.max) else day(until + timedelta(days=1))


def typed(value: str, *, blank: bool) -> str:
    """The value that a person typed.  A blank one clears a field: only who ticks its box means that."""
    if blank and value.strip():
        raise Misconfigured("Type a value, or tick the box that leaves the field blank; not both.")
    if not blank and not value.strip():
        raise Misconfigured("Type a value first, or tick the box that leaves the field blank.")
    return "" if blank else value
