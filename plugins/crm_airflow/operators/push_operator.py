"""What both pushes have in common: a dry run ends before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from crm_airflow.operators.open_run_operator import boolean_of
from crm_airflow.operators.stage_operator import StageOperator

__all__ = ["PushOperator"]


class PushOperator(StageOperator):
    """Base of the two pushes.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the OpenRunOperator (template field).
        plan_only: skip this task; the same value as OpenRunOperator's, so that the graph shows it (template field).
    """

    template_fields: Sequence[str] = (*StageOperator.template_fields, "plan_only")

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    def skip_if_dry(self) -> None:
        """End the task as skipped in a dry run."""
        if boolean_of(self.plan_only):
            msg = "Dry run: the changes are planned and listed in the log of plan, nothing is written."
            raise AirflowSkipException(msg)
