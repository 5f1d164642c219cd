"""plan_removal: list what provisioning made in the CRM and what of it is still there; changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from crm_airflow.operators.open_run_operator import boolean_of
from crm_airflow.operators.provision_open_operator import Lister, ProvisionOpenOperator

__all__ = ["RemovalPlanOperator", "skip_unless"]


def skip_unless(param: str, wanted: bool) -> Callable[[Any], None]:  # noqa: FBT001
    """A task that is skipped, and all behind it, unless a yes or no of the run's form is as wanted."""

    def check(context: Any) -> None:
        if boolean_of(context["params"].get(param, False)) != wanted:
            raise AirflowSkipException(f"{param} is {not wanted}")

    return check


class RemovalPlanOperator(ProvisionOpenOperator):
    """Open a run, log what a removal would take away and what it would leave, and return the run's number.

    Args:
        connection: name of the CRM connection (template field).
        plan_only: end after this list (template field).

    Example:
        Taking a CRM off in a DAG of your own::

            plan = RemovalPlanOperator(task_id="plan_removal", connection="salesforce_main")
            where = {"connection": "salesforce_main", "run_id": plan.output}
            approve = RemovalApproveOperator(task_id="approve_removal", **where)
            RemovalApplyOperator(task_id="apply_removal", answer=approve.output, **where)
    """

    def lister(self) -> AbstractContextManager[Lister]:
        """The removal of this connection's provisioning."""
        return self.hook().removal()
