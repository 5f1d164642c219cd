"""Links with their images: loaded as frozen values, decided upon elsewhere, stored again in one statement a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.ledger.records import columns, digest_of, match_function, our_record, table
from crm_sync.model import Link, Object, OurRecord, Side, Value

__all__ = [
    "Pair",
    "ask_again",
    "bare_pairs",
    "heads",
    "ids_of",
    "load",
    "load_by_their_ids",
    "pairs",
    "store",
]

Pair = tuple[Link, OurRecord | None]

_HEAD = sql.SQL("""l.link_id, l.object, l.our_id::text, l.their_id, l.state, l.keyed, l.their_alive, l.reread, l.claim_run,
  l.claim_until, l.seen_stamp, l.seen_recv, l.spelling_of::text,
  l.base_alive_ours, l.base_alive_theirs, l.merged_into, l.converted_to, l.withdrawn""")
# A link whose record is being created has no image yet; a base that is null is what was seen (migration 0019).
_LINK = sql.SQL("""{}, coalesce(i.base_ours, i.seen, '{{}}'), coalesce(i.base_theirs, i.seen, '{{}}'), coalesce(i.seen, '{{}}'),
  coalesce(i.seen_lo, '{{}}'), coalesce(i.seen_hi, '{{}}')""").format(_HEAD)
_WIDTH = 23


def pairs(tx: Transaction, mapping: ObjectMapping, link_ids: Sequence[int], *, lock: bool) -> list[Pair]:
    """Links with our records, in order of link id, parked values attached.

    With ``lock`` links and our records stay locked until the transaction ends, always in this order.
    """
    query = sql.SQL(
        "select {link}, {columns} from crm_sync.link l left join crm_sync.image i using (link_id) "
        "left join {table} o on o.id = l.our_id where l.link_id = any(%s) order by l.link_id {lock}"
    ).format(
        link=_LINK,
        columns=columns(mapping, "o"),
        table=table(mapping),
        lock=sql.SQL("for update of l" if lock else ""),
    )
    if lock:
        tx.run(
            "select 1 from crm_sync.link where link_id = any(%s) order by link_id for update",
            (list(link_ids),),
        )
        tx.run(
            sql.SQL(
                "select 1 from {table} o join crm_sync.link l on l.our_id = o.id "
                "where l.link_id = any(%s) order by o.id for update of o"
            ).format(table=table(mapping)),
            (list(link_ids),),
        )
    found = [
        (_link(row[:_WIDTH]), our_record(mapping, row[2], row[_WIDTH:]))
        for row in tx.rows(query, (list(link_ids),))
    ]
    return _with_parked(tx, found)


def bare_pairs(tx: Transaction, mapping: ObjectMapping, link_ids: Sequence[int]) -> list[Pair]:
    """The same without images and values, links locked: enough to decide whether our key has to be written."""
    query = sql.SQL(
        "select o.version, o.deleted_at is not null, o.created_at, {head} from crm_sync.link l "
        "left join {table} o on o.id = l.our_id where l.link_id = any(%s) order by l.link_id for update of l"
    ).format(head=_HEAD, table=table(mapping))
    found: list[Pair] = []
    for version, deleted, created_at, *head in tx.rows(query, (list(link_ids),)):
        ours = None if version is None else OurRecord(head[2], version, {}, {}, created_at, deleted)
        found.append((_link([*head, *[{}] * 5]), ours))
    return _with_parked(tx, found)


def ids_of(tx: Transaction, connection: str, object: Object, our_ids: Sequence[str]) -> dict[str, int]:
    """The links of these records of ours."""
    rows = tx.rows(
        "select our_id::text, link_id from crm_sync.link where connection = %s and object = %s and our_id = any(%s::uuid[])",
        (connection, object, list(our_ids)),
    )
    return dict(rows)


def load(tx: Transaction, link_ids: Sequence[int], *, lock: bool = True) -> list[Link]:
    """Links without our records, as stored (parents in their ids), locked."""
    query = sql.SQL(
        "select {link} from crm_sync.link l left join crm_sync.image i using (link_id) "
        "where l.link_id = any(%s) order by l.link_id {lock}"
    ).format(link=_LINK, lock=sql.SQL("for update of l" if lock else ""))
    return [_link(row) for row in tx.rows(query, (list(link_ids),))]


def load_by_their_ids(
    tx: Transaction, connection: str, their_object: str, ids: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The little that reading compares: (link_id, their_id, digest, stamp, recv, reread, spelling, in doubt), locked."""
    return tx.rows(
        """select l.link_id, l.their_id, l.seen_digest, l.seen_stamp, l.seen_recv, l.reread, l.spelling_of is not null,
          exists (select 1 from crm_sync.intent n where n.link_id = l.link_id and n.closed_by is null)
        from crm_sync.link l where l.connection = %s and l.their_object = %s and l.their_id = any(%s)
        order by l.link_id for update""",
        (connection, their_object, list(ids)),
    )


