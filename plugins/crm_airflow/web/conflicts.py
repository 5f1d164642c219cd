"""Conflicts that a policy settled, and what a person makes of them: the value that lost, or another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from crm_airflow.web.activity import ONE, SHOWN, Before, columns, older, org_address
from crm_airflow.web.after import Told, back
from crm_airflow.web.forms import typed
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.searching import Searched
from crm_airflow.web.tabs import TABS
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.errors import Misconfigured
from crm_sync.ledger import activity, deciding, settings
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object, Value

__all__ = ["router"]

TOLD: Final[Mapping[str, str]] = {
    "decided": "Decided: the value is in GPTWeb's record now, and the next sync carries it.",
}
router = APIRouter(include_in_schema=False)


@router.get(f"{ONE}/conflicts", dependencies=READ)
def conflicts(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep, searched: Searched, told: Told,
    before: Before = None,
) -> HTMLResponse:  # fmt: skip
    """Conflicts that a policy settled, the newest first, with what a person can make of them."""
    settings.load(tx, connection_id)
    wanted = searched.wanted(tx, connection_id, conflicts=True)
    found = activity.changes(tx, connection_id, wanted, SHOWN + 1, before)
    return page(
        request, "conflicts.html", name=connection_id, tab="Conflicts", tabs=TABS, searched=searched, found=found[:SHOWN],
        older=older(found, searched.query), org=org_address(connection_id), changes=may_change(connection_id, user),
        told=TOLD.get(told, ""), fields=columns(tx, connection_id),
    )  # fmt: skip


@router.post(f"{ONE}/conflicts", dependencies=CHANGE)
def decide(
    request: Request, connection_id: ConnectionName, user: GetUserDep,
    take: Annotated[str, Form(pattern="^(other|value)$")],
    change: Annotated[list[str], Form(max_length=100)] = [],  # noqa: B006  what FastAPI makes of boxes that nobody ticked
    value: Annotated[str, Form(max_length=32_000)] = "",
    blank: Annotated[bool, Form()] = False,  # noqa: FBT002  a box of a form
) -> Response:  # fmt: skip
    """Take the value that was overruled, or another one, for the chosen fields (``change id.field``)."""
    if not change:
        raise Misconfigured("Nothing is chosen: tick the fields first.")
    if take == "value":
        value = typed(value, blank=blank)
    with writing() as tx:
        mappings = settings.load(tx, connection_id).mappings
        taken = None if take == "other" else value
        for one in change:
            number, _, field = one.partition(".")
            _decide(tx, connection_id, mappings, number, field, taken, user.get_name())
    return back(request, connection_id, "/conflicts", told="decided")


def _decide(
    tx: Transaction, name: str, mappings: Mapping[Object, ObjectMapping], number: str, field: str, value: Value, who: str
) -> None:  # fmt: skip
    """``value`` None: the one that lost."""
    found = activity.one(tx, name, int(number)) if number.isdecimal() and len(number) < 19 else None
    lost = next((f for f in found.fields if f.field == field and f.conflict), None) if found else None
    if found is None or lost is None:
        raise Misconfigured(f"change {number} has no conflict in {field or 'a field'}: open the page again")
    mapping = mappings[found.object]
    wanted = lost.before if value is None else value
    deciding.put(tx, name, mapping, found.our_id, field, wanted, who, instead_of=lost.after)
