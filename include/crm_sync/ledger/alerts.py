"""Alerts: a connection's state is looked at, a change of it becomes a message, and a message stays until it is delivered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from crm_sync.decide.alerts import Alert, Watched, alert_of, state_of
from crm_sync.decide.condition import Signs
from crm_sync.ledger import freshness, lifecycle, settings
from crm_sync.ledger.credentials import load as load_credential
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.settings import Connection

__all__ = ["KEPT_TRIES", "Pending", "delivered", "look", "pending"]

KEPT_TRIES = 288
"""A day of tries, every five minutes; then a message is too old to help anybody, and is closed with its problem."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A message with the targets that have it already."""

    alert_id: int
    alert: Alert
    delivered: tuple[str, ...]


def look(tx: Transaction, name: str) -> Alert | None:
    """Compare the state of a connection with the one that people know; a change is kept as a message to be delivered."""
    connection = settings.load(tx, name)
    tx.run(
        "insert into crm_sync.alert_state (connection, state) values (%s, 'healthy') on conflict do nothing",
        (name,),
    )
    was, known = tx.rows(
        "select state, clock_timestamp() - since from crm_sync.alert_state where connection = %s for update",
        (name,),
    )[0]
    state, message = state_of(_watched(tx, connection), connection.settings.patience, was, known)
    if state == was:
        return None
    tx.run(
        "update crm_sync.alert_state set state = %s, since = clock_timestamp() where connection = %s",
        (state, name),
    )
    alert = alert_of(name, was, state, message)
    if alert is not None:
        tx.run(
            "insert into crm_sync.alert (connection, was, state, message, remedy) values (%s, %s, %s, %s, %s)",
            (name, was, state, message, alert.remedy),
        )
        lifecycle.note(tx, name, "condition_changed", f"{alert.subject}. {message}".strip())
    return alert


def pending(tx: Transaction, name: str) -> list[Pending]:
    """What is not delivered everywhere yet, the oldest first."""
    rows = tx.rows(
        "select alert_id, was, state, message, remedy, delivered from crm_sync.alert "
        "where connection = %s and closed_at is null order by alert_id for update",
        (name,),
    )
    return [
        Pending(id, Alert(name, was, state, message, remedy), tuple(had))
        for id, was, state, message, remedy, had in rows
    ]


def delivered(tx: Transaction, alert_id: int, targets: Collection[str], problem: str | None) -> None:
    """Keep which targets have it; without a ``problem``, or after a day of tries, that is the end of it."""
    tx.run(
        """update crm_sync.alert set delivered = %s, tries = tries + 1, problem = %s,
          closed_at = case when %s::text is null or tries + 1 >= %s then clock_timestamp() end where alert_id = %s""",
        (sorted(targets), problem, problem, KEPT_TRIES, alert_id),
    )


def _watched(tx: Transaction, connection: Connection) -> Watched:
    name = connection.name
    credential = load_credential(tx, name)
    run, message = (tx.rows(_LAST_RUN, (name,)) or [(None, None)])[0]
    signs = Signs(
        active=connection.active, provisioned=connection.provisioned_at is not None,
        reconnect=credential.reason if credential.state == "reconnect needed" else None, run=run, message=message,
    )  # fmt: skip
    silent, under_way, drift, parked = tx.rows(_FIGURES, {"c": name})[0]
    ages = [one.age for one in freshness.by_object(tx, name).values() if one.age is not None]
    failed = tuple(row[0] for row in tx.rows(_FAILED, {"c": name}))
    return Watched(signs, silent, under_way, max(ages, default=timedelta(0)), failed, drift, parked)


# A run under way says nothing yet; a paused one and one that waits for approval have not ended, and are a state.
_LAST_RUN = """select state, message from crm_sync.run where connection = %s and kind = 'sync' and state <> 'running'
  and not coalesce((options ->> 'dry_run')::boolean, false) order by run_id desc limit 1"""
# Nobody has to run an undo or a provisioning again: after a week it is no news any more.
_FAILED = """select initcap(k.kind) || ' run ' || r.run_id || ' failed: ' || coalesce(r.message, 'its task settle says why') || '.'
  from unnest(array['reconcile', 'undo', 'provision', 'backfill', 'agent']) with ordinality as k (kind, place)
  cross join lateral (select run_id, state, message, ended_at from crm_sync.run
    where connection = %(c)s and kind = k.kind and kind <> 'sync' and ended_at is not null
      and not coalesce((options ->> 'dry_run')::boolean, false) order by run_id desc limit 1) r
  where r.state = 'failed' and r.ended_at > clock_timestamp() - interval '7 days'
  union all
  select 'The rotation of the vault''s key failed: ' || rotation_problem from crm_sync.credential
  where connection = %(c)s and rotation_problem is not null"""
_FIGURES = """select
  (select clock_timestamp() - r.ended_at from crm_sync.run r where r.connection = %(c)s and r.kind = 'sync'
     and r.state in ('succeeded', 'succeeded_with_parked') order by r.run_id desc limit 1),
  exists (select 1 from crm_sync.run r where r.connection = %(c)s and r.kind = 'sync' and r.state = 'running' and r.ended_at is null),
  (select case when r.differing - r.waiting > r.healing then r.headline end
     from crm_sync.reconciliation r where r.connection = %(c)s order by r.run_id desc limit 1),
  (select count(*) from crm_sync.parked where connection = %(c)s and lifted_at is null and held and next_try_at is null
     and ignored_by is null)"""
