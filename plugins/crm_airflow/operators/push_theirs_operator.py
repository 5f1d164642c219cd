"""push_theirs: write into the CRM what GPTWeb changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.push_operator import PushOperator
from crm_airflow.operators.stage_operator import Counts

__all__ = ["PushTheirsOperator"]


class PushTheirsOperator(PushOperator):
    """Write the planned changes of theirs into the CRM, up to 500 records in one call, or by a bulk job if that is less.

    A bulk job that takes longer is waited for without a worker slot; its rows are claimed until its results are stored.

    An intent is stored before it is sent; a write without an answer stays in doubt until a later read settles it.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).
        plan_only: skip this task; give it the same value as OpenRunOperator (template field).

    Example:
        ``PushTheirsOperator(task_id="push_theirs", connection="salesforce_main", run_id=run.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Push theirs."""
        self.skip_if_dry()
        return self.run_stage(lambda engine, run_id: engine.push_theirs(run_id))