def heads(tx: Transaction, mapping: ObjectMapping, link_ids: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """What tells whether a claimed link is as it was, links locked.

    (claim_run, seen_recv, reread, our version, digest of what was seen).
    """
    query = sql.SQL(
        "select l.link_id, l.claim_run, l.seen_recv, l.reread, o.version, l.seen_digest from crm_sync.link l "
        # Asked inside, whether ours is deleted would lead the planner to a partial index, and through all of it.
        "left join lateral (select o.version, o.deleted_at from {table} o where o.id = l.our_id offset 0) o "
        "on o.deleted_at is null where l.link_id = any(%s) order by l.link_id for update of l"
    ).format(table=table(mapping))
    return {row[0]: row[1:] for row in tx.rows(query, (list(link_ids),))}


def ask_again(tx: Transaction, connection: str, object: Object, their_ids: Sequence[str]) -> None:
    """Whether these records still are there is in doubt: they are read again before anything is decided about them."""
    if their_ids:
        tx.run(
            "update crm_sync.link set reread = true, dirty = true "
            "where connection = %s and object = %s and their_id = any(%s)",
            (connection, object, list(their_ids)),
        )


def store(
    tx: Transaction,
    mapping: ObjectMapping,
    links: Iterable[tuple[Link, bool]],
    *,
    keep_dirty: bool = False,
    release: int | None = None,
) -> None:
    """Write links back, each with whether it is dirty; One statement a table.

    ``keep_dirty`` leaves a dirty one dirty; ``release`` ends the leases of that run on them.
    """
    rows = [_stored(mapping, link, dirty=dirty) for link, dirty in links]
    if not rows:
        return
    tx.run(
        sql.SQL("""update crm_sync.link l set their_id = w.their_id, state = w.state, keyed = w.keyed,
          their_alive = w.their_alive, dirty = w.dirty or (l.dirty and %(keep)s), reread = w.reread, seen_stamp = w.seen_stamp,
          seen_recv = w.seen_recv, seen_digest = decode(w.digest, 'hex'), spelling_of = w.spelling_of,
          match_key = {match}(w.match), match_second = {second}(w.second),
          claim_run = nullif(l.claim_run, %(release)s),
          claim_until = case when l.claim_run = %(release)s then null else l.claim_until end
        from jsonb_to_recordset(%(rows)s) as w (link_id bigint, their_id text, state text, keyed boolean,
          their_alive boolean, dirty boolean, reread boolean, seen_stamp timestamptz, seen_recv bigint, digest text,
          spelling_of uuid, match text, second text)
        where l.link_id = w.link_id""").format(
            match=match_function(mapping), second=match_function(mapping, mapping.match[-1])
        ),
        {"rows": Jsonb([row[0] for row in rows]), "keep": keep_dirty, "release": release},
    )
    tx.run(
        """insert into crm_sync.image as i (link_id, base_ours, base_theirs, seen, seen_lo, seen_hi)
        select * from jsonb_to_recordset(%s) as w (link_id bigint, base_ours jsonb, base_theirs jsonb, seen jsonb,
          seen_lo jsonb, seen_hi jsonb)
        on conflict (link_id) do update set base_ours = excluded.base_ours, base_theirs = excluded.base_theirs,
          seen = excluded.seen, seen_lo = excluded.seen_lo, seen_hi = excluded.seen_hi""",
        (Jsonb([row[1] for row in rows]),),
    )


def _stored(
    mapping: ObjectMapping, link: Link, *, dirty: bool
) -> tuple[dict[str, object], dict[str, object]]:
    # A time bound is kept only while the field differs from its base: before that it decides nothing.
    moved = {c for c, v in link.seen.items() if c not in link.base_theirs or link.base_theirs[c] != v}
    head: dict[str, object] = {
        "link_id": link.link_id, "their_id": link.their_id, "state": link.state, "keyed": link.keyed,
        "their_alive": link.their_alive, "dirty": dirty, "reread": link.reread, "seen_stamp": link.seen_stamp,
        "seen_recv": link.seen_recv, "digest": None if link.spelling_of else digest_of(mapping, link.seen, link.our_id if link.keyed else None, fate=link.fate).hex(),
        "spelling_of": link.spelling_of, "match": link.seen.get(mapping.match[0]),
        "second": link.seen.get(mapping.match[1]) if len(mapping.match) > 1 else None,
    }  # fmt: skip
    body: dict[str, object] = {
        "link_id": link.link_id, "base_ours": link.base_ours, "base_theirs": link.base_theirs, "seen": link.seen,
        "seen_lo": {c: at for c, at in link.seen_lo.items() if c in moved},
        "seen_hi": {c: at for c, at in link.seen_hi.items() if c in moved},
    }  # fmt: skip
    return head, body


def _link(row: Sequence[Any]) -> Link:
    (link_id, object, our_id, their_id, state, keyed, alive, reread, claim_run, claim_until, stamp, recv, spelling,
     alive_ours, alive_theirs, merged_into, converted_to, withdrawn, base_ours, base_theirs, seen, lo, hi) = row  # fmt: skip
    return Link(
        link_id, object, our_id, their_id, state, keyed, alive, reread, claim_run, claim_until, stamp, recv, spelling,
        base_ours, base_theirs, seen, _times(lo), _times(hi), {}, (alive_ours, alive_theirs), merged_into, converted_to,
        withdrawn,
    )  # fmt: skip


def _times(texts: Mapping[str, str]) -> dict[str, datetime]:
    return {column: datetime.fromisoformat(at) for column, at in texts.items()}


def _with_parked(tx: Transaction, found: list[Pair]) -> list[Pair]:
    rows = tx.rows(
        "select link_id, side, field, value, our_version from crm_sync.parked where link_id = any(%s) "
        "and field is not null and held and lifted_at is null",
        ([link.link_id for link, _ in found],),
    )
    if not rows:
        return found
    parked: dict[int, dict[tuple[Side, str], Value]] = {}
    versions = {link.link_id: ours.version for link, ours in found if ours}
    for link_id, side, column, value, our_version in rows:
        if our_version in (None, versions.get(link_id)):
            parked.setdefault(link_id, {})[(side, column)] = value
    return [(replace(link, parked=parked.get(link.link_id, {})), ours) for link, ours in found]
