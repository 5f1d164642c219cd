"""Leases: for how long a run alone may write a link, taken on links that are locked, given back or ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.ledger.database import Transaction

__all__ = ["claim", "claim_new", "release", "release_run"]


def claim_new(
    tx: Transaction, connection: str, mapping: ObjectMapping, our_ids: Sequence[str], run_id: int, now: datetime,
    until: datetime,
) -> dict[str, int]:  # fmt: skip
    """Links for records of theirs to be made, with the lease on them; who is linked or claimed by now is left out."""
    made = tx.rows(
        """insert into crm_sync.link as l (connection, object, their_object, our_id, state, claim_run, claim_until)
        select %(c)s, %(o)s, %(t)s, u.our_id, 'creating', %(run)s, %(until)s
        from unnest(%(ids)s::uuid[]) as u (our_id) order by u.our_id
        on conflict (connection, object, our_id) do update set claim_run = %(run)s, claim_until = %(until)s
          where l.their_id is null and l.state = 'creating'
            and (l.claim_run is null or l.claim_run = %(run)s or l.claim_until <= %(now)s)
        returning our_id::text, link_id""",
        {
            "c": connection, "o": mapping.object, "t": mapping.theirs, "run": run_id, "now": now, "until": until,
            "ids": list(our_ids),
        },
    )  # fmt: skip
    return dict(made)


def claim(tx: Transaction, link_ids: Sequence[int], run_id: int, until: datetime) -> None:
    """Take the lease on links that are locked and not claimed by another."""
    tx.run(
        "update crm_sync.link set claim_run = %s, claim_until = %s where link_id = any(%s)",
        (run_id, until, list(link_ids)),
    )


def release(tx: Transaction, link_ids: Sequence[int], run_id: int) -> None:
    """Give back the run's own leases; one that another run took over meanwhile stays."""
    tx.run(
        "update crm_sync.link set claim_run = null, claim_until = null where link_id = any(%s) and claim_run = %s",
        (list(link_ids), run_id),
    )


def release_run(tx: Transaction, run_id: int, now: datetime, *, only_expired: bool) -> None:
    """End the leases of a run that is over; a process of it that still lives finds its claims gone and sends nothing.

    ``only_expired``: nobody knows whether it is over, so a lease that still runs may cover a request in flight.
    What a bulk job has under way is the job's (algorithm.md 6.5).
    """
    until = "claim_until <= %(now)s" if only_expired else "true"
    parameters = {"now": now, "run": run_id}
    tx.run(
        sql.SQL(
            "update crm_sync.link set claim_run = null, claim_until = null where claim_run = %(run)s and {} "
            "and link_id = any(array(select link_id from crm_sync.intent where run_id = %(run)s "
            "and closed_by is distinct from 'reply' and job_id is null))"
        ).format(sql.SQL(until)),
        parameters,
    )
    tx.run(
        sql.SQL(
            "update crm_sync.intent set claim_until = least(claim_until, %(now)s) "
            "where run_id = %(run)s and closed_by is null and {} and job_id is null"
        ).format(sql.SQL(until)),
        parameters,
    )
