"""The right to erasure as pages: find the person, see what will be erased and what will not, confirm by typing, and who did it."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, HTTPException, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web.activity import org_address
from crm_airflow.web.guards import CHANGE, OPEN, ConnectionName, may_change, may_read
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.errors import Misconfigured, SyncError
from crm_sync.ledger import erasure, overview
from crm_sync.ledger.erasure import Reach

__all__ = ["api", "router"]

ERASE: Final = "/connections/{connection_id}/erase"
ONE: Final = ERASE + "/{our_id}"
OurId = Annotated[UUID, Path(description="The id of the contact or lead in GPTWeb")]
Why = Annotated[str, Form(max_length=500, pattern="^[^\x00]*$")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class TwinModel(BaseModel):
    """A record of a CRM that is the person."""

    model_config = ConfigDict(from_attributes=True)

    connection: str
    object: str
    id: str


class ReachModel(BaseModel):
    """What an erasure would take."""

    model_config = ConfigDict(from_attributes=True)

    records: list[str] = Field(description="Our ids that links say to be this person")
    twins: list[TwinModel] = Field(description="Their records, which the CRM's users have to delete")
    elsewhere: bool = Field(description="Also in a connection that you may not see, of which nothing is told")
    changes: int
    decisions: int
    parked: int
    confirm: str = Field(description="What has to be given as `confirm`")


class ErasureWanted(BaseModel):
    """The erasure of one person."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*[^\x00\s][^\x00]*$",
        description="Kept in the trail: name no person in it",
    )
    confirm: str = Field(max_length=254, description="As the preview says it")


class Erased(BaseModel):
    """What was done, and what is left to do."""

    lines: list[str]


@router.get(ERASE, dependencies=OPEN)
def ask(request: Request, connection_id: ConnectionName, tx: Reading) -> HTMLResponse:
    """The form that finds somebody."""
    overview.require(tx, connection_id)
    return _page(request, "erase.html", connection_id, who="", found=[])


@router.post(ERASE, dependencies=CHANGE)
def find(
    request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep,
    who: Annotated[str, Form(max_length=254, pattern="^[^\x00]*$")] = "",
) -> HTMLResponse:  # fmt: skip
    """Whom the form found; not by an address, for that would hold the person's, and stay in logs."""
    overview.require(tx, connection_id)
    readable = [name for name in overview.names(tx) if may_read(name, user)]
    found = erasure.people(tx, who, readable) if who.strip() else []
    return _page(request, "erase.html", connection_id, who=who.strip(), found=found)


@router.get(ONE, dependencies=OPEN)
def look(
    request: Request, connection_id: ConnectionName, our_id: OurId, tx: Reading, user: GetUserDep
) -> HTMLResponse:
    """What would be erased, and the form that asks for it."""
    overview.require(tx, connection_id)
    return _asked(request, connection_id, our_id, erasure.reach(tx, our_id), user)


@router.post(ONE, dependencies=CHANGE)
def erase(
    request: Request, connection_id: ConnectionName, our_id: OurId, user: GetUserDep,
    why: Why = "", confirm: Annotated[str, Form(max_length=254)] = "",
) -> HTMLResponse:  # fmt: skip
    """Erase, and say what is left to do; shown at once, for nobody can look it up afterwards."""
    try:
        lines = _erase(connection_id, our_id, why, confirm, user)
    except SyncError as error:
        with writing() as tx:
            found = erasure.reach(tx, our_id)
        return _asked(request, connection_id, our_id, found, user, why=why, problem=str(error))
    return _page(request, "erased.html", connection_id, lines=lines)


@api.get(ONE, dependencies=OPEN)
def preview(connection_id: ConnectionName, our_id: OurId, tx: Reading, user: GetUserDep) -> ReachModel:
    """What erasing this person would take."""
    overview.require(tx, connection_id)
    found = erasure.reach(tx, our_id)
    shown = _readable(found, user)
    return ReachModel(
        records=[one.our_id for one in found.people], elsewhere=len(shown) < len(found.connections),
        twins=[TwinModel.model_validate(one) for one in found.twins if one.connection in shown],
        changes=found.changes, decisions=found.decisions, parked=found.parked, confirm=_word(found, our_id),
    )  # fmt: skip


@api.post(ONE, dependencies=CHANGE)
def erase_person(
    connection_id: ConnectionName, our_id: OurId, user: GetUserDep, wanted: ErasureWanted
) -> Erased:
    """Erase one person from GPTWeb's record, the ledger and the trail, for all connections."""
    return Erased(lines=_erase(connection_id, our_id, wanted.why, wanted.confirm, user))


def _erase(connection: str, our_id: UUID, why: str, confirm: str, user: Any) -> list[str]:
    """For who may change every connection that keeps anything of the person; where none does, the one whose page it is."""
    with writing() as tx:
        overview.require(tx, connection)
        found = erasure.reach(tx, our_id)
        shown = _readable(found, user)
        for other in found.connections:
            if not may_change(other, user):
                where = other if other in shown else "a connection that you may not see"
                raise HTTPException(403, f"This person is in {where} too, and an erasure takes them out of all connections: ask somebody "
                                         "who may edit that one as well.")  # fmt: skip
        if not why.strip():
            raise Misconfigured(
                "Say why: the reason stays in the audit trail. Name no person in it; the number of the request is best."
            )
        if _typed(confirm) != _typed(_word(found, our_id)):
            raise Misconfigured(
                f"Type {_word(found, our_id)!r} to confirm: what was typed is something else."
            )
        return erasure.erase(tx, our_id, user.get_name(), why.strip())


def _readable(found: Reach, user: Any) -> list[str]:
    return [name for name in found.connections if may_read(name, user)]


def _word(found: Reach, our_id: UUID) -> str:
    """What a person types who means this one: the e-mail address, or what else there is."""
    mine = next((one for one in found.people if one.our_id == str(our_id)), None)
    return (mine and (mine.email.strip() or mine.name.strip())) or str(our_id)


def _typed(word: str) -> str:
    """As people type what a page shows: of several blanks in a row it shows one."""
    return " ".join(word.split()).casefold()


def _asked(
    request: Request, name: str, our_id: UUID, found: Reach, user: Any, why: str = "", problem: str = ""
) -> HTMLResponse:
    shown = _readable(found, user)
    return _page(
        request, "erase_confirm.html", name, status=409 if problem else 200, found=found, our_id=our_id, word=_word(found, our_id),
        why=why, problem=problem, orgs={each: org_address(each) for each in shown}, elsewhere=len(shown) < len(found.connections),
    )  # fmt: skip


def _page(request: Request, template: str, name: str, **values: Any) -> HTMLResponse:
    return page(request, template, name=name, tab="Audit trail", part="Erase a person", tabs=TABS, **values)
