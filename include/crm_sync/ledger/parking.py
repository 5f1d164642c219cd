"""Parked: a value that was refused or needs a person, with cause and remedy; everything else of the record flows on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.trail import Line, note
from crm_sync.model import Object, Side, Value

__all__ = ["Key", "Refusal", "keep", "lift_changed", "lift_deleted", "lift_linked", "lift_written", "park"]

Key = Literal["our_id", "their_id"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something can't go to ``side``: a field's value, or with ``field`` None the whole record.

    ``our_version``: the refusal named no field, so it stands only while our record stays as it is.
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


def park(tx: Transaction, run_id: int, connection: str, refusals: Sequence[Refusal]) -> int:
    """Park refused values; one that is refused again counts a further try.  Returns how many are new."""
    new = 0
    for r in refusals:
        again = tx.run(
            """update crm_sync.parked set tries = tries + 1, last_at = clock_timestamp(), cause = %s, remedy = %s,
              value = %s, our_version = %s
            where connection = %s and object = %s and side = %s and field is not distinct from %s and lifted_at is null
              and our_id is not distinct from %s::uuid and their_id is not distinct from %s""",
            (
                r.cause,
                r.remedy,
                Jsonb(r.value),
                r.our_version,
                connection,
                r.object,
                r.side,
                r.field,
                r.our_id,
                r.their_id,
            ),
        )
        if not again:
            _insert(tx, run_id, connection, r)
            new += 1
    return new


def keep(
    tx: Transaction, run_id: int, connection: str, object: Object, parked: Sequence[Refusal], judged: Sequence[str],
    key: Key, code: str,
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
    tx.run(
        "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'no longer ambiguous' "
        "where parked_id = any(%s)",
        (gone,),
    )
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


def lift_deleted(tx: Transaction, link_ids: Sequence[int]) -> None:
    """Whoever of ours was left to a person, and was deleted by one, needs nobody any more."""
    if link_ids:
        tx.run(
            "update crm_sync.parked set lifted_at = clock_timestamp(), lifted_because = 'deleted in GPTWeb' "
            "where link_id = any(%s) and lifted_at is null",
            (list(link_ids),),
        )


def _insert(tx: Transaction, run_id: int, connection: str, r: Refusal) -> None:
    tx.run(
        """insert into crm_sync.parked (connection, object, link_id, our_id, their_id, side, field, value, our_version,
          cause, code, remedy, run_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (connection, r.object, r.link_id, r.our_id, r.their_id, r.side, r.field, Jsonb(r.value), r.our_version, r.cause,
         r.code, r.remedy, run_id),
    )  # fmt: skip
