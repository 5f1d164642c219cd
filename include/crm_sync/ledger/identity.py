"""Who has no partner yet: strays of theirs and records of ours, a chunk at a time, each with its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Ambiguous, Candidates, Create, Match, judge
from crm_sync.ledger import window
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import columns, match_function, our_record, table
from crm_sync.ledger.runs import Run
from crm_sync.ledger.sharing import Sharing, key_says, nobody, sharing
from crm_sync.model import OurRecord

__all__ = ["FIRST_ID", "Stray", "Unlinked", "strangers", "strays_of", "unlinked", "unlinked_of"]

FIRST_ID = "00000000-0000-0000-0000-000000000000"
_UNLINKED = sql.SQL("""
    select b.our_id::text, b.version, l.link_id,
      exists (select 1 from (select * from crm_sync.parked p where p.our_id = b.our_id offset 0) p
        where p.connection = %(c)s and p.object = %(o)s and p.link_id is not null and p.field is null and p.held
          and p.lifted_at is null and p.our_version = o.version),
      {keys}, {columns}
    from crm_sync.outbox b
    left join {table} o on o.id = b.our_id
    left join lateral (select * from crm_sync.link l where l.connection = b.connection and l.object = b.object
      and l.our_id = b.our_id offset 0) l on true
    where b.connection = %(c)s and b.object = %(o)s and {which} and l.their_id is null
      and (l.link_id is null or l.state = 'creating') and (l.claim_until is null or l.claim_until < %(now)s)
    order by b.our_id limit %(limit)s""")


@dataclass(frozen=True, slots=True)
class Stray:
    """A living record of theirs without a link.  ``keyed_to``: what our key on it says, None if it carries none."""

    their_id: str
    keyed_to: Match | Ambiguous | None
    levels: tuple[Candidates, ...]


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A record of ours without a record of theirs.  ``refused``: the CRM refused this version of it as a whole."""

    our_id: str
    version: int
    link_id: int | None
    record: OurRecord | None
    refused: bool
    levels: tuple[Candidates, ...]

    @property
    def deleted(self) -> bool:
        """Whether our record is gone or archived."""
        return self.record is None or self.record.deleted

    @property
    def creatable(self) -> bool:
        """Whether nobody on their side matches."""
        return isinstance(judge(self.levels, "ours"), Create)


def strangers(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: str, limit: int
) -> list[tuple[str, bool]]:
    """The next living strays of a run in order of their id, and whether each is plainly new: nobody alike, not parked."""
    query = sql.SQL("""
        select s.their_id, s.our_id is null and {nobody}
        from crm_sync.stray s
        where s.connection = %(c)s and s.their_object = %(t)s and s.object = %(o)s and s.their_id > %(after)s
          and not s.deleted and not s.reread and {within}
        order by s.their_id limit %(limit)s""").format(
        nobody=nobody(mapping), within=window.stray_within(run, mapping)
    )
    parameters = {
        "c": run.connection,
        "o": mapping.object,
        "t": mapping.theirs,
        "after": after,
        "limit": limit,
    }
    # Each look-up finds a row or none: the way over a bitmap takes twice as long.
    tx.run("set local enable_bitmapscan = off")
    found = tx.rows(query, {**parameters, **window.bounds(run)})
    tx.run("set local enable_bitmapscan = on")
    parked = {row[0] for row in tx.rows(
        "select their_id from crm_sync.parked where connection = %s and object = %s and their_id = any(%s) and lifted_at is null",
        (run.connection, mapping.object, [row[0] for row in found]),
    )}  # fmt: skip
    return [(their_id, new and their_id not in parked) for their_id, new in found]


def strays_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str], *, lock: bool = True
) -> list[Stray]:
    """These living strays, as far as they still are, each with its candidates among ours by now."""
    query = sql.SQL(
        "select their_id, our_id::text, match_first, match_second from crm_sync.stray "
        "where connection = %(c)s and their_object = %(t)s and their_id = any(%(ids)s) and object = %(o)s "
        "and not deleted and not reread order by their_id {lock}"
    ).format(lock=sql.SQL("for update" if lock else ""))
    parameters = {"c": connection, "o": mapping.object, "t": mapping.theirs, "ids": list(their_ids)}
    return _strays(tx, mapping, connection, tx.rows(query, parameters))


def unlinked(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: str, limit: int, now: datetime
) -> list[Unlinked]:
    """The next records of a run's outbox without a record of theirs, each with its candidates among theirs."""
    parameters = {"c": run.connection, "o": mapping.object, "after": after, "limit": limit, "now": now}
    which = sql.SQL("b.our_id > %(after)s::uuid and {}").format(window.within(run, sql.SQL("o.updated_at")))
    return _unlinked(tx, mapping, which, {**parameters, **window.bounds(run)})


def unlinked_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, our_ids: Sequence[str], now: datetime
) -> list[Unlinked]:
    """These records of ours, as far as they still wait for a record of theirs."""
    parameters = {
        "c": connection,
        "o": mapping.object,
        "ids": list(our_ids),
        "limit": len(our_ids),
        "now": now,
    }
    return _unlinked(tx, mapping, sql.SQL("b.our_id = any(%(ids)s::uuid[])"), parameters)


def _strays(
    tx: Transaction, mapping: ObjectMapping, connection: str, rows: Sequence[Sequence[Any]]
) -> list[Stray]:
    keyed = key_says(tx, mapping, connection, {row[1] for row in rows if row[1]})
    by_level = [
        sharing(tx, mapping, connection, level, [row[2 + level] for row in rows])
        for level in range(len(mapping.match))
    ]
    return [
        Stray(
            their_id, keyed.get(our_id),
            tuple(
                Candidates(column, key, len(found.strays), tuple(found.free), tuple(found.linked))
                for column, key, by_key in zip(mapping.match, keys, by_level, strict=False)
                for found in [by_key.get(key, Sharing())]
            ),
        )
        for their_id, our_id, *keys in rows
    ]  # fmt: skip


def _unlinked(
    tx: Transaction, mapping: ObjectMapping, which: sql.Composable, parameters: dict[str, Any]
) -> list[Unlinked]:
    keys = sql.SQL(", ").join(
        sql.SQL("{}(o.{})").format(match_function(mapping, column), sql.Identifier(column))
        for column in mapping.match
    )
    query = _UNLINKED.format(keys=keys, columns=columns(mapping, "o"), table=table(mapping), which=which)
    rows = tx.rows(query, parameters)
    width = len(mapping.match)
    by_level = [
        sharing(tx, mapping, parameters["c"], level, [row[4 + level] for row in rows])
        for level in range(width)
    ]
    return [
        Unlinked(
            row[0], row[1], row[2], our_record(mapping, row[0], row[4 + width :]), row[3],
            tuple(
                Candidates(
                    column, key, len({*found.free, row[0]}), tuple(found.strays),
                    tuple(other for other in found.linked if other != row[0]),
                )
                for column, key, by_key in zip(mapping.match, row[4 : 4 + width], by_level, strict=True)
                for found in [by_key.get(key, Sharing())]
            ),
        )
        for row in rows
    ]  # fmt: skip
