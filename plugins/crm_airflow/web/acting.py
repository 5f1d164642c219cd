"""What a person does to a connection, from a page or by the API: one function each.

What starts a run takes the number of the button, ``once``, which starts one run however often it is pressed; blank: each time one.
"""

from __future__ import annotations

from crm_airflow.asking import NO, yes
from crm_airflow.hooks import connect_hook
from crm_airflow.web.airflow_api import Airflow
from crm_airflow.web.guards import in_airflow, preflight_dag, provision_dag, reconcile_dag, sync_dag, undo_dag
from crm_airflow.web.reading import writing
from crm_sync.errors import Misconfigured
from crm_sync.ledger import approval, lifecycle, overview, questions, snapshot

__all__ = [
    "answer",
    "check",
    "disconnect",
    "pause",
    "plan_provisioning",
    "provision",
    "reconcile",
    "resume",
    "run_now",
    "undo",
]


def run_now(airflow: Airflow, connection: str, once: str, *, dry_run: bool) -> str:
    """Start a sync at once, also of a paused connection; gives the Airflow run's id."""
    return airflow.trigger(sync_dag(connection), once, dry_run=dry_run)


def pause(connection: str, who: str) -> None:
    """Let no more syncs begin by themselves; one that is under way comes to its end."""
    with writing() as tx:
        lifecycle.pause(tx, connection, who)
        snapshot.write(tx)


def resume(airflow: Airflow, connection: str, who: str) -> None:
    """Let syncs begin again, also where somebody paused the DAG in Airflow."""
    with writing() as tx:
        lifecycle.resume(tx, connection, who)
        snapshot.write(tx)
    dag = airflow.dag(sync_dag(connection))
    if dag and dag["is_paused"]:
        airflow.resume(sync_dag(connection))


def disconnect(connection: str, who: str) -> bool:
    """Revoke and wipe the tokens, and pause; False when the CRM did not say that it revoked them."""
    return connect_hook.disconnect(connection, who)


def check(airflow: Airflow, connection: str, once: str) -> str:
    """Start a preflight; gives the Airflow run's id."""
    return airflow.trigger(preflight_dag(connection), once)


def plan_provisioning(airflow: Airflow, connection: str, once: str) -> str:
    """Start a provisioning that only plans."""
    return airflow.trigger(provision_dag(connection), once, dry_run=True)


def provision(airflow: Airflow, connection: str, once: str) -> str:
    """Start a provisioning; when it is done, the first sync begins by itself."""
    return airflow.trigger(provision_dag(connection), once)


def reconcile(airflow: Airflow, connection: str, once: str) -> str:
    """Start a complete comparison at once; what it heals the settings say."""
    return airflow.trigger(reconcile_dag(connection), once)


def undo(airflow: Airflow, connection: str, run_id: int, once: str) -> str:
    """Ask for the undo of a run: it shows what it would take back, and waits for a person; gives the Airflow run's id."""
    return airflow.trigger(undo_dag(connection), once, runs=str(run_id))


def answer(airflow: Airflow, connection: str, run_id: int, digest: str, *, approve: bool) -> None:
    """Answer the question about a run's plan, through Airflow and with the user's own rights there.

    The run itself then keeps who answered, in the trail.  Refused where it asks about another plan than the one looked at.
    """
    with writing() as tx:
        run = overview.run(tx, connection, run_id)
        asked = questions.asked(tx, connection, run_id)
    if asked.answer is not None or asked.digest != digest:
        raise Misconfigured(f"Run {run_id} no longer asks about plan {digest}: open its page again.")
    airflow.answer(*in_airflow(connection, run.dag_run_id or ""), yes(digest) if approve else NO)
    if approve:
        # Airflow's scheduler may take the end of the waiting task for that of the going-on one, and try it again.
        with writing() as tx:
            approval.remember(tx, run_id, digest, airflow.user)
