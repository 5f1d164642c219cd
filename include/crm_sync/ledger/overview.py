"""What the pages and the API read of connections and runs; every list is paged by key, none by offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from psycopg import sql

from crm_sync.decide.condition import Condition, Signs, condition_of
from crm_sync.errors import Missing
from crm_sync.ledger import settings
from crm_sync.ledger.credentials import Credential
from crm_sync.ledger.credentials import load as load_credential
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.freshness import Freshness, freshness_of
from crm_sync.ledger.settings import Connection

__all__ = [
    "CHART_RUNS",
    "Overview",
    "Progress",
    "RunFigures",
    "names",
    "overview",
    "overviews",
    "progress",
    "require",
    "run",
    "runs",
    "undos",
]

CHART_RUNS = 30
"""Runs that the small chart of a connection shows."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """One run with its sums, None while it is under way; ``calls_left`` and ``calls_needed`` are its forecast."""

    run_id: int
    connection: str
    kind: str
    dag_run_id: str | None
    started_at: datetime
    ended_at: datetime | None
    state: str
    planned: int | None
    acknowledged: int | None
    parked: int | None
    superseded: int | None
    in_doubt: int | None
    conflicts: int | None
    api_calls: int
    message: str | None
    paused_until: datetime | None
    calls_left: int | None
    calls_needed: int | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run under way has come: changes planned so far, and the outcomes that they have, nearly always one each."""

    run: RunFigures
    changes: int
    done: int


@dataclass(frozen=True, slots=True)
class Overview:
    """One connection as its card shows it.

    ``runs``: the newest of every kind, newest first; ``last_run``: the newest sync that was no dry run.  ``conflicts``: decided
    in the last 24 hours.
    """

    connection: Connection
    credential: Credential
    condition: Condition
    freshness: Freshness
    runs: tuple[RunFigures, ...]
    last_run: RunFigures | None
    calls_used: int
    conflicts: int
    parked: int

    @property
    def mark(self) -> str:
        """Changes when a run begins or ends, and when the condition does."""
        newest = f"{self.runs[0].run_id} {self.runs[0].state}" if self.runs else "no run"
        return f"{self.condition.name}, {newest}"


def names(tx: Transaction) -> list[str]:
    """All connections, by name."""
    return [row[0] for row in tx.rows("select name from crm_sync.connection order by name")]


def require(tx: Transaction, name: str) -> None:
    """Missing for a name that there is not."""
    if tx.one("select 1 from crm_sync.connection where name = %s", (name,)) is None:
        raise Missing(f"there is no connection {name!r}; CRM Sync lists those that there are")


def overview(tx: Transaction, name: str) -> Overview:
    """One connection; Missing for a name that there is not."""
    require(tx, name)
    return overviews(tx, [name])[0]


def overviews(tx: Transaction, names: Sequence[str]) -> list[Overview]:
    """Some connections, each by its name; a statement for each kind of figure, however many there are."""
    connections = {found.name: found for found in settings.connections(tx)}
    newest = _by_connection(tx, _NEWEST, names)
    last = _by_connection(tx, _LAST, names)
    figures = {row[0]: row[1:] for row in tx.rows(_FIGURES, {"names": list(names)})}
    fresh = freshness_of(tx, names)
    found = []
    for name in names:
        connection, credential, runs = connections[name], load_credential(tx, name), newest.get(name, ())
        synced = next(iter(last.get(name, ())), None)
        waiting = next((run for run in runs if run.state == "waiting_approval"), None)
        condition = condition_of(_signs(connection, credential, waiting or synced))
        found.append(Overview(connection, credential, condition, fresh[name], runs, synced, *figures[name]))
    return found


def _by_connection(
    tx: Transaction, query: sql.Composed, names: Sequence[str]
) -> dict[str, tuple[RunFigures, ...]]:
    runs = [RunFigures(*row) for row in tx.rows(query, {"names": list(names)})]
    return {name: tuple(group) for name, group in groupby(runs, attrgetter("connection"))}


