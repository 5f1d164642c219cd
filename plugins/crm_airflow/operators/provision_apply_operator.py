"""apply_provisioning: create what the CRM lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.provision_operator import ProvisionOperator
from crm_airflow.operators.stage_operator import Counts

__all__ = ["ProvisionApplyOperator"]


class ProvisionApplyOperator(ProvisionOperator):
    """Plan afresh and create the fields, the permission set, its permissions and its assignment that are missing.

    Repeating it finds nothing left to do; what exists is never changed or dropped.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the ProvisionPlanOperator (template field).

    Example:
        ``ProvisionApplyOperator(task_id="apply_provisioning", connection="salesforce_main", run_id=plan.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Apply the plan."""
        return self.provision(lambda provisioning, run_id: provisioning.apply(run_id))
