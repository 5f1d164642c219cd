"""The audit trail as a whole: a period of it as a file, whether it is as it was sealed, and who did what with it."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from crm_airflow.web.exporting import CSV, PARQUET, Format, period, sent
from crm_airflow.web.guards import CHANGE, READ, ConnectionName, may_change
from crm_airflow.web.pages import page
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.tabs import TABS
from crm_sync.errors import Misconfigured
from crm_sync.ledger import custody, lifecycle, overview
from crm_sync.ledger.database import Database, Transaction, database_url
from crm_sync.ledger.verify import Report, verify

__all__ = ["api", "router"]

TRAIL: Final = "/connections/{connection_id}/trail"
SHOWN: Final = 25
SPANS: Final = {
    "1": "the last day",
    "7": "the last 7 days",
    "31": "the last 31 days",
    "": "everything there is",
}
Day = Annotated[str, Form(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


class ExportWanted(BaseModel):
    """Which lines of the trail are wanted, and how."""

    model_config = ConfigDict(extra="forbid")

    format: Format = "csv"
    since: date | None = Field(default=None, description="First day, UTC; null: from the beginning")
    until: date | None = Field(default=None, description="Last day, UTC; null: up to now")


class VerifyWanted(BaseModel):
    """What is to be compared with its seals."""

    model_config = ConfigDict(extra="forbid")

    days: int | None = Field(
        default=7,
        ge=1,
        le=3650,
        description="Rows that were sealed in the last days; null: all. The chain always",
    )


class Verified(BaseModel):
    """What a verification found."""

    as_sealed: bool
    seals: int
    rows: int = Field(description="Rows that were compared with their seals")
    findings: list[str] = Field(description="What is not as it was sealed")
    notes: list[str]
    head: str | None = Field(
        description="Where the chain stands: keep it where the database's owner can't write"
    )


@router.get(TRAIL, dependencies=READ)
def show(request: Request, connection_id: ConnectionName, tx: Reading, user: GetUserDep) -> HTMLResponse:
    """Where the chain stands, the two forms, and who did what."""
    overview.require(tx, connection_id)
    return _page(request, tx, connection_id, user, None)


@router.post(f"{TRAIL}/export", dependencies=CHANGE)
def download(
    connection_id: ConnectionName, user: GetUserDep, since: Day = "", until: Day = "", format: Annotated[Format, Form()] = "csv"
) -> StreamingResponse:  # fmt: skip
    """A period as a file."""
    try:
        first, last = (date.fromisoformat(text) if text else None for text in (since, until))
    except ValueError:
        raise Misconfigured("Enter a day of the calendar, like 2026-11-22.") from None
    return _export(connection_id, format, first, last, user.get_name())


@router.post(f"{TRAIL}/verify", dependencies=CHANGE)
def check(
    request: Request, connection_id: ConnectionName, user: GetUserDep, days: Annotated[str, Form(pattern="^(1|7|31|)$")] = "7"
) -> HTMLResponse:  # fmt: skip
    """Compare with the seals, and say what was found."""
    report = _verified(connection_id, int(days) if days else None, SPANS[days], user.get_name())
    with writing() as tx:
        return _page(request, tx, connection_id, user, report, days)


@api.post(f"{TRAIL}/export", dependencies=CHANGE, response_class=StreamingResponse,
          responses={200: {"content": CSV | PARQUET, "description": "The lines, oldest first; values are JSON"}})  # fmt: skip
def export(connection_id: ConnectionName, user: GetUserDep, wanted: ExportWanted) -> StreamingResponse:
    """A period of the audit trail as a file; the trail says who took it out."""
    return _export(connection_id, wanted.format, wanted.since, wanted.until, user.get_name())


@api.post(f"{TRAIL}/verify", dependencies=CHANGE)
def verify_trail(connection_id: ConnectionName, user: GetUserDep, wanted: VerifyWanted) -> Verified:
    """Compare the trail with its seals; the trail says who did and what was found."""
    span = f"the last {wanted.days} days" if wanted.days else SPANS[""]
    report = _verified(connection_id, wanted.days, span, user.get_name())
    return Verified(
        as_sealed=not report.findings, seals=report.seals, rows=report.rows, findings=report.findings, notes=report.notes,
        head=report.heads.get(connection_id),
    )  # fmt: skip


def _export(
    connection: str, format: Format, since: date | None, until: date | None, who: str
) -> StreamingResponse:
    with writing() as tx:
        overview.require(tx, connection)
        span = f"from {since or 'the beginning'} to {until or 'now'}"
        lifecycle.note(tx, connection, custody.EXPORTED, f"{span}, as {format}, by {who}", who)
    return sent(connection, format, period(connection, since, until))


def _verified(connection: str, days: int | None, span: str, who: str) -> Report:
    with closing(Database(database_url())) as database:
        report = verify(database, connection, days=days)
    head = report.heads.get(connection, "")
    with writing() as tx:
        lifecycle.note(
            tx, connection, custody.VERIFIED, f"{span}: {report.lines()[0]} head {head[:16] or 'none'}", who
        )
    return report


def _page(
    request: Request, tx: Transaction, name: str, user: Any, report: Report | None, days: str = "7"
) -> HTMLResponse:
    return page(
        request, "trail.html", name=name, tab="Audit trail", part="Export and verify", tabs=TABS, chain=custody.chain(tx, name),
        report=report, days=days, spans=SPANS, done=custody.done(tx, name, SHOWN), changes=may_change(name, user),
    )  # fmt: skip
