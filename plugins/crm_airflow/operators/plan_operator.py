"""plan: decide every change of the run, writing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.stage_operator import Counts, StageOperator

__all__ = ["PlanOperator"]


class PlanOperator(StageOperator):
    """Compare base, ours and theirs of every dirty link and store the decisions; nothing is written on either side.

    The report in the log is the dry run's result.  A plan that is not safe (docs/flow.md, "Approval") waits here for a
    person, in state awaiting_input; when it is not approved, this task and the pushes are skipped.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).

    Example:
        ``PlanOperator(task_id="plan", connection="salesforce_main", run_id=run.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Plan."""
        return self.run_stage(lambda engine, run_id: engine.plan(run_id))
