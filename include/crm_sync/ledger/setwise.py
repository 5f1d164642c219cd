"""What a first sync does a hundred thousand times, by one statement a table and chunk: no image passes through Python.

Only the usual case ends here: nothing of theirs is overwritten, and nothing moved since it was decided.  Everything else
goes link by link (adr/0006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import match_function
from crm_sync.ledger.trail import EVERY_FIELD

__all__ = [
    "Created",
    "Keyed",
    "as_planned",
    "keep_created",
    "keep_keyed",
    "parents_of_strays",
    "plan_keys",
    "plan_ours",
]


@dataclass(frozen=True, slots=True)
class Created:
    """A record of theirs that was made: ``parent`` as they hold it; ``left``: something of ours has still to follow."""

    link_id: int
    their_id: str
    intent_id: str
    match: str | None
    second: str | None
    parent: str | None
    left: bool


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record of theirs that carries our key now, with the stamp it had before and what it looks like with the key.

    Without a digest it was not looked at.
    """

    link_id: int
    stamp: datetime | None
    digest: bytes | None


def parents_of_strays(
    tx: Transaction, connection: str, mapping: ObjectMapping, their_ids: Sequence[str]
) -> list[str]:
    """Their ids of the parents that these strangers refer to."""
    rows = tx.rows(
        "select distinct values ->> %s from crm_sync.stray where connection = %s and their_object = %s "
        "and their_id = any(%s) and values ->> %s is not null",
        (_reference(mapping), connection, mapping.theirs, list(their_ids), _reference(mapping)),
    )
    return [row[0] for row in rows]


def plan_ours(
    tx: Transaction, run_id: int, connection: str, mapping: ObjectMapping, new: Sequence[tuple[str, str]],
    parents: Mapping[str, str],
) -> None:  # fmt: skip
    """Plan our records (our id, their id) with all that the strangers hold; GPTWeb's own fields stay out.

    ``parents``: their id -> our id; a reference that is not in it follows later.
    """
    never = [f.ours for f in mapping.fields if f.direction == "out" or f.references]
    tx.run(
        """insert into crm_sync.change (run_id, connection, object, our_id, their_id, side, op, before, after, base, rules)
        select %(run)s, %(c)s, %(o)s, w.our_id, w.their_id, 'ours', 'create', '{}',
          (jsonb_strip_nulls(s.values) - %(never)s::text[]) || case when %(parents)s::jsonb ? (s.values ->> %(ref)s)
            then jsonb_build_object(%(ref)s::text, %(parents)s::jsonb -> (s.values ->> %(ref)s)) else '{}' end,
          '{}', %(rules)s
        from unnest(%(ours)s::uuid[], %(theirs)s::text[]) with ordinality as w (our_id, their_id, place)
        cross join lateral (select s.values from crm_sync.stray s where s.connection = %(c)s and s.their_object = %(t)s
          and s.their_id = w.their_id offset 0) s
        order by w.place""",
        {
            "run": run_id, "c": connection, "o": mapping.object, "t": mapping.theirs, "never": never,
            "parents": Jsonb(parents), "ref": _reference(mapping), "rules": Jsonb({EVERY_FIELD: "new_in_crm"}),
            "ours": [our_id for our_id, _ in new], "theirs": [their_id for _, their_id in new],
        },
    )  # fmt: skip


def plan_keys(
    tx: Transaction, run_id: int, connection: str, mapping: ObjectMapping, new: Sequence[tuple[str, str]]
) -> None:
    """Plan that our key is written into these records of theirs."""
    tx.run(
        """insert into crm_sync.change (run_id, connection, object, our_id, their_id, side, op, before, after, base, rules)
        select %(run)s, %(c)s, %(o)s, w.our_id, w.their_id, 'theirs', 'update', %(blank)s,
          jsonb_build_object(%(key)s::text, w.our_id), '{}', %(rules)s
        from unnest(%(ours)s::uuid[], %(theirs)s::text[]) with ordinality as w (our_id, their_id, place)
        order by w.place""",
        {
            "run": run_id, "c": connection, "o": mapping.object, "key": KEY, "blank": Jsonb({KEY: None}),
            "rules": Jsonb({KEY: "first_link"}),
            "ours": [our_id for our_id, _ in new], "theirs": [their_id for _, their_id in new],
        },
    )  # fmt: skip


def as_planned(
    tx: Transaction, connection: str, mapping: ObjectMapping, change_ids: Sequence[int]
) -> set[int]:
    """Of these planned records of ours those whose strangers still hold what was planned."""
    rows = tx.rows(
        """select c.change_id from crm_sync.change c
        cross join lateral (select s.values from crm_sync.stray s where s.connection = %(c)s and s.their_object = %(t)s
          and s.their_id = c.their_id offset 0) s
        where c.change_id = any(%(ids)s) and s.values @> (c.after - %(ref)s::text)""",
        {"c": connection, "t": mapping.theirs, "ids": list(change_ids), "ref": _reference(mapping)},
    )
    return {row[0] for row in rows}


def _reference(mapping: ObjectMapping) -> str:
    return mapping.reference.ours if mapping.reference else ""


def keep_created(tx: Transaction, mapping: ObjectMapping, rows: Sequence[Created], recv_no: int) -> None:
    """A new record was not read yet: what was sent is base, and counts as seen until a read shows how they spell it."""
    if not rows:
        return
    ids = [row.link_id for row in rows]
    intents = [row.intent_id for row in rows]
    tx.run(
        sql.SQL("""update crm_sync.link l set their_id = w.their_id, state = 'live', keyed = true, their_alive = true,
          reread = false, dirty = w.waits, seen_recv = %(recv)s, seen_digest = null, spelling_of = w.intent_id,
          match_key = {match}(w.match), match_second = {second}(w.second), claim_run = null, claim_until = null
        from unnest(%(ids)s::bigint[], %(theirs)s::text[], %(intents)s::uuid[], %(matches)s::text[],
          %(seconds)s::text[], %(waits)s::boolean[]) as w (link_id, their_id, intent_id, match, second, waits)
        where l.link_id = w.link_id""").format(
            match=match_function(mapping), second=match_function(mapping, mapping.match[-1])
        ),
        {
            "recv": recv_no,
            "ids": ids,
            "theirs": [row.their_id for row in rows],
            "intents": intents,
            "matches": [row.match for row in rows],
            "seconds": [row.second for row in rows],
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
        on conflict (link_id) do update set base_ours = coalesce(i.base_ours, i.seen) || excluded.base_ours,
          base_theirs = coalesce(i.base_theirs, i.seen) || excluded.base_theirs, seen = i.seen || excluded.seen""",
        {
            "ids": ids,
            "intents": intents,
            "parents": [row.parent for row in rows],
            "reference": _reference(mapping),
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
          cross join lateral (select coalesce(i.base_theirs <> i.seen, false) as differs from crm_sync.image i
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
