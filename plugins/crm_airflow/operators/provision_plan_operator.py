"""plan_provisioning: compare the fields that GPTWeb needs with those that the CRM has; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm_airflow.operators.open_run_operator import boolean_of
from crm_airflow.operators.provision_operator import ProvisionOperator

__all__ = ["ProvisionPlanOperator"]


class ProvisionPlanOperator(ProvisionOperator):
    """Open a provisioning run, log what would be created and permitted, and return the run's number.

    A field that exists with another type is refused here, with what to do, and nothing is changed.

    Args:
        connection: name of the CRM connection (template field).
        plan_only: end after this plan; apply and verify then touch nothing (template field).

    Example:
        Provisioning before a sync, in a DAG of your own::

            plan = ProvisionPlanOperator(task_id="plan_provisioning", connection="salesforce_main")
            where = {"connection": "salesforce_main", "run_id": plan.output}
            apply = ProvisionApplyOperator(task_id="apply_provisioning", **where)
            plan >> apply >> ProvisionVerifyOperator(task_id="verify_provisioning", **where)
    """

    template_fields: Sequence[str] = ("connection", "plan_only")

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def execute(self, context: Mapping[str, Any]) -> int:
        """Plan the fields and permissions."""
        return self.guarded(lambda: self._plan(context["dag_run"].run_id))

    def _plan(self, dag_run_id: str) -> int:
        with self.hook().provisioning() as provisioning:
            run_id: int
            run_id, report = provisioning.plan(dag_run_id, dry_run=boolean_of(self.plan_only))
        self.say(report)
        return run_id
