"""What there is to do: dirty links, the outbox, and what this run planned already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger import window
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.pacing import WAITING
from crm_sync.ledger.records import table
from crm_sync.ledger.runs import Run

__all__ = [
    "analyze",
    "analyze_links",
    "clear_gone",
    "clear_outbox",
    "creates_elsewhere",
    "dirty_links",
    "room",
]


def dirty_links(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: int, limit: int, now: datetime
) -> list[int]:
    """The next links to plan: seen differs from the base, or our record is in the outbox and does not wait.

    Of a run with a window only those last changed in it.
    """
    rows = tx.rows(
        sql.SQL("""(select link_id from crm_sync.link l
          where connection = %(c)s and object = %(o)s and dirty and link_id > %(after)s and their_id is not null
            and {within}
          order by link_id limit %(limit)s)
        union
        (select l.link_id from crm_sync.outbox b
          join crm_sync.link l on l.connection = b.connection and l.object = b.object and l.our_id = b.our_id
          where b.connection = %(c)s and b.object = %(o)s and l.link_id > %(after)s and l.their_id is not null
            and {within} and not {waiting}
          order by l.link_id limit %(limit)s)
        order by link_id limit %(limit)s""").format(waiting=WAITING, within=window.link_within(run, mapping)),
        {
            "c": run.connection,
            "o": mapping.object,
            "after": after,
            "limit": limit,
            "now": now,
            **window.bounds(run),
        },
    )
    return [row[0] for row in rows]


def creates_elsewhere(tx: Transaction, run: Run, mapping: ObjectMapping, now: datetime) -> int:
    """How many records another run, or its bulk job, is creating there at this moment: they are not judged meanwhile."""
    count: int = tx.one(
        "select count(*) from crm_sync.link where connection = %s and object = %s and their_id is null "
        "and claim_run is distinct from %s and claim_until >= %s",
        (run.connection, mapping.object, run.run_id, now),
    )
    return count


def clear_outbox(
    tx: Transaction, connection: str, object: str, settled: Sequence[tuple[str, int]],
    locked: ObjectMapping | None = None,
) -> None:  # fmt: skip
    """Our records of which nothing is left to do: their outbox rows go, unless a newer edit came meanwhile.

    Versions begin anew where a record was deleted and is inserted again with its old id, as by who restores a table: the
    delete has the higher one.  Where our records are ``locked``, that they are of the version settled is enough.
    """
    if not settled:
        return
    again: sql.Composable = sql.SQL("")
    if locked:
        again = sql.SQL(
            " or exists (select from {} r where r.id = s.our_id and r.version = s.version)"
        ).format(table(locked))
    tx.run(
        # The version is compared on the row itself: Postgres before 18.1 does not look at a ctid again after waiting.
        sql.SQL("""delete from crm_sync.outbox o using (
          select b.ctid as place, greatest(b.version, s.version) as version
          from unnest(%s::uuid[], %s::bigint[]) as s (our_id, version)
          cross join lateral (select b.ctid, b.version from crm_sync.outbox b where b.connection = %s and b.object = %s
            and b.our_id = s.our_id and (b.version <= s.version{again}) offset 0) b) k
        where o.ctid = k.place and o.version <= k.version""").format(again=again),
        ([our_id for our_id, _ in settled], [version for _, version in settled], connection, object),
    )


def clear_gone(tx: Transaction, connection: str, mapping: ObjectMapping, our_ids: Sequence[str]) -> None:
    """Our records that are gone for good: their outbox rows go, except of those that were inserted again meanwhile.

    Versions can't tell that (see ``clear_outbox``).  Once its row is locked, who inserts a record has either committed,
    and the second statement sees it, or waits, and makes the row anew.
    """
    if not our_ids:
        return
    parameters = (connection, mapping.object, list(our_ids))
    tx.run(
        "select 1 from crm_sync.outbox where connection = %s and object = %s and our_id = any(%s::uuid[]) order by our_id for update",
        parameters,
    )
    tx.run(
        sql.SQL(
            "delete from crm_sync.outbox b where connection = %s and object = %s and our_id = any(%s::uuid[]) "
            "and not exists (select from {table} r where r.id = b.our_id)"
        ).format(table=table(mapping)),
        parameters,
    )


def room(tx: Transaction, run: Run, planned: int) -> int | None:
    """How many more records the run's limit lets in; None without a limit."""
    if run.limit is None:
        return None
    stored: int = tx.one("select count(*) from crm_sync.change where run_id = %s", (run.run_id,))
    return max(0, run.limit - stored - planned)


def analyze_links(tx: Transaction) -> None:
    """The same for what a large push of ours filled; analysed while still empty, they would look empty for long."""
    tx.run(_ROUGHLY)
    tx.run("analyze crm_sync.link, crm_sync.outbox, crm_sync.image (link_id)")


def analyze(tx: Transaction) -> None:
    """Fresh tables without statistics make the planner expect one row and choose a nested loop (hotpath.md 7)."""
    tx.run(_ROUGHLY)
    tx.run("select crm_sync.analyze_changes()")


_ROUGHLY = "set local default_statistics_target = 10"
"""How many there are is what counts: a tenth of the usual sample tells that as well, until autovacuum takes a larger one."""
