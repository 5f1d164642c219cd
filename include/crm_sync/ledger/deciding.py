"""What a person decides about a conflict or a parked value: a write to our own record, which the next sync carries.

There is no second way to the CRM: whatever is decided becomes an edit of ours, with the person's name in the trail.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import psycopg
from psycopg import sql

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.values import canonical
from crm_sync.errors import Misconfigured, Missing
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.trail import Line, note
from crm_sync.model import OBJECTS, Object, Value

__all__ = ["Parked", "ParkedCode", "codes", "ignore", "parked", "put", "put_parked", "take_theirs"]

Mappings = Mapping[Object, ObjectMapping]
_YES_OR_NO: Mapping[Value, Value] = {"true": True, "yes": True, "false": False, "no": False, "": False}
"""How a person may type a yes or a no."""


class _Unchecked(Enum):
    UNCHECKED = 0


UNCHECKED: Final = _Unchecked.UNCHECKED
"""Nobody looked at what the record holds; a blank that somebody looked at is None."""


@dataclass(frozen=True, slots=True)
class Parked:
    """One parked value or record with what each side holds now.  ``field`` None: the whole record."""

    parked_id: int
    object: Object
    our_id: str | None
    their_id: str | None
    side: str
    field: str | None
    value: Value
    code: str
    cause: str
    remedy: str
    waits_for: str
    first_at: datetime
    last_at: datetime
    age: timedelta
    tries: int
    calls: float
    ignored_by: str | None
    ours: Value = None
    theirs: Value = None
    base: Value = None

    @property
    def mark(self) -> str:
        """Tells what GPTWeb held when it was looked at from what it holds when somebody decides."""
        return _mark(self.ours)


@dataclass(frozen=True, slots=True)
class ParkedCode:
    """How many rows are parked for one reason."""

    code: str
    rows: int


def codes(tx: Transaction, connection: str) -> list[ParkedCode]:
    """The reasons, the most frequent first."""
    rows = tx.rows(
        "select code, count(*) from crm_sync.parked where connection = %s and lifted_at is null and ignored_by is null "
        "group by code order by 2 desc, 1",
        (connection,),
    )
    return [ParkedCode(*row) for row in rows]


def parked(
    tx: Transaction, connection: str, limit: int, before: int | None = None, code: str | None = None, *, ignored: bool = False
) -> list[Parked]:  # fmt: skip
    """The newest first; ``before``: a row's number, for the page after it; ``ignored``: those that somebody ignores."""
    rows = tx.rows(
        """select p.parked_id, p.object, p.our_id::text, p.their_id, p.side, p.field, p.value, p.code, p.cause, p.remedy,
          case when p.next_try_at is not null then 'tried again at its time' when p.held then 'a person or a new value'
            else 'tried again in the next run' end,
          p.first_at, p.last_at, clock_timestamp() - p.first_at, p.tries, p.calls::float8, p.ignored_by,
          i.seen -> p.field, i.base_ours -> p.field
        from (select * from crm_sync.parked where connection = %(c)s and lifted_at is null
            and (%(before)s::bigint is null or parked_id < %(before)s) and (%(code)s::text is null or code = %(code)s)
            and (ignored_by is not null) = %(ignored)s
          order by parked_id desc limit %(limit)s) p
        left join crm_sync.image i on i.link_id = p.link_id order by p.parked_id desc""",
        {"c": connection, "before": before, "code": code, "limit": limit, "ignored": ignored},
    )
    ours = _ours(tx, [(row[1], row[2]) for row in rows if row[2]])
    return [
        replace(Parked(*row[:17]), ours=ours.get(row[2], {}).get(row[5]), theirs=row[17], base=row[18])
        for row in rows
    ]


def ignore(tx: Transaction, connection: str, parked_ids: Sequence[int], who: str) -> int:
    """They stay parked, but nobody is reminded of them; a changed value, setting or mapping lifts them as ever."""
    rows = tx.rows(
        "update crm_sync.parked set ignored_by = %s where connection = %s and parked_id = any(%s) and lifted_at is null "
        "and ignored_by is null returning object, our_id::text, their_id, side, field",
        (who, connection, list(parked_ids)),
    )
    for object, our_id, their_id, side, field in rows:
        line = Line("ignored", "noted", our_id=our_id, their_id=their_id, side=side, field=field, actor=who)
        note(tx, None, connection, object, [line])
    return len(rows)


def put_parked(
    tx: Transaction, connection: str, mappings: Mappings, parked_id: int, value: Value, who: str, mark: str | None = None
) -> None:  # fmt: skip
    """Give the field of a parked row another value, in our record; ``mark``: of the row as the person saw it."""
    object, our_id, field, _ = _of_parked(tx, connection, parked_id)
    seen = _as_seen(tx, object, our_id, field, mark)
    put(tx, connection, mappings[object], our_id, field, value, who, seen)


