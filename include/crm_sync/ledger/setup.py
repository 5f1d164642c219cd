"""What the set-up of a connection has left in the ledger: the newest provisioning with its steps, and the first sync."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_sync.ledger.database import Transaction
from crm_sync.provision_ledger import DRY_RUN, REMOVAL

__all__ = ["ProvisionRun", "ProvisionStep", "newest_provision"]


@dataclass(frozen=True, slots=True)
class ProvisionStep:
    """One line of a provisioning: what it was about, and what became of it."""

    object: str
    field: str | None
    rule: str
    outcome: str
    words: str


@dataclass(frozen=True, slots=True)
class ProvisionRun:
    """One provisioning; ``dry_run``: it only planned."""

    run_id: int
    started_at: datetime
    dag_run_id: str | None
    state: str
    message: str | None
    dry_run: bool
    steps: Sequence[ProvisionStep]


def newest_provision(tx: Transaction, connection: str) -> ProvisionRun | None:
    """The newest provisioning of a connection that was no removal, with its lines in their order."""
    rows = tx.rows(
        """select r.run_id, r.started_at, r.dag_run_id, r.state, r.message from crm_sync.run r
        where r.connection = %s and r.kind = 'provision'
          and not exists (select 1 from crm_sync.decision d where d.run_id = r.run_id and d.rule = %s)
        order by r.run_id desc limit 1""",
        (connection, REMOVAL),
    )
    if not rows:
        return None
    run_id, started_at, dag_run_id, state, message = rows[0]
    lines = tx.rows(
        "select object, field, rule, outcome, coalesce(detail, '') from crm_sync.decision where run_id = %s "
        "order by decision_id",
        (run_id,),
    )
    steps = [
        ProvisionStep(object, field, rule, outcome, _plain(detail))
        for object, field, rule, outcome, detail in lines
        if rule != DRY_RUN
    ]
    dry_run = any(line[2] == DRY_RUN for line in lines)
    return ProvisionRun(run_id, started_at, dag_run_id, state, message, dry_run, steps)


def _plain(detail: str) -> str:
    """What the step is, without the word of how far it came."""
    for prefix in ("dry run, not taken: ", "planned: ", "done: "):
        detail = detail.removeprefix(prefix)
    return detail
