"""Runs: opened with everything their stages need, so that only the run id travels between tasks; counted and closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg import sql

from crm_sync.errors import Misconfigured
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.seal import Seal, seal_run
from crm_sync.ledger.trail import EVERY_FIELD, TOLD, UNDONE
from crm_sync.model import OBJECTS, ClockReading, Direction, Heal, Object, RunKind

__all__ = [
    "Counts",
    "Run",
    "abandoned",
    "close",
    "count",
    "insert",
    "leave_out",
    "load",
    "message",
    "open_run",
    "pause",
    "set_clock",
]


SILENCE = timedelta(hours=36)
"""How long a backfill run that lives may go without a call: as long as its DAG run may take."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as its stages see it.

    ``approve``: the digest of a plan that it may carry out unasked; ``approve_by``: who said so.  ``approved``: the digest under which a person let its
    stored plan through.  ``by_hand``: a person started it.  ``heal``: what a
    reconciliation heals.  ``left_out``: objects that could not be read, each with what to do about it; they are none of ``objects``.
    """

    run_id: int
    connection: str
    kind: RunKind
    state: str
    objects: tuple[Object, ...]
    direction: Direction | None
    dry_run: bool
    limit: int | None
    since: datetime | None
    until: datetime | None
    clock: ClockReading
    approved: str | None = None
    heal: Heal = "none"
    approve: str | None = None
    by_hand: bool = False
    dag_run_id: str = ""
    approve_by: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_window(self) -> bool:
        """Whether the run is about the records last changed in [since, until) alone."""
        return self.kind == "backfill" and (self.since is not None or self.until is not None)


@dataclass(frozen=True, slots=True)
class Counts:
    """Field-level changes of one run: planned = acknowledged + parked + superseded + in_doubt, or the run fails.

    ``undone``: superseded because the run ended before them.  ``postponed``: superseded by a passing refusal.
    ``busy``: parked until a next try.
    """

    planned: int
    acknowledged: int
    parked: int
    superseded: int
    in_doubt: int
    undone: int
    conflicts: int
    postponed: int
    newly_parked: int
    busy: int
    api_calls: int

    @property
    def told(self) -> int:
        """Of how many changes it is told what became of them."""
        return self.acknowledged + self.parked + self.superseded + self.in_doubt


def open_run(
    tx: Transaction, connection: str, kind: RunKind, dag_run_id: str, options: dict[str, object]
) -> int:
    """Insert the run, or return the one that this DAG run opened before (a cleared task opens no second one)."""
    existing = tx.one(
        "select run_id from crm_sync.run where connection = %s and kind = %s and dag_run_id = %s order by run_id desc limit 1",
        (connection, kind, dag_run_id),
    )
    if existing is not None:
        tx.run(
            "update crm_sync.run set options = %s, state = 'running', ended_at = null, message = null where run_id = %s",
            (Jsonb(options), existing),
        )
        return int(existing)
    return insert(tx, connection, kind, dag_run_id, options)


def insert(
    tx: Transaction, connection: str, kind: RunKind, dag_run_id: str, options: dict[str, object]
) -> int:
    """A new run, state running."""
    query = "insert into crm_sync.run (connection, kind, dag_run_id, options) values (%s, %s, %s, %s) returning run_id"
    return int(tx.one(query, (connection, kind, dag_run_id, Jsonb(options))))


def load(tx: Transaction, run_id: int) -> Run:
    """The run with its options."""
    rows = tx.rows(
        "select connection, kind, state, options, clock_offset, clock_error, dag_run_id from crm_sync.run where run_id = %s",
        (run_id,),
    )
    if not rows:
        raise Misconfigured(f"there is no run {run_id}; start with open_run")
    connection, kind, state, options, offset, error, dag_run_id = rows[0]
    left_out = options.get("left_out") or {}
    chosen = set(options.get("objects") or OBJECTS) - set(left_out)
    return Run(
        run_id, connection, kind, state, tuple(o for o in OBJECTS if o in chosen), options.get("direction"),
        bool(options.get("dry_run")), options.get("limit"), _instant(options.get("since")),
        _instant(options.get("until")), ClockReading(offset, error),
        options.get("approved"), options.get("heal") or "none", options.get("approve"), bool(options.get("by_hand")),
        dag_run_id or "", options.get("approve_by") or "", left_out,
    )  # fmt: skip


def leave_out(tx: Transaction, run_id: int, objects: Mapping[str, str]) -> None:
    """Keep which objects the further stages of this run leave alone, and why."""
    tx.run(
        "update crm_sync.run set options = options || %s where run_id = %s",
        (Jsonb({"left_out": dict(objects)}), run_id),
    )


def set_clock(tx: Transaction, run_id: int, clock: ClockReading) -> None:
    """Keep how the CRM's clock compares with the database's, as this run's first reply showed it."""
    tx.run(
        "update crm_sync.run set clock_offset = %s, clock_error = %s where run_id = %s",
        (clock.offset, clock.error, run_id),
    )


