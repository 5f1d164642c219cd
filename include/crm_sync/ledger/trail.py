"""The audit trail: planned changes, what became of them, and every decision that a person may ask about.

Append-only by database rule; ``crm_sync.audit_trail`` shows it one row per field.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Literal, NamedTuple

from psycopg import sql

from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import Outcome, Row, Side, Value

__all__ = [
    "EVERY_FIELD",
    "PENDING",
    "TOLD",
    "UNDONE",
    "UNTOLD",
    "Carrier",
    "Change",
    "Chunk",
    "Line",
    "columns_of",
    "next_chunk",
    "note",
    "outcomes",
    "pending",
    "plan",
    "supersede",
    "waiting",
    "without_twins",
]

Op = Literal["create", "update", "archive", "unarchive", "delete", "convert"]
UNDONE = "its run ended before it was carried out; the next run plans it again"
"""What settle says of a change to which nothing happened; the run's task, cleared, may still carry it out."""

UNTOLD = sql.SQL("""not exists (select 1 from crm_sync.outcome o where o.change_id = c.change_id
            and o.detail is distinct from {undone} offset 0)""").format(undone=sql.Literal(UNDONE))
"""Of a change ``c``: no outcome speaks of it yet."""
PENDING = sql.SQL("""{untold}
          and not exists (select 1 from crm_sync.intent i where i.change_id = c.change_id and i.closed_by is null offset 0)""").format(
    untold=UNTOLD
)
"""Of a change ``c``: nothing became of it yet.  An intent that was closed without an outcome was given back unsent."""

EVERY_FIELD = "*"
"""In the rules of a create: all its fields go by one rule.  Before it there was nothing, so it stores no values before.
As the fields of an outcome: all those of its change."""

TOLD = sql.SQL(
    "case when o.fields = {every} then array(select jsonb_object_keys(c.after)) else o.fields end"
).format(every=sql.Literal(f"{{{EVERY_FIELD}}}"))
"""The fields of a change ``c`` of which an outcome ``o`` speaks."""

OutcomeRow = tuple[int, Outcome, Sequence[str], str | None, str | None]
"""change id, outcome, fields, their id, detail in words."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record's planned fields on one side, with what a re-check compares: the values before and after."""

    object: str
    side: Side
    op: Op
    link_id: int | None
    our_id: str
    their_id: str | None
    before: Row
    after: Row
    base: Row
    rules: dict[str, str]
    conflicts: Sequence[str] = ()
    change_id: int = 0


class Chunk(NamedTuple):
    """Planned changes (``after``, ``until``], and how many of them there are of the kind that was asked for."""

    after: int
    until: int
    planned: int


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carried changes to the CRM: one call, or one bulk job; ``calls``: each record's share of what it cost."""

    batch: str
    calls: float


@dataclass(frozen=True, slots=True)
class Line:
    """One decision or event of the trail.  ``...`` as a value means not known (SQL NULL), None means blank.

    ``actor``: the person whose doing it is; None: the sync's own.
    """

    rule: str
    outcome: Outcome
    our_id: str | None = None
    their_id: str | None = None
    side: Side | None = None
    field: str | None = None
    before: Value | EllipsisType = ...
    after: Value | EllipsisType = ...
    base: Value | EllipsisType = ...
    detail: str | None = None
    actor: str | None = None


def plan(tx: Transaction, run_id: int, connection: str, changes: Iterable[Change]) -> None:
    """Write planned changes; they are never altered afterwards."""
    tx.copy(
        "crm_sync.change",
        ("run_id", "connection", "object", "link_id", "our_id", "their_id", "side", "op", "before", "after", "base",
         "rules", "conflicts"),
        (
            (run_id, connection, c.object, c.link_id, c.our_id, c.their_id, c.side, c.op, Jsonb(c.before), Jsonb(c.after),
             Jsonb(c.base), Jsonb(c.rules), "{" + ",".join(c.conflicts) + "}")
            for c in changes
        ),
    )  # fmt: skip


def pending(
    tx: Transaction, run_id: int, side: Side, object: str, after: int, limit: int, *, until: int | None = None
) -> list[Change]:
    """The next planned changes that nothing became of yet: no outcome, nothing sent; in order of planning."""
    rows = tx.rows(
        sql.SQL("""select object, side, op, link_id, our_id::text, their_id, nullif(before, '{{}}'), after,
          nullif(base, '{{}}'), rules, conflicts, change_id
        from crm_sync.change c
        where run_id = %s and side = %s and object = %s and change_id > %s and (%s::bigint is null or change_id <= %s)
          and {pending} order by change_id limit %s""").format(pending=PENDING),
        (run_id, side, object, after, until, until, limit),
    )
    # An object without fields costs no parsing.
    return [Change(*row[:6], *(values or {} for values in row[6:9]), *row[9:]) for row in rows]


