"""settle: count what became of the plan, seal the run, and decide its colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from crm_airflow.operators.stage_operator import StageOperator

__all__ = ["SettleOperator"]

GREEN = frozenset({"succeeded", "succeeded_with_parked"})
RED = frozenset({"failed", "upstream_failed"})


class SettleOperator(StageOperator):
    """Count and seal the run; red when work is left undone, the sums do not add up, or an earlier task failed.

    It runs whatever became of the tasks before it (trigger rule all_done) and should be the only leaf of its DAG:
    its state is the state of the Airflow run.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).

    Example:
        ``SettleOperator(task_id="settle", connection="salesforce_main", run_id=run.output)``
    """

    def __init__(self, *, trigger_rule: str = TriggerRule.ALL_DONE, **kwargs: Any) -> None:
        super().__init__(trigger_rule=trigger_rule, **kwargs)

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Settle the run and fail unless it succeeded."""
        report = self.guarded(lambda: self._with_engine(lambda engine, run_id: engine.settle(run_id)))
        self.say(report)
        self.fail_unless(green=report.state in GREEN, because=report.message)
        failed = self.failed_before(context)
        self.fail_unless(green=not failed, because=self._undone(failed))
        return {"run_id": self.opened_run(), "state": report.state, **report.counts}

    def fail_unless(self, *, green: bool, because: str) -> None:
        """Fail the task for good, with one message."""
        if not green:
            self.log.error("%s", because)
            raise AirflowFailException(because)

    def failed_before(self, context: Mapping[str, Any]) -> list[str]:
        """Ids of the tasks before this one that failed in this Airflow run."""
        before = sorted(self.get_flat_relative_ids(upstream=True))
        run_id = context["dag_run"].run_id
        states = (
            context["ti"]
            .get_task_states(dag_id=self.dag_id, task_ids=before, run_ids=[run_id])
            .get(run_id, {})
        )
        return [task_id for task_id in sorted(states) if states[task_id] in RED]

    def _undone(self, failed: list[str]) -> str:
        names = ", ".join(failed)
        return f"These tasks failed: {names}. Their logs say why and what to do; the next run takes up what they left."
