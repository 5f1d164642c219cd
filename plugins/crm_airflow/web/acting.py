"""What a person does to a connection, from a page or by the API: one function each."""

from __future__ import annotations

from crm_airflow.web.airflow_api import Airflow
from crm_airflow.web.guards import sync_dag
from crm_airflow.web.reading import writing
from crm_sync.ledger import lifecycle, snapshot

__all__ = ["pause", "resume", "run_now"]


def run_now(airflow: Airflow, connection: str, *, dry_run: bool) -> str:
    """Start a sync at once, also of a paused connection; gives the Airflow run's id."""
    return airflow.trigger(sync_dag(connection), dry_run=dry_run)


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