def waiting(tx: Transaction, run_id: int, object: str, op: str) -> int:
    """How many planned changes of theirs of one kind wait to be sent."""
    return int(
        tx.one(
            sql.SQL(
                "select count(*) from crm_sync.change c where run_id = %s and side = 'theirs' and object = %s and op = %s "
                "and {pending}"
            ).format(pending=PENDING),
            (run_id, object, op),
        )
    )


def columns_of(tx: Transaction, run_id: int, object: str, op: str, known: Sequence[str]) -> list[str]:
    """Which of the known columns the run's planned changes of theirs of one kind have."""
    rows = tx.rows(
        """select k.name from unnest(%s::text[]) as k (name)
        where exists (select 1 from crm_sync.change c where c.run_id = %s and c.side = 'theirs' and c.object = %s
          and c.op = %s and c.after ? k.name)""",
        (list(known), run_id, object, op),
    )
    return [name for (name,) in rows]


def next_chunk(tx: Transaction, run_id: int, object: str, op: str, after: int, limit: int) -> Chunk | None:
    """The next so many planned changes of theirs of one kind that wait to be sent; None if there is none."""
    until, planned = tx.rows(
        sql.SQL("""select max(change_id), count(*) from (select change_id from crm_sync.change c
          where run_id = %s and side = 'theirs' and object = %s and op = %s and change_id > %s and {pending}
          order by change_id limit %s) c""").format(pending=PENDING),
        (run_id, object, op, after, limit),
    )[0]
    return Chunk(after, until, planned) if planned else None


def without_twins(tx: Transaction, run_id: int, changes: Sequence[Change]) -> list[Change]:
    """The newest change of each record and kind; two processes that made the same plan at once have made twins."""
    newest = {(c.op, c.their_id if (c.side, c.op) == ("ours", "create") else c.our_id): c for c in changes}
    if len(newest) == len(changes):
        return list(changes)
    kept = sorted(newest.values(), key=lambda c: c.change_id)
    stay = {c.change_id for c in kept}
    outcomes(tx, run_id, [
        (c.change_id, "superseded", tuple(c.after), c.their_id, "planned twice at once") for c in changes if c.change_id not in stay
    ])  # fmt: skip
    return kept


def outcomes(
    tx: Transaction, run_id: int, rows: Iterable[OutcomeRow], carrier: Carrier | None = None
) -> None:
    """Say what became of changes, field by field; ``carrier``: with which call to the CRM."""
    batch, calls = (carrier.batch, carrier.calls) if carrier else (None, None)
    tx.copy(
        "crm_sync.outcome",
        ("change_id", "run_id", "outcome", "fields", "their_id", "detail", "batch", "calls"),
        (
            # Column names need no quoting, and a ready literal spares the driver a look at each of them.
            (change_id, run_id, outcome, "{" + ",".join(fields) + "}", their_id, detail, batch, calls)
            for change_id, outcome, fields, their_id, detail in rows
            if fields
        ),
    )


def supersede(tx: Transaction, run_id: int, why: str) -> None:
    """Nothing will become of what was planned and neither sent nor written yet; the records stay dirty."""
    tx.run(
        sql.SQL("""insert into crm_sync.outcome (change_id, run_id, outcome, fields, detail)
        select c.change_id, c.run_id, 'superseded', array(select jsonb_object_keys(c.after)), %s
        from crm_sync.change c where c.run_id = %s and {pending}""").format(pending=PENDING),
        (why, run_id),
    )


def note(tx: Transaction, run_id: int | None, connection: str, object: str, lines: Iterable[Line]) -> None:
    """Add decisions and events to the trail."""
    tx.copy(
        "crm_sync.decision",
        ("run_id", "connection", "object", "our_id", "their_id", "side", "field", "before", "after", "base", "rule",
         "outcome", "detail", "actor"),
        (
            (run_id, connection, object, n.our_id, n.their_id, n.side, n.field, _json(n.before), _json(n.after),
             _json(n.base), n.rule, n.outcome, n.detail, n.actor)
            for n in lines
        ),
    )  # fmt: skip


def _json(value: Value | EllipsisType) -> Jsonb | None:
    return None if value is ... else Jsonb(value)
