"""sync_now: start a connection's sync at once instead of at its next time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from airflow.sdk.exceptions import DagRunTriggerException

from crm_airflow.operators.retrying_operator import RetryingOperator

__all__ = ["SyncTriggerOperator"]


class SyncTriggerOperator(RetryingOperator):
    """Trigger ``crm_sync__<connection>`` and go on without waiting for it; once for each Airflow run.

    The provider's TriggerDagRunOperator does the same, but loads Airflow's database models whenever a DAG file is parsed.

    Args:
        connection: name of the CRM connection (template field).

    Example:
        ``SyncTriggerOperator(task_id="sync_now", connection="salesforce_main")``
    """

    template_fields: Sequence[str] = ("connection",)

    def __init__(self, *, connection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection

    def execute(self, context: Mapping[str, Any]) -> NoReturn:
        """Hand the wish to Airflow, which knows it by this exception."""
        raise DagRunTriggerException(
            trigger_dag_id=f"crm_sync__{self.connection}",
            dag_run_id=f"after__{self.dag_id}__{context['dag_run'].run_id}",
            conf=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=0,
            deferrable=False,
        )
