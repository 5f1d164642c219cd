"""What the three operators of provisioning have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crm_airflow.operators.stage_operator import Counts, Report, StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from crm_sync.provision import Provisioning

__all__ = ["ProvisionOperator"]


class ProvisionOperator(StageOperator):
    """Base of the operators of provisioning; when there will be no more tries, the run is closed with the error.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the ProvisionPlanOperator (template field).
    """

    calls_at_once = 10  # each stage begins with a look at the whole org, which is of no use in pieces

    def __init__(self, *, on_failure_callback: Any = None, **kwargs: Any) -> None:
        more = on_failure_callback or []
        callbacks = [self.give_up, *(more if isinstance(more, list) else [more])]
        super().__init__(on_failure_callback=callbacks, **kwargs)

    def provision(self, stage: Callable[[Provisioning, int], Report]) -> Counts:
        """Run one stage of the open run, log its report and return its counts."""
        report = self.guarded(lambda: self._with_provisioning(stage))
        self.say(report)
        return report.counts

    def give_up(self, context: Context) -> None:
        """Close the run in the ledger with the message of what failed."""
        error = (
            context.get("exception")
            or "The task was stopped from outside; its log ends where it was stopped."
        )
        with self.hook().provisioning() as provisioning:
            provisioning.give_up(context["dag_run"].run_id, str(error))

    def _with_provisioning(self, stage: Callable[[Provisioning, int], Report]) -> Report:
        run_id = self.opened_run()
        with self.hook().provisioning() as provisioning:
            return stage(provisioning, run_id)
