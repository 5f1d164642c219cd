"""The trail as a CSV file: the lines that a person looks for, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile
from typing import IO, Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from crm_airflow.web.activity import ONE, Search, Searched, day
from crm_airflow.web.guards import READ, ConnectionName
from crm_airflow.web.problems import API, API_PROBLEMS
from crm_sync.ledger import activity, export, settings
from crm_sync.ledger.database import Database, database_url

__all__ = ["api", "router"]

PIECE: Final = 1 << 16
RUN, FIELD = export.COLUMNS.index("run_id"), export.COLUMNS.index("field")
CSV: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The lines, oldest first"}
}
router = APIRouter(include_in_schema=False)
api = APIRouter(prefix=API, responses=API_PROBLEMS, tags=["crm-sync"])


@router.get(f"{ONE}/activity.csv", dependencies=READ)
@api.get(f"{ONE}/changes.csv", dependencies=READ, response_class=StreamingResponse, responses=CSV)
def changes(connection_id: ConnectionName, searched: Searched) -> StreamingResponse:
    """The lines of the trail, oldest first; values are JSON, and no text is taken for a formula."""
    file = TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115  closed when it has been sent
    with closing(Database(database_url())) as database:
        export.write_csv(_lines(database, connection_id, searched), file)
    file.seek(0)
    name = f"{connection_id}-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(_pieces(file), headers=headers, media_type="text/csv; charset=utf-8")


def _lines(database: Database, connection: str, searched: Search) -> Iterator[tuple[Any, ...]]:
    with database.transaction() as tx:
        settings.load(tx, connection)
        records: list[str | None] = [None]
        if searched.who.strip():
            records = list(activity.people(tx, connection, searched.who))
    until = day(searched.until + timedelta(days=1)) if searched.until else None
    for record in records:
        selection = export.Selection(connection, record, day(searched.since), until)
        for line in export.rows(database, selection):
            if searched.run in (None, line[RUN]) and searched.field.strip() in ("", line[FIELD]):
                yield line


def _pieces(file: IO[str]) -> Iterator[str]:
    with file:
        while piece := file.read(PIECE):
            yield piece
