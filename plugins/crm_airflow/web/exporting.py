"""Lines of the audit trail as a file, sent while they are read: what a person looks for, or a whole period."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException
from fastapi.responses import StreamingResponse

from crm_airflow.web.activity import ONE
from crm_airflow.web.guards import READ, ConnectionName, may_change
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_airflow.web.reading import writing
from crm_airflow.web.searching import Search, Searched, day, day_after
from crm_sync.ledger import activity, custody, export, lifecycle, overview
from crm_sync.ledger.database import Database, database_url

__all__ = ["CSV", "PARQUET", "Format", "api", "period", "router", "sent"]

Format = Literal["csv", "parquet"]
RUN, FIELD = export.COLUMNS.index("run_id"), export.COLUMNS.index("field")
MEDIA: Final = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
CSV: Final[dict[str, Any]] = {"text/csv": {"schema": {"type": "string"}}}
PARQUET: Final[dict[str, Any]] = {MEDIA["parquet"]: {"schema": {"type": "string", "format": "binary"}}}
FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": CSV, "description": "The lines, oldest first"}
}
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


@router.get(f"{ONE}/activity.csv", dependencies=READ)
@api.get(f"{ONE}/changes.csv", dependencies=READ, response_class=StreamingResponse, responses=FILE)
def changes(connection_id: ConnectionName, searched: Searched, user: GetUserDep) -> StreamingResponse:
    """What was looked for, oldest first; values are JSON, and no text is taken for a formula.

    Who may only read looks for something; the whole trail is an export, for who may change the connection.
    """
    if not searched.query and not may_change(connection_id, user):
        raise HTTPException(403, "Look for a person, a record, a run, a field or a day first: the whole trail is exported by who may "
                                 "edit the connection.")  # fmt: skip
    with writing() as tx:
        overview.require(tx, connection_id)
        # Not what was looked for: it may be somebody's e-mail address, which an erasure would not find here.
        asked = "what was looked for" if searched.query else "everything"
        lifecycle.note(
            tx, connection_id, custody.EXPORTED, f"{asked}, as csv, by {user.get_name()}", user.get_name()
        )
        records: list[str | None] = [None]
        if searched.who.strip():
            records = list(activity.people(tx, connection_id, searched.who))
    return sent(connection_id, "csv", _found(connection_id, records, searched))


def sent(connection: str, format: Format, lines: Iterable[tuple[Any, ...]]) -> StreamingResponse:
    """A file that is made while it is sent: one that breaks off is no whole answer, and browsers say so."""
    name = f"{connection}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    pieces: Iterator[str | bytes] = (
        export.csv_pieces(lines) if format == "csv" else export.parquet_pieces(lines)
    )
    return StreamingResponse(pieces, headers=headers, media_type=MEDIA[format])


def period(connection: str, since: date | None, until: date | None) -> Iterator[tuple[Any, ...]]:
    """All lines of a period, both days whole, by UTC."""
    with _database() as database:
        yield from export.rows(database, export.Selection(connection, None, day(since), day_after(until)))


def _found(connection: str, records: list[str | None], searched: Search) -> Iterator[tuple[Any, ...]]:
    with _database() as database:
        for record in records:
            selection = export.Selection(connection, record, day(searched.since), day_after(searched.until))
            for line in export.rows(database, selection):
                if searched.run in (None, line[RUN]) and searched.field.strip() in ("", line[FIELD]):
                    yield line


@contextmanager
def _database() -> Iterator[Database]:
    with closing(Database(database_url())) as database:
        yield database
