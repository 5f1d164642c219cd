"""Parked: a value that was refused or needs a person, with cause and remedy; everything else of the record flows on."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from psycopg import sql

from crm_sync.decide.again import distance
from crm_sync.decide.existence import EXISTS
from crm_sync.decide.merge import KEY
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.trail import Line, note
from crm_sync.model import Object, Side, Value

__all__ = [
    "Key",
    "Refusal",
    "calls_since",
    "keep",
    "lift_agreed",
    "lift_busy",
    "lift_changed",
    "lift_gone",
    "lift_linked",
    "lift_unnamed",
    "lift_written",
    "park",
    "refused_before",
    "try_again",
    "wake",
]

Key = Literal["our_id", "their_id"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something can't go to ``side``: a field's value, or with ``field`` None the whole record.

    ``our_version``: the refusal named no field, so it stands only while our record stays as it is.  ``transient``: only
    busy, so it is tried again by itself.  ``held`` False: nothing was refused, the line tells what is waited for.
    """

    object: Object
    side: Side
    code: str
    cause: str
    remedy: str
    link_id: int | None = None
    our_id: str | None = None
    their_id: str | None = None
    field: str | None = None
    value: Value = None
    our_version: int | None = None
    transient: bool = False
    held: bool = True


def park(tx: Transaction, run_id: int, connection: str, refusals: Sequence[Refusal], calls: float = 0) -> int:
    """Park refused values; one that is refused again counts a further try.  Returns how many are new.

    ``calls``: what each record's try has cost.
    """
    new = 0
    for r in refusals:
        standing = tx.rows(
            """select parked_id, tries from crm_sync.parked
            where connection = %s and object = %s and side = %s and field is not distinct from %s and lifted_at is null
              and our_id is not distinct from %s::uuid and (their_id is not distinct from %s or link_id = %s) for update""",
            (connection, r.object, r.side, r.field, r.our_id, r.their_id, r.link_id),
        )
        for parked_id, tries in standing:
            tx.run(
                """update crm_sync.parked set tries = tries + 1, last_at = clock_timestamp(), code = %s, cause = %s,
                  remedy = %s, value = %s, our_version = %s, held = %s, next_try_at = clock_timestamp() + %s,
                  calls = calls + %s, their_id = coalesce(%s, their_id) where parked_id = %s""",
                (r.code, r.cause, r.remedy, Jsonb(r.value), r.our_version, r.held, _distance(r, tries + 1), calls, r.their_id,
                 parked_id),
            )  # fmt: skip
        if not standing:
            _insert(tx, run_id, connection, r, calls)
            new += 1
    return new


def refused_before(
    tx: Transaction, link_ids: Sequence[int], side: Side, field: str, codes: Collection[str]
) -> set[int]:
    """The links for which this field stands as refused under one of these codes."""
    rows = tx.rows(
        "select link_id from crm_sync.parked where link_id = any(%s) and side = %s and field = %s and code = any(%s) "
        "and lifted_at is null",
        (list(link_ids), side, field, list(codes)),
    )
    return {row[0] for row in rows}


def calls_since(tx: Transaction, run_id: int, moment: datetime) -> int:
    """How many calls the run has booked since then."""
    calls: int = tx.one(
        "select count(*) from crm_sync.spending where run_id = %s and booked_at >= %s", (run_id, moment)
    )
    return calls


def wake(tx: Transaction, connection: str) -> int:
    """What is due is work again: a record of theirs by its dirty link, one to be created by our outbox, where it still is."""
    due = tx.rows(
        """update crm_sync.parked set held = false where connection = %s and lifted_at is null and held
          and next_try_at <= clock_timestamp() returning link_id, object, our_id::text, field""",
        (connection,),
    )
    links = [row[0] for row in due if row[0] is not None]
    tx.run(
        "update crm_sync.link set dirty = true, dirty_since = clock_timestamp() where link_id = any(%s) and not dirty",
        (links,),
    )
    whole = [(object, our_id) for _, object, our_id, column in due if column is None and our_id is not None]
    tx.run(
        """update crm_sync.outbox b set since = clock_timestamp() from unnest(%s::text[], %s::uuid[]) as w (object, our_id)
        where b.connection = %s and b.object = w.object and b.our_id = w.our_id""",
        ([object for object, _ in whole], [our_id for _, our_id in whole], connection),
    )
    return len(due)


def try_again(
    tx: Transaction, connection: str, parked_ids: Sequence[int] | None = None, code: str | None = None
) -> int:
    """A person says so: what is parked (these lines, or all of one code or any that nobody ignores) is due.  Returns how many."""
    return tx.run(
        """update crm_sync.parked set next_try_at = clock_timestamp(), ignored_by = null where connection = %(c)s and lifted_at is null
          and (%(ids)s::bigint[] is null and ignored_by is null or parked_id = any(%(ids)s::bigint[]))
          and (%(code)s::text is null or code = %(code)s)""",
        {"c": connection, "ids": None if parked_ids is None else list(parked_ids), "code": code},
    )