def abandoned(tx: Transaction, connection: str, kind: RunKind, run_id: int) -> list[int]:
    """Earlier runs of this kind that never came to their end (their process was killed): they are closed now.

    A paused run goes on by itself, within an hour after the time that it gave.  Backfill runs work side by side: only
    one that has long been silent is taken for dead.
    """
    rows = tx.rows(
        """select run_id from crm_sync.run r where connection = %s and kind = %s and run_id < %s and ended_at is null
          and not (state = 'paused_budget' and coalesce(paused_until > clock_timestamp() - interval '1 hour', false))
          and (kind <> 'backfill' or state = 'paused_budget' or greatest(started_at, (select max(s.booked_at)
            from crm_sync.spending s where s.run_id = r.run_id)) < clock_timestamp() - %s::interval)
        order by run_id""",
        (connection, kind, run_id, SILENCE),
    )
    return [row[0] for row in rows]


def count(tx: Transaction, run_id: int) -> Counts:
    """Count what became of every planned field; of which nothing is told yet, that is told first."""
    _tell_doubts(tx, run_id)
    counts = _sums(tx, run_id)
    if counts.planned == counts.told:
        return counts
    _tell_undone(tx, run_id)
    return _sums(tx, run_id)


def _sums(tx: Transaction, run_id: int) -> Counts:
    # Each look-up finds one row: the way over a bitmap takes longer.
    tx.run("set local enable_bitmapscan = off")
    row = tx.rows(
        # One look-up by key a change (adr/0004).  A line for the whole record is counted by its width; only where several
        # lines speak of a change does the last one of each field count.
        sql.SQL(r"""with head as materialized (
          select c.change_id, k.width, cardinality(c.conflicts) as conflicts, one.*
          from crm_sync.change c
          cross join lateral (select jsonb_array_length(jsonb_path_query_array(c.after, '$.*')) as width offset 0) k
          cross join lateral (select count(*) as lines, min(o.outcome) as outcome, min(o.detail) as detail,
              sum(case when o.fields = %(every)s then k.width else cardinality(o.fields) end) as fields
            from crm_sync.outcome o where o.change_id = c.change_id offset 0) one
          where c.run_id = %(run)s),
        fate as (
          select outcome, fields, detail from head where lines = 1
          union all
          select last.outcome, 1, last.detail from (
            select distinct on (h.change_id, t.field) o.outcome, o.detail
            from head h
            cross join lateral (select c.after from crm_sync.change c where c.change_id = h.change_id offset 0) c
            cross join lateral (select * from crm_sync.outcome o where o.change_id = h.change_id offset 0) o
            cross join lateral unnest({told}) as t (field)
            where h.lines > 1 order by h.change_id, t.field, o.outcome_id desc) last)
        select (select coalesce(sum(width), 0) from head),
          coalesce(sum(fields) filter (where outcome = 'acknowledged'), 0),
          coalesce(sum(fields) filter (where outcome = 'parked'), 0),
          coalesce(sum(fields) filter (where outcome = 'superseded'), 0),
          coalesce(sum(fields) filter (where outcome = 'in_doubt'), 0),
          coalesce(sum(fields) filter (where detail = %(undone)s), 0),
          (select coalesce(sum(conflicts), 0) from head)
            + (select count(*) from crm_sync.decision where run_id = %(run)s and rule like 'slipped\_in\_%%'),
          coalesce(sum(fields) filter (where detail like 'postponed:%%'), 0),
          (select count(*) from crm_sync.parked where run_id = %(run)s and tries = 1 and lifted_at is null and next_try_at is null),
          coalesce(sum(fields) filter (where outcome = 'parked' and detail like 'busy: %%'), 0),
          (select count(*) from crm_sync.spending where run_id = %(run)s)
        from fate""").format(told=TOLD),
        {"run": run_id, "undone": UNDONE, "every": [EVERY_FIELD]},
    )[0]
    tx.run("set local enable_bitmapscan = on")
    return Counts(*(int(value) for value in row))


