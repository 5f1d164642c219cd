"""Which changes an undo is about: by run, by record, by field, by time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from psycopg import sql

from crm_sync.errors import Misconfigured
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object

__all__ = ["Selection", "conditions", "selection_of"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which changes of a connection an undo is about; all that is given has to hold.

    ``runs``: numbers of the ledger.  ``record``: our id or theirs.  ``fields``: our columns; then no record is removed or
    brought back.  ``since``, ``until``: when the change was written.  ``removals``: records that were made are taken away.
    """

    connection: str
    runs: tuple[int, ...] = ()
    record: str | None = None
    objects: tuple[Object, ...] = ()
    fields: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    removals: bool = False

    def __post_init__(self) -> None:
        """An undo of everything ever done is always a mistake."""
        if not (self.runs or self.record or self.since):
            raise Misconfigured("say what to undo: a run, a record, or a time from which on")

    def as_options(self) -> dict[str, object]:
        """The selection as the run keeps it."""
        return {name: value for name, value in asdict(self).items() if value and name != "connection"}

    def __str__(self) -> str:
        """The selection in words."""
        words = [
            f"run {', '.join(map(str, self.runs))}" if self.runs else "",
            f"record {self.record}" if self.record else "",
            f"object {', '.join(self.objects)}" if self.objects else "",
            f"field {', '.join(self.fields)}" if self.fields else "",
            f"from {self.since:%F %H:%M} UTC" if self.since else "",
            f"before {self.until:%F %H:%M} UTC" if self.until else "",
        ]
        return f"{', '.join(word for word in words if word)} of {self.connection}"


def selection_of(tx: Transaction, run_id: int) -> Selection:
    """What an undo run is about."""
    rows = tx.rows(
        "select connection, options -> 'undo' from crm_sync.run where run_id = %s and kind = 'undo'",
        (run_id,),
    )
    if not rows or rows[0][1] is None:
        raise Misconfigured(f"run {run_id} is no undo; crm_sync.run_summary shows of which kind a run is")
    connection, given = rows[0]
    return Selection(
        connection, tuple(given.get("runs", ())), given.get("record"), tuple(given.get("objects", ())),
        tuple(given.get("fields", ())), _moment(given.get("since")), _moment(given.get("until")),
        bool(given.get("removals")),
    )  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def conditions(tx: Transaction, selection: Selection) -> tuple[sql.Composable, dict[str, object]]:
    """The condition on a change ``c`` that a selection means, with its parameters."""
    parameters: dict[str, object] = {
        "c": selection.connection,
        "runs": list(selection.runs),
        "objects": list(selection.objects),
        "since": selection.since,
        "until": selection.until,
    }
    parts = ["c.connection = %(c)s"]
    if selection.objects:
        parts.append("c.object = any(%(objects)s)")
    if selection.runs:
        _check_runs(tx, selection)
        parts.append("c.run_id = any(%(runs)s)")
    elif not selection.record:
        parts.append(
            "c.run_id = any(array(select r.run_id from crm_sync.run r where r.connection = %(c)s "
            "and (%(until)s::timestamptz is null or r.started_at < %(until)s) "
            "and (r.ended_at is null or r.ended_at >= %(since)s)))"
        )
    if selection.record:
        parameters["records"] = _our_ids(tx, selection.connection, selection.record)
        parts.append("c.our_id = any(%(records)s::uuid[])")
    return sql.SQL(" and ").join(map(sql.SQL, parts)), parameters


def _check_runs(tx: Transaction, selection: Selection) -> None:
    known = {
        row[0]
        for row in tx.rows(
            "select run_id from crm_sync.run where connection = %s and run_id = any(%s)",
            (selection.connection, list(selection.runs)),
        )
    }
    if unknown := [run for run in selection.runs if run not in known]:
        raise Misconfigured(
            f"{selection.connection} has no run {', '.join(map(str, unknown))}: see crm_sync.run_summary"
        )


def _our_ids(tx: Transaction, connection: str, record: str) -> list[str]:
    """The records of ours that an id of either side means; their ids may be one that a link had before."""
    try:
        return [str(UUID(record))]
    except ValueError:
        pass
    rows = tx.rows(
        """select our_id::text from crm_sync.link where connection = %(c)s and their_id = %(id)s
        union select l.our_id::text from crm_sync.former f join crm_sync.link l using (link_id)
          where f.connection = %(c)s and f.their_id = %(id)s""",
        {"c": connection, "id": record},
    )
    if not rows:
        raise Misconfigured(
            f"{connection} has no record {record}: give our id, or the CRM's of 18 characters"
        )
    return [row[0] for row in rows]