def _signs(connection: Connection, credential: Credential, run: RunFigures | None) -> Signs:
    return Signs(
        active=connection.active,
        provisioned=connection.provisioned_at is not None,
        reconnect=credential.reason if credential.state == "reconnect needed" else None,
        run=run.state if run else None,
        message=run.message if run else None,
    )


def runs(tx: Transaction, connection: str, limit: int, before: int | None = None) -> list[RunFigures]:
    """Runs of the sync, whatever their kind, the newest first; ``before``: a run's number, for the page after it."""
    query = sql.SQL("""{run} where r.connection = %(c)s and r.kind <> 'provision'
        and (%(before)s::bigint is null or r.run_id < %(before)s) order by r.run_id desc limit %(limit)s""")
    rows = tx.rows(query.format(run=_RUN), {"c": connection, "before": before, "limit": limit})
    return [RunFigures(*row) for row in rows]


def run(tx: Transaction, connection: str, run_id: int) -> RunFigures:
    """One run of a connection; Missing where it has no such run."""
    query = sql.SQL("{run} where r.run_id = %s and r.connection = %s").format(run=_RUN)
    rows = tx.rows(query, (run_id, connection))
    if not rows:
        raise Missing(f"connection {connection} has no run {run_id}; crm_sync.run_summary lists its runs")
    return RunFigures(*rows[0])


def progress(tx: Transaction, connection: str, run_id: int) -> Progress:
    """How far a run has come, by its own lines in the trail."""
    found = run(tx, connection, run_id)
    changes, done = tx.rows(
        """select (select count(*) from crm_sync.change where run_id = %(run)s),
          (select count(*) from crm_sync.outcome where run_id = %(run)s)""",
        {"run": run_id},
    )[0]
    return Progress(found, changes, min(changes, done))


def undos(tx: Transaction, connection: str, run_id: int) -> list[RunFigures]:
    """The undos of a run, the newest first, a few of them."""
    query = sql.SQL("""{run} where r.connection = %(c)s and r.kind = 'undo' and r.run_id > %(run)s
        and r.options -> 'undo' -> 'runs' @> to_jsonb(%(run)s::bigint) order by r.run_id desc limit 5""")
    rows = tx.rows(query.format(run=_RUN), {"c": connection, "run": run_id})
    return [RunFigures(*row) for row in rows]


_RUN = sql.SQL("""select r.run_id, r.connection, r.kind, r.dag_run_id, r.started_at, r.ended_at, r.state, r.planned,
  r.acknowledged, r.parked, r.superseded, r.in_doubt, r.conflicts,
  (select count(*) from crm_sync.spending s where s.run_id = r.run_id), r.message,
  case when r.state = 'paused_budget' then r.paused_until end, r.calls_left, r.calls_needed,
  coalesce((r.options ->> 'dry_run')::boolean, false) from crm_sync.run r""")

_EACH = """select r.* from unnest(%(names)s::text[]) with ordinality c (name, place) cross join lateral (
    {run} where r.connection = c.name and {which} order by r.run_id desc limit {most}) r order by c.place, r.run_id desc"""
_NEWEST = sql.SQL(_EACH).format(
    run=_RUN, which=sql.SQL("r.kind <> 'provision'"), most=sql.Literal(CHART_RUNS)
)
_LAST = sql.SQL(_EACH).format(
    run=_RUN, most=sql.Literal(1),
    which=sql.SQL("r.kind = 'sync' and not coalesce((r.options ->> 'dry_run')::boolean, false)"),
)  # fmt: skip

_FIGURES = """select c.name,
  (select count(*) from crm_sync.spending where connection = c.name and booked_at > clock_timestamp() - interval '24 hours'),
  (select coalesce(sum(conflicts), 0)::bigint from (
     select started_at, conflicts from crm_sync.run where connection = c.name order by run_id desc limit 500) newest
   where started_at > clock_timestamp() - interval '24 hours'),
  (select count(*) from crm_sync.parked where connection = c.name and lifted_at is null and ignored_by is null)
  from unnest(%(names)s::text[]) c (name)"""
