"""push_ours: write into GPTWeb what the CRM changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.push_operator import PushOperator
from crm_airflow.operators.stage_operator import Counts

__all__ = ["PushOursOperator"]


class PushOursOperator(PushOperator):
    """Write the planned changes of ours into GPTWeb's database.

    Each write re-checks its decision in its own transaction; what was edited meanwhile is superseded and stays dirty.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).
        plan_only: skip this task; give it the same value as OpenRunOperator (template field).

    Example:
        ``PushOursOperator(task_id="push_ours", connection="salesforce_main", run_id=run.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Push ours."""
        self.skip_if_dry()
        return self.run_stage(lambda engine, run_id: engine.push_ours(run_id))
