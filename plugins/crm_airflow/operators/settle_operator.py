"""settle: count what became of the plan, seal the run, and decide its colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import AirflowFailException

from crm_airflow.operators.stage_operator import StageOperator

if TYPE_CHECKING:
    from crm_sync.engine import RunReport

__all__ = ["SettleOperator"]

GREEN = frozenset({"succeeded", "succeeded_with_parked"})
NOT_APPROVED = "refused"
"""Where no task failed, this is a person's answer, or that nobody gave one in time: nothing went wrong."""


class SettleOperator(StageOperator):
    """Count and seal the run; red when work is left undone, the sums do not add up, or an earlier task failed.

    A plan that a person rejected, or that nobody approved in time, ends the run as refused, and green.

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
        failed = self.failed_before(context)
        report = self.guarded(lambda: self._settle(failed))
        self.say(report)
        if report.state not in GREEN and (failed or report.state != NOT_APPROVED):
            raise AirflowFailException(report.message)
        return {"run_id": report.run_id, "state": report.state, **report.counts}

    def failed_before(self, context: Mapping[str, Any]) -> list[str]:
        """Ids of the tasks before this one that failed in this Airflow run."""
        before = sorted(self.get_flat_relative_ids(upstream=True))
        run_id = context["dag_run"].run_id
        states = (
            context["ti"]
            .get_task_states(dag_id=self.dag_id, task_ids=before, run_ids=[run_id])
            .get(run_id, {})
        )
        return [task_id for task_id in sorted(states) if states[task_id] == "failed"]

    def _settle(self, failed: list[str]) -> RunReport:
        from crm_sync.engine.notes import settle

        run_id = self.opened_run()
        with self.hook().engine() as engine:
            return settle(engine, run_id, failed)
