"""apply_removal: remove what was approved, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm_airflow.operators.provision_operator import ProvisionOperator
from crm_airflow.operators.removal_approve_operator import approval_of
from crm_airflow.operators.stage_operator import Counts

__all__ = ["RemovalApplyOperator"]


class RemovalApplyOperator(ProvisionOperator):
    """Remove what is left of the approved list; without approval of that very list, end as refused.

    Before the first step the connection stops being provisioned, so that its sync DAG loses its schedule.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the RemovalPlanOperator (template field).
        answer: ``.output`` of the RemovalApproveOperator (template field).
    """

    template_fields: Sequence[str] = ("connection", "run_id", "answer")

    def __init__(self, *, answer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.answer = answer

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Remove."""
        approved, by = approval_of(self.answer)
        return self.guarded(lambda: self._apply(approved, by))

    def _apply(self, approved: str, by: str) -> Counts:
        with self.hook().removal() as removal:
            report = removal.apply(self.opened_run(), approved, by)
        self.say(report)
        return report.counts
