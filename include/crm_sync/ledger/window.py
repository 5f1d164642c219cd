"""The window of a backfill: the records whose last change, on either side, lies in it; other runs have none.

What a run plans is its window's as much as what it reads.  A backfill leaves everything else that is dirty to the next
sync: so several of them share no record, and none spends its lane on today's work.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import match_function, table
from crm_sync.ledger.runs import Run

__all__ = ["bounds", "changed_here", "link_within", "stray_within", "within"]

EVERYTHING = sql.SQL("true")


def bounds(run: Run) -> dict[str, datetime | None]:
    """The parameters of ``within``."""
    return {"since": run.since, "until": run.until}


def within(run: Run, column: sql.Composable) -> sql.Composable:
    """The condition that a time lies in the run's window, its beginning included and its end not."""
    if not run.has_window:
        return EVERYTHING
    return sql.SQL(
        "({c} >= coalesce(%(since)s::timestamptz, '-infinity') and {c} < coalesce(%(until)s::timestamptz, 'infinity'))"
    ).format(c=column)


def link_within(run: Run, mapping: ObjectMapping) -> sql.Composable:
    """The condition that either record of a link ``l`` was last changed in the run's window."""
    if not run.has_window:
        return EVERYTHING
    return sql.SQL("({} or exists (select 1 from {} o where o.id = l.our_id and {}))").format(
        within(run, sql.SQL("l.seen_stamp")), table(mapping), within(run, sql.SQL("o.updated_at"))
    )


def stray_within(run: Run, mapping: ObjectMapping) -> sql.Composable:
    """The condition that a stray was last changed in the run's window, or may be who an unlinked record of ours is."""
    if not run.has_window:
        return EVERYTHING
    here = sql.SQL("""from crm_sync.outbox b join {table} o on o.id = b.our_id
          where b.connection = %(c)s and b.object = %(o)s and {within}""").format(
        table=table(mapping), within=within(run, sql.SQL("o.updated_at"))
    )
    levels = ("match_first", "match_second")
    same_key = [
        sql.SQL(" or {} = any(array(select {}(o.{}) {}))").format(
            sql.Identifier(level), match_function(mapping, column), sql.Identifier(column), here
        )
        for level, column in zip(levels, mapping.match, strict=False)
    ]
    return sql.SQL("({} or our_id = any(array(select b.our_id {})){})").format(
        within(run, sql.SQL("stamp")), here, sql.SQL("").join(same_key)
    )


def changed_here(
    tx: Transaction, run: Run, mapping: ObjectMapping, after: str, unread_since: int, limit: int
) -> list[tuple[str, str]]:
    """The next linked records of ours last changed in the window (our id, their id), in order of our id.

    Whose counterpart was read since request number ``unread_since`` is left out.
    """
    query = sql.SQL("""select o.id::text, l.their_id from {table} o
        cross join lateral (select l.their_id from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
          and l.our_id = o.id and l.their_id is not null and l.state in ('live', 'gone')
          and l.seen_recv < %(read)s offset 0) l
        where o.id > %(after)s::uuid and {within} order by o.id limit %(limit)s""").format(
        table=table(mapping), within=within(run, sql.SQL("o.updated_at"))
    )
    parameters = {
        "c": run.connection, "o": mapping.object, "after": after, "read": unread_since, "limit": limit, **bounds(run),
    }  # fmt: skip
    return [(our_id, their_id) for our_id, their_id in tx.rows(query, parameters)]
