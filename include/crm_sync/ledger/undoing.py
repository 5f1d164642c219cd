"""What undo asks the ledger: the changes that a selection means, record by record, and the few writes that only it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.undo_words import Recorded
from crm_sync.ledger import links
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import columns, our_record, table
from crm_sync.ledger.trail import TOLD
from crm_sync.ledger.undo_selection import Selection, conditions
from crm_sync.model import Link, Object, OurRecord

__all__ = [
    "changes",
    "links_of",
    "living",
    "make_again",
    "records_of",
    "set_deleted",
    "withdraw",
]

FETCH = 2000


def changes(tx: Transaction, selection: Selection) -> Iterator[tuple[Object, str, list[Recorded]]]:
    """The selected changes of each record (object, our id), newest first; as they arrive, in memory for one record."""
    where, parameters = conditions(tx, selection)
    # The keys are sorted alone, the wide rows fetched in their order.
    query = sql.SQL("""select k.object, k.our_id::text, c.run_id, c.side, c.op, c.before, c.after, c.rules,
          w.written, w.doubtful, s.slipped, c.erased is not null
        from (select c.change_id, c.object, c.our_id from crm_sync.change c where {where}
          order by c.object, c.our_id, c.change_id desc) k
        cross join lateral (select * from crm_sync.change c where c.change_id = k.change_id offset 0) c
        cross join lateral (select
            coalesce(array_agg(distinct f) filter (where o.outcome = 'acknowledged'), '{{}}') as written,
            coalesce(array_agg(distinct f) filter (where o.outcome = 'in_doubt'), '{{}}') as doubtful,
            coalesce(array_agg(distinct f) filter (where o.outcome = 'superseded'), '{{}}') as superseded,
            max(o.at) filter (where o.outcome = 'acknowledged') as at
          from crm_sync.outcome o cross join lateral unnest({told}) f where o.change_id = c.change_id) w
        cross join lateral (select coalesce(jsonb_object_agg(d.field, d.before), '{{}}') as slipped
          from crm_sync.decision d where d.our_id = c.our_id and d.run_id = c.run_id and d.side = 'theirs'
            and c.side = 'theirs' and d.rule like 'slipped\\_in\\_%%' and d.outcome = 'overruled') s
        where (cardinality(w.written) > 0 or cardinality(w.doubtful) > 0)
          and (%(since)s::timestamptz is null or coalesce(w.at >= %(since)s, true))
          and (%(until)s::timestamptz is null or coalesce(w.at < %(until)s, true))
        order by k.object, k.our_id, k.change_id desc""").format(where=where, told=TOLD)
    with tx.connection.cursor(name="undo") as cursor:
        cursor.itersize = FETCH
        cursor.execute(query, parameters)
        for (object, our_id), rows in groupby(cursor, key=itemgetter(0, 1)):
            found = [recorded for row in rows if (recorded := _recorded(selection, row))]
            if found:
                yield object, our_id, found


def _recorded(selection: Selection, row: tuple[Any, ...]) -> Recorded | None:
    run_id, side, op, before, after, rules, written, doubtful, slipped, erased = row[2:]
    if selection.fields:
        written = [f for f in written if f in selection.fields and op == "update"]
        doubtful = [f for f in doubtful if f in selection.fields and op == "update"]
    open_ones = frozenset(doubtful) - frozenset(written)
    if not (written or open_ones):
        return None
    return Recorded(run_id, side, op, before, after, rules, frozenset(written), open_ones, slipped, erased)


def records_of(
    tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str], *, lock: bool = False
) -> dict[str, OurRecord]:
    """These records of ours, archived ones included."""
    query = sql.SQL("select o.id::text, {columns} from {table} o where o.id = any(%s::uuid[]) order by o.id {lock}").format(
        columns=columns(mapping, "o"), table=table(mapping), lock=sql.SQL("for update" if lock else "")
    )  # fmt: skip
    records = (our_record(mapping, our_id, row) for our_id, *row in tx.rows(query, (list(our_ids),)))
    return {record.id: record for record in records if record is not None}


def links_of(
    tx: Transaction, connection: str, mapping: ObjectMapping, our_ids: Sequence[str], *, lock: bool = False
) -> dict[str, Link]:
    """The links of these records."""
    ids = links.ids_of(tx, connection, mapping.object, our_ids)
    return {link.our_id: link for link in links.load(tx, sorted(ids.values()), lock=lock)}


def living(tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str]) -> set[str]:
    """Which of these records of ours are there."""
    query = sql.SQL("select id::text from {} where id = any(%s::uuid[]) and deleted_at is null")
    return {row[0] for row in tx.rows(query.format(table(mapping)), (list(our_ids),))}


def set_deleted(tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str], *, deleted: bool) -> None:
    """Archive records of ours, or take them out, in the name of the person who undoes something."""
    if our_ids:
        query = sql.SQL("update {table} set deleted_at = {value} where id = any(%s::uuid[])").format(
            table=table(mapping), value=sql.SQL("clock_timestamp()" if deleted else "null")
        )
        tx.run(query, (list(our_ids),))


def withdraw(tx: Transaction, link_ids: Sequence[int]) -> None:
    """The next sync puts their records into the recycle bin, and leaves ours."""
    tx.run("update crm_sync.link set withdrawn = true, dirty = true where link_id = any(%s)", (list(link_ids),))  # fmt: skip


def make_again(tx: Transaction, link_ids: Sequence[int]) -> None:
    """Their records stay after all; those that are gone by now are made again by the next sync."""
    tx.run(
        """update crm_sync.link set dirty = true, withdrawn = false,
          base_alive_ours = base_alive_ours and their_alive, base_alive_theirs = base_alive_theirs and their_alive
        where link_id = any(%s)""",
        (list(link_ids),),
    )
