"""When each noisy measure was last sent to a record, and which updates wait until their interval is over.

A waiting link is not dirty and its outbox row stays; the work list passes it over until its time has come, or its
record changes once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from psycopg import sql

from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import Row

__all__ = ["WAITING", "hold", "last_sent", "sent"]

WAITING = sql.SQL("""exists (select 1 from crm_sync.pace p where p.link_id = l.link_id and p.held_until > %(now)s
            and p.held_version >= b.version)""")
"""Of a link ``l`` with an outbox row ``b``: it waits, and nothing of it is newer than what waits."""


def sent(tx: Transaction, columns: Collection[str], rows: Mapping[int, Row], at: datetime) -> None:
    """These values arrived in the CRM: keep the time of those that have an interval."""
    found = {link_id: [c for c in values if c in columns] for link_id, values in rows.items()}
    noisy = {link_id: names for link_id, names in found.items() if names}
    if not noisy:
        return
    stamp = at.isoformat()
    tx.run(
        """insert into crm_sync.pace as p (link_id, sent)
        select w.link_id, w.sent from jsonb_to_recordset(%s) as w (link_id bigint, sent jsonb)
        on conflict (link_id) do update set sent = p.sent || excluded.sent, held_until = null""",
        (Jsonb([{"link_id": i, "sent": dict.fromkeys(names, stamp)} for i, names in noisy.items()]),),
    )


def last_sent(tx: Transaction, link_ids: Sequence[int]) -> dict[int, dict[str, datetime]]:
    """When each noisy column of these links was last sent, as far as it ever was."""
    if not link_ids:
        return {}
    rows = tx.rows("select link_id, sent from crm_sync.pace where link_id = any(%s)", (list(link_ids),))
    return {
        link_id: {column: datetime.fromisoformat(at) for column, at in times.items()}
        for link_id, times in rows
    }


def hold(
    tx: Transaction, connection: str, object: str, rows: Iterable[tuple[int, str, int, datetime]]
) -> None:
    """Let these links wait: (link, our id, the version that waits, until when); locked by the caller, as are our records."""
    waiting = list(rows)
    if not waiting:
        return
    ids, our_ids, versions, until = (list(column) for column in zip(*waiting, strict=True))
    tx.run(
        "update crm_sync.pace p set held_until = w.until, held_version = w.version "
        "from unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) as w (link_id, version, until) "
        "where p.link_id = w.link_id",
        (ids, versions, until),
    )
    tx.run("update crm_sync.link set dirty = false where link_id = any(%s) and dirty", (ids,))
    # A link may be dirty for another reason than an edit of ours: from now on the outbox alone remembers it.
    tx.run(
        "insert into crm_sync.outbox (connection, object, our_id, version) "
        "select %s, %s, w.* from unnest(%s::uuid[], %s::bigint[]) as w order by 3 on conflict do nothing",
        (connection, object, our_ids, versions),
    )
