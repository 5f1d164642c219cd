"""Who is there, as the ledger keeps it: the base of existence, what their record became, and our archive."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import table
from crm_sync.model import Link

__all__ = ["archive", "store", "unarchive"]


def store(tx: Transaction, links: Sequence[Link]) -> None:
    """Write what of these links says who is there; everything else of a link is stored by ``links.store``."""
    if links:
        tx.run(
            """update crm_sync.link l set base_alive_ours = w.ours, base_alive_theirs = w.theirs,
              merged_into = w.merged_into, converted_to = w.converted_to, withdrawn = w.withdrawn
            from unnest(%s::bigint[], %s::boolean[], %s::boolean[], %s::text[], %s::text[], %s::boolean[])
              as w (link_id, ours, theirs, merged_into, converted_to, withdrawn)
            where l.link_id = w.link_id""",
            (
                [link.link_id for link in links],
                [link.alive[0] for link in links],
                [link.alive[1] for link in links],
                [link.merged_into for link in links],
                [link.converted_to for link in links],
                [link.withdrawn for link in links],
            ),
        )


def archive(tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str]) -> None:
    """Delete records of ours as GPTWeb does it, in the engine's name; who was deleted by a person stays so."""
    _set_deleted(tx, mapping, our_ids, "clock_timestamp()", "deleted_at is null")


def unarchive(tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str]) -> None:
    """Take records of ours out of the archive."""
    _set_deleted(tx, mapping, our_ids, "null", "deleted_at is not null")


def _set_deleted(
    tx: Transaction, mapping: ObjectMapping, our_ids: Sequence[str], value: str, which: str
) -> None:
    if not our_ids:
        return
    query = sql.SQL(
        "update {table} set deleted_at = {value}, changed_at = changed_at || "
        "jsonb_build_object('deleted_at', clock_timestamp()) where id = any(%s::uuid[]) and {which}"
    ).format(table=table(mapping), value=sql.SQL(value), which=sql.SQL(which))
    tx.run("select set_config('crm_sync.engine', 'on', true)")
    tx.run(query, (list(our_ids),))
    tx.run("select set_config('crm_sync.engine', '', true)")
