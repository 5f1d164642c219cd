"""What the sync did, as a person looks for it: changes with what became of each field, by record, person, run, field or time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import sql

from crm_sync.ledger.database import Transaction
from crm_sync.ledger.trail import EVERY_FIELD
from crm_sync.model import OBJECTS, Object, Value

__all__ = ["FieldChange", "RecordChange", "Wanted", "changes", "one", "people"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; everything that is not None has to fit.  ``records``: our ids; ``conflicts``: only where both changed."""

    run_id: int | None = None
    records: Sequence[str] | None = None
    field: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    conflicts: bool = False


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a change.  ``outcome`` None: nothing became of it yet; ``present``: what GPTWeb holds now."""

    field: str
    before: Value
    after: Value
    base: Value
    rule: str
    conflict: bool
    outcome: str | None
    detail: str | None
    present: Value = None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record's change on one side, with the call or job that carried it and its share of the calls."""

    change_id: int
    run_id: int
    at: datetime | None
    object: Object
    our_id: str
    their_id: str | None
    side: str
    op: str
    batch: str | None
    calls: float | None
    erased: bool
    fields: tuple[FieldChange, ...]


def people(tx: Transaction, connection: str, text: str) -> list[str]:
    """Our ids of whom a text means: our ids, the CRM's id, or an e-mail address; none where it is nobody's."""
    text = text.strip()
    if ids := _ids(text):
        return ids
    rows = tx.rows(
        """select our_id::text from crm_sync.link
          where connection = %(c)s and their_object in ('Account', 'Contact', 'Lead') and their_id = %(t)s
        union select id::text from gptweb.contacts where crm_sync.match_text(email) = crm_sync.match_text(%(t)s) and deleted_at is null
        union select id::text from gptweb.leads where crm_sync.match_text(email) = crm_sync.match_text(%(t)s) and deleted_at is null""",
        {"c": connection, "t": text},
    )
    return [row[0] for row in rows]


def changes(
    tx: Transaction, connection: str, wanted: Wanted, limit: int, before: int | None = None
) -> list[RecordChange]:
    """The newest first; ``before``: a change's number, for the page after it."""
    runs = _run_range(tx, connection, wanted)
    if runs is None:
        return []
    rows = tx.rows(
        _CHANGES,
        {
            "c": connection, "before": before, "limit": limit, "first": runs[0], "last": runs[1], "field": wanted.field,
            "ids": None if wanted.records is None else list(wanted.records), "conflicts": wanted.conflicts or None,
        },
    )  # fmt: skip
    found = [_change(row, wanted) for row in rows]
    return _with_present(tx, found) if wanted.conflicts else found


def one(tx: Transaction, connection: str, change_id: int) -> RecordChange | None:
    """One change; None where the connection has no such change."""
    found = changes(tx, connection, Wanted(), 1, change_id + 1)
    return found[0] if found and found[0].change_id == change_id else None


def _ids(text: str) -> list[str]:
    """The ids that a text spells, blanks between them, as our tables spell them."""
    try:
        return [str(UUID(word)) for word in text.split()]
    except ValueError:
        return []


def _run_range(tx: Transaction, connection: str, wanted: Wanted) -> tuple[int | None, int | None] | None:
    """The runs in which it must have happened; None: there are none.  Times are of runs: a change has none of its own."""
    if wanted.run_id is not None:
        return wanted.run_id, wanted.run_id
    if wanted.since is None and wanted.until is None:
        return None, None
    first, last = tx.rows(
        """select min(run_id), max(run_id) from crm_sync.run where connection = %(c)s
          and (%(until)s::timestamptz is null or started_at < %(until)s)
          and (%(since)s::timestamptz is null or coalesce(ended_at, 'infinity') >= %(since)s)""",
        {"c": connection, "since": wanted.since, "until": wanted.until},
    )[0]
    return None if first is None else (first, last)


# Starts from one page of changes; what became of each is looked up by its key.
_CHANGES = """with page as materialized (
    select * from crm_sync.change c where c.connection = %(c)s
      and (%(before)s::bigint is null or c.change_id < %(before)s)
      and (%(first)s::bigint is null or c.run_id >= %(first)s) and (%(last)s::bigint is null or c.run_id <= %(last)s)
      and (%(ids)s::uuid[] is null or c.our_id = any(%(ids)s::uuid[]))
      and (%(field)s::text is null or c.after ? %(field)s)
      and (%(conflicts)s::boolean is null or c.conflicts <> '{}')
    order by c.change_id desc limit %(limit)s)
  select p.change_id, p.run_id, p.object, p.our_id::text, p.their_id, p.side, p.op, p.before, p.after, p.base, p.rules,
    p.conflicts, p.erased is not null, o.lines
  from page p left join lateral (
    select jsonb_agg(jsonb_build_array(o.at, o.outcome, o.fields, o.their_id, o.detail, o.batch, o.calls)
      order by o.outcome_id) as lines
    from crm_sync.outcome o where o.change_id = p.change_id) o on true
  order by p.change_id desc"""


def _change(row: Sequence[Any], wanted: Wanted) -> RecordChange:
    (change_id, run_id, object, our_id, their_id, side, op, before, after, base, rules, conflicts, erased, lines) = row  # fmt: skip
    fate: dict[str, tuple[str, str | None]] = {}
    at = batch = calls = None
    for told_at, outcome, fields, their, detail, carried, share in lines or ():
        fate |= dict.fromkeys(fields, (outcome, detail))
        at, their_id = datetime.fromisoformat(told_at), their or their_id
        batch, calls = carried or batch, (calls or 0) + share if share is not None else calls
    shown = [
        FieldChange(name, None if op == "create" else before.get(name), value, base.get(name),
                    rules.get(name) or rules.get(EVERY_FIELD) or "", name in conflicts, *fate.get(name, (None, None)))
        for name, value in after.items()
        if (not wanted.conflicts or name in conflicts) and (wanted.field is None or name == wanted.field)
    ]  # fmt: skip
    return RecordChange(
        change_id, run_id, at, object, our_id, their_id, side, op, batch, calls, erased, tuple(shown)
    )


def _with_present(tx: Transaction, found: Sequence[RecordChange]) -> list[RecordChange]:
    """What GPTWeb holds now beside what was decided: somebody may have decided anew since."""
    held: dict[str, dict[str, Value]] = {}
    for object in OBJECTS:
        ids = [one.our_id for one in found if one.object == object]
        if ids:
            query = sql.SQL("select id::text, to_jsonb(t) from {} t where id = any(%s::uuid[])").format(
                sql.Identifier("gptweb", f"{object}s")
            )
            held |= dict(tx.rows(query, (ids,)))
    return [
        replace(
            one, fields=tuple(replace(f, present=held.get(one.our_id, {}).get(f.field)) for f in one.fields)
        )
        for one in found
    ]
