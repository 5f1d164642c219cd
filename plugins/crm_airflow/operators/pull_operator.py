"""pull: read what the CRM changed, and store it as seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.stage_operator import Counts, StageOperator

__all__ = ["PullOperator"]


class PullOperator(StageOperator):
    """Read their changes in the run's window and store what differs from what was seen before.

    Rows received must equal rows announced, or the cursor stays and the task is tried again.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).

    Example:
        ``PullOperator(task_id="pull", connection="salesforce_main", run_id=run.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Pull theirs."""
        return self.run_stage(lambda engine, run_id: engine.pull(run_id))