def take_theirs(
    tx: Transaction, connection: str, mappings: Mappings, parked_id: int, who: str, mark: str | None = None
) -> None:
    """Give the field of a parked row the value that the CRM was last seen to hold, in our record; ``mark`` as above."""
    object, our_id, field, theirs = _of_parked(tx, connection, parked_id)
    seen = _as_seen(tx, object, our_id, field, mark)
    put(tx, connection, mappings[object], our_id, field, theirs, who, seen)


def _as_seen(
    tx: Transaction, object: Object, our_id: str, field: str, mark: str | None
) -> Value | _Unchecked:
    """What our record holds, if it is what the person saw."""
    if mark is None:
        return UNCHECKED
    held = _ours(tx, [(object, our_id)]).get(our_id, {}).get(field)
    if _mark(held) != mark:
        raise Misconfigured(
            f"{field} of {object} {our_id} was changed since the page was opened: look at the page again"
        )
    return held


def _mark(value: Value) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _of_parked(tx: Transaction, connection: str, parked_id: int) -> tuple[Object, str, str, Value]:
    rows = tx.rows(
        "select p.object, p.our_id::text, p.field, i.seen -> p.field from crm_sync.parked p "
        "left join crm_sync.image i on i.link_id = p.link_id "
        "where p.connection = %s and p.parked_id = %s and p.lifted_at is null",
        (connection, parked_id),
    )
    if not rows:
        raise Missing(f"row {parked_id} is no longer parked: look at the page again")
    object, our_id, field, theirs = rows[0]
    if our_id is None or field is None:
        raise Misconfigured("this row is about a whole record: mend it as its remedy says, then retry it")
    return object, our_id, field, theirs


def put(
    tx: Transaction, connection: str, mapping: ObjectMapping, our_id: str, field: str, value: Value, who: str,
    instead_of: Value | _Unchecked = UNCHECKED,
) -> None:  # fmt: skip
    """Write one field of our record as an edit of a person; the next sync carries it.

    ``instead_of``: refused if the record holds something else by now.
    """
    mapped = mapping.by_ours.get(field)
    if mapped is None or mapped.references:
        raise Misconfigured(f"{field} can't be decided here: edit the record in GPTWeb or in the CRM")
    wanted = _typed(mapped, value)
    table, column = sql.Identifier("gptweb", mapping.table), sql.Identifier(field)
    held = tx.rows(
        sql.SQL("select to_jsonb({}) from {} where id = %s and deleted_at is null for update").format(
            column, table
        ),
        (our_id,),
    )
    if not held:
        raise Missing(f"{mapping.object} {our_id} is no longer in GPTWeb; there is nothing left to decide")
    before = canonical(mapped, held[0][0])
    if instead_of is not UNCHECKED and before != canonical(mapped, instead_of):
        raise Misconfigured(
            f"{field} was changed since this decision, to {before!r}: look at the record again"
        )
    try:
        tx.run(
            sql.SQL("update {t} set {c} = (jsonb_populate_record(null::{t}, %s)).{c} where id = %s").format(
                t=table, c=column
            ),
            (Jsonb({field: wanted}), our_id),
        )
    except psycopg.DataError as error:
        raise Misconfigured(
            f"{field}: GPTWeb's database refuses {value!r}: {error.diag.message_primary}"
        ) from None
    line = Line("decided_by_a_person", "noted", our_id=our_id, side="ours", field=field, before=before, after=wanted, actor=who)  # fmt: skip
    note(tx, None, connection, mapping.object, [line])


def _typed(mapped: FieldMapping, value: Value) -> Value:
    """The value as our column's type has it."""
    try:
        return canonical(mapped, _YES_OR_NO.get(value, value) if mapped.type == "boolean" else value)
    except (ValueError, ArithmeticError) as error:
        raise Misconfigured(f"{mapped.ours}: {value!r} is no {mapped.type}: {error}") from None


def _ours(tx: Transaction, wanted: Sequence[tuple[Object, str]]) -> dict[str, dict[str, Value]]:
    held: dict[str, dict[str, Value]] = {}
    for object in OBJECTS:
        ids = [our_id for of, our_id in wanted if of == object]
        if ids:
            query = sql.SQL("select id::text, to_jsonb(t) from {} t where id = any(%s::uuid[])").format(
                sql.Identifier("gptweb", f"{object}s")
            )
            held |= dict(tx.rows(query, (ids,)))
    return held
