"""What a reconciliation found, handed to the sync: findings by the chunk, links as work, and what may destroy held for its run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql

from crm_sync.decide.compare import Finding
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import table

__all__ = ["Noted", "hold", "make_work", "note", "noted", "take_back"]


class Noted(NamedTuple):
    """One finding that can be healed."""

    number: int
    link_id: int | None
    our_id: str | None
    their_id: str | None
    absent: bool


def note(tx: Transaction, object: str, findings: Iterable[Finding]) -> None:
    """Remember what could be healed."""
    tx.copy(
        "finding", ("object", "cause", "link_id", "their_id", "our_id", "absent"),
        ((object, f.cause, f.link_id, f.their_id, f.our_id, f.absent) for f in findings),
    )  # fmt: skip


def noted(
    tx: Transaction, object: str, causes: Collection[str], after: int, limit: int, *, absent_too: bool
) -> list[Noted]:
    """The next findings under these causes."""
    rows = tx.rows(
        "select n, link_id, our_id::text, their_id, absent from finding "
        "where object = %s and cause = any(%s) and n > %s and (%s or not absent) order by n limit %s",
        (object, list(causes), after, absent_too, limit),
    )
    return [Noted._make(row) for row in rows]


def hold(tx: Transaction, link_ids: Sequence[int], run_id: int, now: datetime, until: datetime) -> set[int]:
    """Claim these links for a run, as far as no other one is at them; returns those."""
    rows = tx.rows(
        """update crm_sync.link set claim_run = %(run)s, claim_until = %(until)s where link_id = any(array(
          select link_id from crm_sync.link where link_id = any(%(ids)s)
            and (claim_run is null or claim_run = %(run)s or claim_until <= %(now)s) order by link_id for update))
        returning link_id""",
        {"run": run_id, "until": until, "ids": list(link_ids), "now": now},
    )
    return {row[0] for row in rows}


def take_back(tx: Transaction, run_id: int) -> None:
    """End a run's hold; a delete that it saw and that was not carried out is unseen again, so that no later run acts on it.

    A write that has no answer yet keeps its claim.
    """
    tx.run(
        """update crm_sync.link l set claim_run = null, claim_until = null,
          their_alive = case when h.undone then l.base_alive_theirs else l.their_alive end,
          merged_into = case when h.undone then null else l.merged_into end,
          converted_to = case when h.undone then null else l.converted_to end,
          state = case when h.undone and l.state = 'gone' and l.base_alive_ours and l.base_alive_theirs then 'live' else l.state end,
          seen_digest = case when h.undone then null else l.seen_digest end,
          reread = l.reread and not h.undone,
          dirty = l.dirty and (not h.undone or h.differs)
        from (select k.link_id, k.dirty and k.state in ('live', 'gone') as undone,
            exists (select 1 from crm_sync.image i where i.link_id = k.link_id and i.seen <> i.base_theirs) as differs
          from crm_sync.link k where k.claim_run = %(run)s
            and not exists (select 1 from crm_sync.intent n where n.link_id = k.link_id and n.closed_by is null)) h
        where l.link_id = h.link_id""",
        {"run": run_id},
    )


def make_work(
    tx: Transaction, connection: str, mapping: ObjectMapping, link_ids: Sequence[int], absent: Sequence[int],
    our_ids: Sequence[str],
) -> None:  # fmt: skip
    """Let the next plan look at these links and at these records of ours; absent ones are asked for by id before."""
    tx.run(
        "update crm_sync.link set dirty = true, reread = reread or link_id = any(%s), "
        "dirty_since = case when dirty then dirty_since else clock_timestamp() end where link_id = any(%s)",
        (list(absent), list(link_ids)),
    )
    tx.run(
        sql.SQL("""insert into crm_sync.outbox (connection, object, our_id, version, since)
        select %s, %s, o.id, o.version, clock_timestamp() from unnest(%s::uuid[]) as w (id)
        cross join lateral (select o.id, o.version from {} o where o.id = w.id offset 0) o
        on conflict (connection, object, our_id) do nothing""").format(table(mapping)),
        (connection, mapping.object, list(our_ids)),
    )