def keep(
    tx: Transaction, run_id: int, connection: str, object: Object, parked: Sequence[Refusal], judged: Sequence[str],
    key: Key, code: str, settled: str = "no longer ambiguous",
) -> int:  # fmt: skip
    """Replace what ``judged`` records were parked for under ``code`` by this plan's verdicts; returns the new ones."""
    if not judged:
        return 0

    rows = tx.rows(
        sql.SQL(
            "select {key}::text, cause, parked_id from crm_sync.parked where connection = %s and object = %s and code = %s "
            "and lifted_at is null and {key} = any({judged})"
        ).format(key=sql.Identifier(key), judged=sql.SQL("%s::uuid[]" if key == "our_id" else "%s")),
        (connection, object, code, list(judged)),
    )
    standing = {owner: (cause, parked_id) for owner, cause, parked_id in rows}
    wanted = {getattr(r, key): r for r in parked}
    gone = [parked_id for owner, (cause, parked_id) in standing.items() if owner not in wanted]
    _lift(tx, settled, gone)
    new = [r for owner, r in wanted.items() if owner not in standing]
    for refusal in new:
        _insert(tx, run_id, connection, refusal)
    note(tx, run_id, connection, object, [
        Line(r.code, "parked", our_id=r.our_id, their_id=r.their_id, side=r.side, detail=f"{r.cause}. {r.remedy}") for r in new
    ])  # fmt: skip
    return len(new)


def lift_written(tx: Transaction, side: Side, written: Mapping[int, Collection[str]]) -> None:
    """What was written to a side after all is no longer parked: fields by link; so is a record refused as a whole."""
    standing = _standing(tx, set(written))
    _lift(tx, "written", [
        parked_id for parked_id, link_id, where, column in standing
        if where == side and (column is None or column in written[link_id])
    ])  # fmt: skip


def lift_changed(tx: Transaction, changed: Iterable[tuple[int, Side, str]]) -> None:
    """A value that nobody holds any more needs nobody: (link id, side, field)."""
    gone = set(changed)
    standing = _standing(tx, {link_id for link_id, _, _ in gone})
    _lift(tx, "the value changed", [
        parked_id for parked_id, link_id, side, column in standing if (link_id, side, column) in gone
    ])  # fmt: skip


def _standing(tx: Transaction, link_ids: set[int]) -> list[tuple[int, int, Side, str | None]]:
    """What of these links is parked: mostly nothing, so the question is asked by link and not by field."""
    if not link_ids:
        return []
    query = "select parked_id, link_id, side, field from crm_sync.parked where link_id = any(%s) and lifted_at is null"
    return tx.rows(query, (sorted(link_ids),))


def _lift(tx: Transaction, because: str, parked_ids: Sequence[int]) -> None:
    if parked_ids:
        tx.run(
            "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = %s where parked_id = any(%s)",
            (because, list(parked_ids)),
        )


def lift_linked(
    tx: Transaction, connection: str, object: Object, our_ids: Sequence[str], their_ids: Sequence[str]
) -> None:
    """Who is linked is no longer a possible duplicate."""
    tx.run(
        """update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'linked'
        where connection = %s and object = %s and lifted_at is null and link_id is null
          and (our_id = any(%s::uuid[]) or their_id = any(%s))""",
        (connection, object, list(our_ids), list(their_ids)),
    )


def lift_gone(
    tx: Transaction, connection: str, object: Object, our_ids: Sequence[str], *, deletes_too: bool = False
) -> None:
    """What was left to a person about a record that a side has deleted needs nobody; a delete that was refused still does."""
    if our_ids:
        tx.run(
            """update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'its record was deleted'
            where connection = %s and object = %s and our_id = any(%s::uuid[]) and lifted_at is null
              and (%s or field is distinct from %s)""",
            (connection, object, list(our_ids), deletes_too, EXISTS),
        )


def lift_agreed(tx: Transaction, agreed: Sequence[tuple[int, int]]) -> None:
    """Lines that stood for one version of our record, where a later one has nothing left to send: (link id, version)."""
    if agreed:
        tx.run(
            """update crm_sync.parked p set lifted_at = clock_timestamp(), lifted_because = 'the value changed'
            from unnest(%s::bigint[], %s::bigint[]) as w (link_id, version)
            where p.link_id = w.link_id and p.our_version <> w.version and p.field is not null and p.side = 'theirs'
              and p.lifted_at is null""",
            ([link_id for link_id, _ in agreed], [version for _, version in agreed]),
        )


def lift_unnamed(tx: Transaction, link_ids: Sequence[int]) -> None:
    """A refusal that named none of the fields sent was of the record as it was there, and now that is another one."""
    if link_ids:
        tx.run(
            """update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'their record changed'
            where link_id = any(%s) and side = 'theirs' and our_version is not null and field is not null and field <> %s
              and next_try_at is null and lifted_at is null""",
            (list(link_ids), KEY),
        )


def lift_busy(tx: Transaction, link_ids: Sequence[int]) -> None:
    """A record that is gone is not busy: what waited to be sent to it is an edit that was never refused."""
    if link_ids:
        tx.run(
            "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'its record is gone there' "
            "where link_id = any(%s) and next_try_at is not null and lifted_at is null",
            (list(link_ids),),
        )


def _insert(tx: Transaction, run_id: int, connection: str, r: Refusal, calls: float = 0) -> None:
    tx.run(
        """insert into crm_sync.parked (connection, object, link_id, our_id, their_id, side, field, value, our_version,
          cause, code, remedy, run_id, held, next_try_at, calls)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + %s, %s)""",
        (connection, r.object, r.link_id, r.our_id, r.their_id, r.side, r.field, Jsonb(r.value), r.our_version, r.cause,
         r.code, r.remedy, run_id, r.held, _distance(r, 1), calls),
    )  # fmt: skip


def _distance(r: Refusal, tries: int) -> timedelta | None:
    return distance(tries, random.random()) if r.transient else None  # noqa: S311  spreads tries, no secret
