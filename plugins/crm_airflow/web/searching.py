"""What people look for in the trail: as an address says it, and as it is typed, which no address may hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from crm_airflow.web.after import back
from crm_airflow.web.forms import Sent
from crm_airflow.web.guards import ASK, ConnectionName
from crm_airflow.web.reading import Reading
from crm_sync.errors import Misconfigured
from crm_sync.ledger import activity, overview
from crm_sync.ledger.activity import Wanted
from crm_sync.ledger.database import Transaction

__all__ = ["Search", "Searched", "day", "day_after", "router"]

NOBODY: Final = "nobody"
"""Stands in the address where who was typed is known by nothing."""
router = APIRouter(include_in_schema=False)


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
    request: Request,
    who: Annotated[
        str,
        Query(max_length=4_000, pattern="^[^\x00]*$", description="E-mail address, the CRM's id, or our ids"),
    ] = "",
    field: Annotated[
        str, Query(max_length=63, pattern="^[A-Za-z0-9_]*$", description="Our name of a field")
    ] = "",
    since: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="First day, UTC")] = "",
    until: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="Last day, UTC")] = "",
    run: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="A run's number")] = "",
) -> Search:
    """The search of a request; a field that is sent empty is not asked for."""
    # Airflow's access log reads the address when all is done: a client of the API may have put an e-mail address there.
    kept = [(name, text) for name, text in request.query_params.multi_items() if name != "who"]
    request.scope["query_string"] = urlencode(kept).encode()
    try:
        days = [date.fromisoformat(text) if text else None for text in (since, until)]
    except ValueError as error:
        raise Misconfigured(f"a day is written like 2026-11-22: {error}") from None
    return Search(who, field, days[0], days[1], int(run) if run else None)


Searched = Annotated[Search, Depends(search)]
"""A parameter of this type gives a route what is looked for."""


@router.post("/connections/{connection_id}/search", dependencies=ASK)
def look_for(request: Request, connection_id: ConnectionName, tx: Reading, sent: Sent) -> Response:
    """Go to what was typed.  Whoever is meant becomes our ids first: addresses stay in logs and in browsers' histories."""
    overview.require(tx, connection_id)
    query = {name: sent[name] for name in ("field", "since", "until", "run") if sent.get(name)}
    if who := sent.get("who"):
        query["who"] = " ".join(activity.people(tx, connection_id, who)) or NOBODY
    return back(
        request, connection_id, "/conflicts" if sent.get("page") == "conflicts" else "/activity", **query
    )


def day(begins: date | None) -> datetime | None:
    """The first moment of a day, by UTC."""
    return datetime.combine(begins, time(), UTC) if begins else None


def day_after(until: date | None) -> datetime | None:
    """The moment after a day; the last day that there is has none after it."""
    return None if until in (None, date.max) else day(until + timedelta(days=1))
