"""plan_provisioning: compare the fields that GPTWeb needs with those that the CRM has; changes nothing."""

from __future__ import annotations

from contextlib import AbstractContextManager

from crm_airflow.operators.provision_open_operator import Lister, ProvisionOpenOperator

__all__ = ["ProvisionPlanOperator"]


class ProvisionPlanOperator(ProvisionOpenOperator):
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

    def lister(self) -> AbstractContextManager[Lister]:
        """The provisioning of this connection."""
        return self.hook().provisioning()
