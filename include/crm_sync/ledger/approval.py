"""Plans that wait for a person: which one waits, the digest by which it is approved, and the approval itself."""

from __future__ import annotations

from psycopg import sql

from crm_sync.errors import Misconfigured
from crm_sync.ledger import trail
from crm_sync.ledger.database import Jsonb, Transaction

__all__ = ["digest_of", "pass_first_sync", "take", "wait", "waiting", "withdraw"]

APPROVED = "first_sync_approved"


def digest_of(tx: Transaction, run_id: int) -> str:
    """What a person approves: every change of the run's plan of which nothing became yet, with all its values."""
    return str(tx.one(
        sql.SQL("""select left(encode(sha256(coalesce(string_agg(sha256(convert_to(concat_ws('|', c.object, c.side, c.op,
            c.our_id, c.their_id, c.after), 'UTF8')), ''::bytea order by c.change_id), ''::bytea)), 'hex'), 16)
        from crm_sync.change c where c.run_id = %s and {pending}""").format(pending=trail.PENDING),
        (run_id,),
    ))  # fmt: skip


def wait(tx: Transaction, run_id: int, message: str) -> None:
    """The run waits for a person."""
    tx.run(
        "update crm_sync.run set state = 'waiting_approval', message = %s where run_id = %s",
        (message, run_id),
    )


def waiting(tx: Transaction, connection: str) -> int | None:
    """The run whose plan waits; one that was only told so planned nothing."""
    found: int | None = tx.one(
        "select max(run_id) from crm_sync.run r where connection = %s and state = 'waiting_approval' "
        "and exists (select 1 from crm_sync.change c where c.run_id = r.run_id)",
        (connection,),
    )
    return found


def withdraw(tx: Transaction, connection: str) -> None:
    """Settings or mapping changed: what waits is no longer what would be done."""
    tx.run(
        "update crm_sync.run set state = 'refused', message = 'nobody approved its plan before the settings changed' "
        "where connection = %s and state = 'waiting_approval'",
        (connection,),
    )


def take(tx: Transaction, connection: str, digest: str) -> int:
    """Approve the plan that waits, if it is the one with this digest; returns its run, which goes on."""
    known = tx.one(
        "select max(run_id) from crm_sync.run where connection = %s and options ->> 'approved' = %s",
        (connection, digest),
    )
    if known is not None:
        return int(known)
    run_id = waiting(tx, connection)
    if run_id is None:
        raise Misconfigured(
            f"no plan of {connection} waits for approval (given: {digest}); its next run plans anew"
        )
    found = digest_of(tx, run_id)
    if found != digest:
        raise Misconfigured(
            f"the plan of {connection} that waits for approval is {found}, of run {run_id}, not {digest}: look at its preview"
        )
    tx.run(
        "update crm_sync.run set state = 'running', ended_at = null, message = null, options = options || %s "
        "where run_id = %s",
        (Jsonb({"approved": digest}), run_id),
    )
    pass_first_sync(tx, connection)
    line = trail.Line(APPROVED, "noted", detail=f"plan {digest} of run {run_id} was approved")
    trail.note(tx, run_id, connection, "", [line])
    return run_id


def pass_first_sync(tx: Transaction, connection: str) -> None:
    """From now on nobody is asked."""
    tx.run(
        "update crm_sync.connection set first_synced_at = clock_timestamp() where name = %s and first_synced_at is null",
        (connection,),
    )
