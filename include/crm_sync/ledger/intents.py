"""Intents: what is about to be sent is stored before it leaves, and closed exactly once, by reply or by a later read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from crm_sync.decide.observe import Closed
from crm_sync.ledger.database import Jsonb, Transaction
from crm_sync.model import InJob, Intent

__all__ = [
    "close_by_reply",
    "close_untouched",
    "columns_of",
    "open_of",
    "settle",
    "still_claimed",
    "store",
    "store_whole",
]

NO_JOB = (None,) * len(InJob._fields)
_COLUMNS = sql.SQL("""intent_id::text, change_id, run_id, link_id, creates, values, times, expected, sent_at, read_at,
  claim_until, expires_at, settled""")


def store(tx: Transaction, intents: Iterable[Intent]) -> None:
    """Write intents, in the transaction that claims their links."""
    tx.copy(
        "crm_sync.intent",
        ("intent_id", "change_id", "run_id", "link_id", "creates", "values", "times", "expected", "sent_at", "read_at",
         "claim_until", "expires_at", *InJob._fields),
        (
            (i.id, i.change_id, i.run_id, i.link_id, i.creates, Jsonb(i.values), Jsonb(i.times), Jsonb(i.expected),
             i.sent_at, i.read_at, i.claim_until, i.expires_at, *(i.job or NO_JOB))
            for i in intents
        ),
    )  # fmt: skip


def store_whole(tx: Transaction, intents: Sequence[Intent]) -> None:
    """The same for intents that carry all of their change and overwrite nothing: their values are copied in Postgres."""
    if not intents:
        return
    one = intents[0]
    in_job = [i.job or NO_JOB for i in intents]
    tx.run(
        """insert into crm_sync.intent (intent_id, change_id, run_id, link_id, creates, values, times, expected, sent_at,
          read_at, claim_until, expires_at, job_id, our_version, seen_recv, parent, waits)
        select w.intent_id, w.change_id, %s, w.link_id, %s, c.after, '{}', '{}', %s, w.read_at, %s, %s, w.job_id,
          w.our_version, w.seen_recv, w.parent, w.waits
        from unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[],
          %s::text[], %s::boolean[]) as w (intent_id, change_id, link_id, read_at, job_id, our_version, seen_recv, parent, waits)
        cross join lateral (select c.after from crm_sync.change c where c.change_id = w.change_id offset 0) c""",
        (
            one.run_id, one.creates, one.sent_at, one.claim_until, one.expires_at,
            [i.id for i in intents], [i.change_id for i in intents], [i.link_id for i in intents],
            [i.read_at for i in intents], *map(list, zip(*in_job, strict=True)),
        ),
    )  # fmt: skip


def open_of(tx: Transaction, link_ids: Sequence[int]) -> dict[int, list[Intent]]:
    """The unanswered intents of these links, oldest first."""
    found: dict[int, list[Intent]] = {}
    rows = tx.rows(
        sql.SQL(
            "select {} from crm_sync.intent where link_id = any(%s) and closed_by is null "
            "order by link_id, sent_at, intent_id for update"
        ).format(_COLUMNS),
        (list(link_ids),),
    )
    for row in rows:
        intent = _intent(row)
        found.setdefault(intent.link_id, []).append(intent)
    return found


def columns_of(tx: Transaction, ids: Sequence[str]) -> dict[str, list[str]]:
    """The columns that these intents sent."""
    rows = tx.rows(
        "select intent_id::text, array(select jsonb_object_keys(values)) from crm_sync.intent where intent_id = any(%s::uuid[])",
        (list(ids),),
    )
    return dict(rows)


def settle(tx: Transaction, closed: Sequence[Closed]) -> None:
    """Keep which fields of an intent are known by a read; all known, or expired, closes it."""
    for one in closed:
        whole = set(one.intent.settled) >= set(one.intent.values)
        closed_by = "observation" if whole else "expiry" if one.expired else None
        tx.run(
            "update crm_sync.intent set settled = %s, closed_by = %s, "
            "closed_at = case when %s::text is null then null else clock_timestamp() end where intent_id = %s",
            (list(one.intent.settled), closed_by, closed_by, one.intent.id),
        )


def close_by_reply(tx: Transaction, ids: Sequence[str]) -> None:
    """The CRM answered."""
    tx.run(
        "update crm_sync.intent set closed_by = 'reply', closed_at = clock_timestamp(), job_id = null "
        "where intent_id = any(%s::uuid[]) and closed_by is null",
        (list(ids),),
    )


def close_untouched(tx: Transaction, ids: Sequence[str]) -> set[str]:
    """The CRM answered: close the intents of which no read has settled anything meanwhile, and say which they are."""
    rows = tx.rows(
        "update crm_sync.intent set closed_by = 'reply', closed_at = clock_timestamp(), job_id = null "
        "where intent_id = any(%s::uuid[]) and closed_by is null and settled = '{}' returning intent_id::text",
        (list(ids),),
    )
    return {row[0] for row in rows}


def still_claimed(tx: Transaction, link_ids: Sequence[int], run_id: int, now: datetime) -> set[int]:
    """Which of these links this run may still write to."""
    rows = tx.rows(
        "select link_id from crm_sync.link where link_id = any(%s) and claim_run = %s and claim_until > %s",
        (list(link_ids), run_id, now),
    )
    return {row[0] for row in rows}


def _intent(row: Sequence[Any]) -> Intent:
    cells = list(row)
    cells[6] = {column: datetime.fromisoformat(at) for column, at in row[6].items()}
    return Intent(*cells)
