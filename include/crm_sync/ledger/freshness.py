"""How far one side is behind the other: the records with a change that is not on the other side yet, and its age."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg import sql

from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.pacing import WAITING
from crm_sync.model import OBJECTS, Object

__all__ = ["AT_MOST", "Freshness", "by_object", "freshness", "freshness_of", "note"]

AT_MOST: Final = 1_000
"""Records of one object that are looked at: a page has no time for the backlog of a first sync."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """``waiting`` records; ``more``: there are more than were looked at, and ``age`` is then only a lower bound.

    ``age``: how long the oldest waiting change has waited; None where nothing waits.
    """

    waiting: int
    more: bool
    age: timedelta | None


def freshness(tx: Transaction, connection: str) -> Freshness:
    """What waits at this moment; values that are parked wait for a person and do not count."""
    return _sum(by_object(tx, connection).values())


def freshness_of(tx: Transaction, names: Sequence[str]) -> dict[str, Freshness]:
    """The same of several connections: only where something may wait it is counted."""
    busy = set(tx.rows(_BUSY, {"names": list(names), "objects": list(OBJECTS)}))
    return {
        name: _sum(_of_object(tx, name, object) for object in OBJECTS if (name, object) in busy)
        for name in names
    }


def _sum(found: Iterable[Freshness]) -> Freshness:
    each = list(found)
    ages = [one.age for one in each if one.age is not None]
    return Freshness(sum(one.waiting for one in each), any(one.more for one in each), max(ages, default=None))


def by_object(tx: Transaction, connection: str) -> dict[Object, Freshness]:
    """The same for each object by itself."""
    return {object: _of_object(tx, connection, object) for object in OBJECTS}


def note(tx: Transaction, connection: str, run_id: int) -> str:
    """Keep with a run what waits at its end, and say it in a line; blank where nothing does."""
    found = {object: one for object, one in by_object(tx, connection).items() if one.waiting}
    kept = {
        object: {"waiting": one.waiting, "age": one.age and one.age.total_seconds()}
        for object, one in found.items()
    }
    tx.run("update crm_sync.run set freshness = %s where run_id = %s", (Jsonb(kept), run_id))
    return "; ".join(_line(object, one) for object, one in found.items())


def _line(object: Object, one: Freshness) -> str:
    age = "" if one.age is None else f", the oldest since {timedelta(seconds=int(one.age.total_seconds()))}"
    return f"{object}: {one.waiting}{' or more' if one.more else ''} not on the other side yet{age}"


def _of_object(tx: Transaction, connection: str, object: Object) -> Freshness:
    """Ours by the time of the edit, theirs by the CRM's own stamp, and what no edit made work by the time of that.

    A record with changes on both sides counts once; one that is to be made there counts by the outbox.

    With offset 0 each record is looked up by key; as a join, all that is parked would be read for it (adr/0004).
    """
    query = sql.SQL("""with ours as materialized (
          select b.our_id, b.since from crm_sync.outbox b
          where b.connection = %(c)s and b.object = %(o)s
            and not exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
              and l.our_id = b.our_id and {waiting})
            and not exists (select 1 from (select * from crm_sync.parked p where p.our_id = b.our_id offset 0) p
              where p.connection = %(c)s and p.object = %(o)s and p.held and p.lifted_at is null and p.field is null)
          limit {at_most}),
        theirs as materialized (
          select l.our_id, greatest(l.seen_stamp, l.dirty_since) as at from crm_sync.link l
          where l.connection = %(c)s and l.object = %(o)s and l.dirty and l.their_id is not null limit {at_most}),
        waiting as (
          select w.our_id, greatest(w.since, (select t.updated_at from {table} t where t.id = w.our_id)) as at from ours w
          union all
          select our_id, at from theirs where our_id not in (select our_id from ours))
        select count(*), (select count(*) from ours) = {at_most} or (select count(*) from theirs) = {at_most}, min(at)
        from waiting""").format(
        waiting=WAITING, at_most=sql.Literal(AT_MOST), table=sql.Identifier("gptweb", f"{object}s")
    )
    now: datetime = tx.one("select clock_timestamp()")
    count, more, oldest = tx.rows(query, {"c": connection, "o": object, "now": now})[0]
    age = max(now - oldest, timedelta(0)) if oldest else None
    return Freshness(int(count), bool(more), age)


_BUSY = """select c.name, o.name from unnest(%(names)s::text[]) c (name) cross join unnest(%(objects)s::text[]) o (name)
  where exists (select 1 from crm_sync.outbox b where b.connection = c.name and b.object = o.name offset 0)
    or exists (select 1 from crm_sync.link l where l.connection = c.name and l.object = o.name and l.dirty offset 0)"""
