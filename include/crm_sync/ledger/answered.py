"""What the usual answers leave, set by set: a record of theirs was made, or carries our key now (adr/0006).

Usual is what overwrote nothing and did not move since it was claimed; everything else is kept link by link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import match_function

__all__ = ["Created", "Keyed", "keep_created", "keep_keyed"]


@dataclass(frozen=True, slots=True)
class Created:
    """A record of theirs that was made: ``parent`` as they hold it; ``left``: something of ours has still to follow."""

    link_id: int
    their_id: str
    intent_id: str
    match: str | None
    parent: str | None
    left: bool


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record of theirs that carries our key now, with the stamp it had before and what it looks like with the key."""

    link_id: int
    stamp: datetime
    digest: bytes


def keep_created(tx: Transaction, mapping: ObjectMapping, rows: Sequence[Created], recv_no: int) -> None:
    """A new record was not read yet: what was sent is base, and counts as seen until a read shows how they spell it."""
    if not rows:
        return
    ids = [row.link_id for row in rows]
    intents = [row.intent_id for row in rows]
    tx.run(
        sql.SQL("""update crm_sync.link l set their_id = w.their_id, state = 'live', keyed = true, their_alive = true,
          reread = false, dirty = w.waits, seen_recv = %(recv)s, seen_digest = null, spelling_of = w.intent_id,
          match_key = {match}(w.match), claim_run = null, claim_until = null
        from unnest(%(ids)s::bigint[], %(theirs)s::text[], %(intents)s::uuid[], %(matches)s::text[], %(waits)s::boolean[])
          as w (link_id, their_id, intent_id, match, waits)
        where l.link_id = w.link_id""").format(match=match_function(mapping)),
        {
            "recv": recv_no,
            "ids": ids,
            "theirs": [row.their_id for row in rows],
            "intents": intents,
            "matches": [row.match for row in rows],
            "waits": [row.left for row in rows],
        },
    )
    tx.run(
        """insert into crm_sync.image as i (link_id, base_ours, base_theirs, seen)
        select w.link_id, n.values, t.theirs, t.theirs
        from unnest(%(ids)s::bigint[], %(intents)s::uuid[], %(parents)s::text[]) as w (link_id, intent_id, parent)
        cross join lateral (select values from crm_sync.intent where intent_id = w.intent_id offset 0) n
        cross join lateral (select case when w.parent is null then n.values
          else n.values || jsonb_build_object(%(reference)s::text, w.parent) end as theirs) t
        on conflict (link_id) do update set base_ours = i.base_ours || excluded.base_ours,
          base_theirs = i.base_theirs || excluded.base_theirs, seen = i.seen || excluded.seen""",
        {
            "ids": ids,
            "intents": intents,
            "parents": [row.parent for row in rows],
            "reference": mapping.reference.ours if mapping.reference else "",
        },
    )


def keep_keyed(
    tx: Transaction, connection: str, mapping: ObjectMapping, rows: Sequence[Keyed], recv_no: int
) -> None:
    """Our key is there.  A link stays work while theirs, or who is there, differs from the base.

    Ours leaves the outbox only if it never changed since it was made, and the base was taken from that.
    """
    if not rows:
        return
    tx.run(
        """update crm_sync.link l set keyed = true, seen_recv = %(recv)s, seen_stamp = w.stamp, seen_digest = w.digest,
          dirty = w.differs or not (l.base_alive_ours and l.base_alive_theirs), claim_run = null, claim_until = null
        from (select u.*, i.differs
          from unnest(%(ids)s::bigint[], %(stamps)s::timestamptz[], %(digests)s::bytea[]) as u (link_id, stamp, digest)
          cross join lateral (select i.base_theirs <> i.seen as differs from crm_sync.image i
            where i.link_id = u.link_id offset 0) i) w
        where l.link_id = w.link_id""",
        {
            "recv": recv_no,
            "ids": [row.link_id for row in rows],
            "stamps": [row.stamp for row in rows],
            "digests": [row.digest for row in rows],
        },
    )
    tx.run(
        """delete from crm_sync.outbox where connection = %s and object = %s and version = 1
          and our_id = any(array(select our_id from crm_sync.link where link_id = any(%s) and not dirty))""",
        (connection, mapping.object, [row.link_id for row in rows]),
    )