def _tell_doubts(tx: Transaction, run_id: int) -> None:
    """Write the line of each planned field that was sent without an answer."""
    tx.run(
        """insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
        select i.change_id, %(run)s, 'in_doubt', f.open, 'sent, but no answer came; a later read shows what became of it'
        from crm_sync.intent i
        cross join lateral (select array(select key from jsonb_object_keys(i.values) key
                                         where key <> all(i.settled)) as open) f
        where i.run_id = %(run)s and i.closed_by is null and cardinality(f.open) > 0
          and not exists (select 1 from crm_sync.outcome o where o.change_id = i.change_id and o.outcome = 'in_doubt')""",
        {"run": run_id},
    )


def _tell_undone(tx: Transaction, run_id: int) -> None:
    """Write the line of each planned field to which nothing happened."""
    tx.run(
        """insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
        select c.change_id, %(run)s, 'superseded', array(select jsonb_object_keys(f.open)),
          case when coalesce((r.options ->> 'dry_run')::boolean, false) then %(dry)s else %(undone)s end
        from crm_sync.change c join crm_sync.run r using (run_id)
        cross join lateral (select c.after - array(select unnest(o.fields) from crm_sync.outcome o
                                                   where o.change_id = c.change_id offset 0) as open offset 0) f
        where c.run_id = %(run)s and f.open <> '{}'
          and not exists (select 1 from crm_sync.outcome o where o.change_id = c.change_id and o.fields = %(every)s offset 0)""",
        {"run": run_id, "undone": UNDONE, "dry": "dry run: planned, not written", "every": [EVERY_FIELD]},
    )


def message(tx: Transaction, run_id: int) -> str:
    """What the run says of itself."""
    return str(tx.one("select message from crm_sync.run where run_id = %s", (run_id,)) or "")


def pause(tx: Transaction, run_id: int, why: str, wait: timedelta) -> None:
    """The run waits for calls; its stage is repeated when they are free, and nothing of it is lost."""
    until: datetime = tx.one("select clock_timestamp() + %s", (wait,))
    tx.run(
        "update crm_sync.run set state = 'paused_budget', message = %s, paused_until = %s where run_id = %s",
        (f"paused: budget, goes on by itself at {until:%F %H:%M} UTC: {why}", until, run_id),
    )


def close(
    tx: Transaction, run_id: int, state: str, counts: Counts | None, message: str | None
) -> Seal | None:
    """End the run with its sums, and seal what it added to the trail."""
    sums = (counts.planned, counts.acknowledged, counts.parked, counts.superseded, counts.in_doubt, counts.conflicts) if counts else (None,) * 6  # fmt: skip
    tx.run(
        """update crm_sync.run set ended_at = clock_timestamp(), state = %s, message = %s, planned = %s,
          acknowledged = %s, parked = %s, superseded = %s, in_doubt = %s, conflicts = %s where run_id = %s""",
        (state, message, *sums, run_id),
    )
    return seal_run(tx, run_id)


def _instant(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
