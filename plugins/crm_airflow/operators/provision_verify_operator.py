"""verify_provisioning: look at the fields as the integration user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.provision_operator import ProvisionOperator
from crm_airflow.operators.stage_operator import Counts

__all__ = ["ProvisionVerifyOperator"]


class ProvisionVerifyOperator(ProvisionOperator):
    """Describe the objects as the integration user; if all is there, mark the connection as provisioned.

    From then on the connection's sync DAG has its schedule: its first run begins within a minute.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the ProvisionPlanOperator (template field).

    Example:
        ``ProvisionVerifyOperator(task_id="verify_provisioning", connection="salesforce_main", run_id=plan.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Verify."""
        return self.provision(lambda provisioning, run_id: provisioning.verify(run_id))
