"""compare: read both sides completely, say where they differ, and go on only if there is something to heal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import DownstreamTasksSkipped

from crm_airflow.operators.stage_operator import StageOperator

if TYPE_CHECKING:
    from airflow.sdk.bases.operator import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

__all__ = ["CompareOperator", "ReportLink"]


class ReportLink(BaseOperatorLink):
    """From the task to its report."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The report's address below Airflow's own; none before a run is open."""
        if not isinstance(operator, CompareOperator) or not str(operator.run_id).isdigit():
            return ""
        base = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{base}/crm-sync/connections/{operator.connection}/reconciliations/{operator.run_id}"


class CompareOperator(StageOperator):
    """Compare both sides record by record; the tasks after it are skipped unless the run has something to heal.

    The log has the verdict in its first line and the sums by cause; the link "Report" leads to the page with charts and
    samples. Nothing is written on either side; what is to be healed becomes work of the plan that follows.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenReconciliationOperator (template field).

    Example:
        ``CompareOperator(task_id="compare", connection="salesforce_main", run_id=run.output)``
    """

    operator_extra_links = (ReportLink(),)
    calls_at_once = 60  # a read that was cut short begins again: after a pause it wants room for the whole

    def execute(self, context: Mapping[str, Any]) -> None:
        """Compare."""
        counts = self.run_stage(lambda engine, run_id: engine.compare(run_id))
        context["ti"].xcom_push(key="return_value", value=counts)
        if not counts["healing"]:
            raise DownstreamTasksSkipped(tasks=sorted(self.downstream_task_ids))  # type: ignore[no-untyped-call]
