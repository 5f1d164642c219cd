"""preflight: look whether a CRM will let provisioning and the sync work, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_airflow.operators.stage_operator import Counts, StageOperator

if TYPE_CHECKING:
    from crm_sync.preflight import PreflightReport

__all__ = ["PreflightOperator"]


class PreflightOperator(StageOperator):
    """Check log-in, rights, limits and rules of the CRM; log each check with its evidence and remedy.

    A problem, which makes provisioning or the sync impossible, fails the task at once with every problem in the message;
    warnings and what is not known let it pass.  The report is kept in ``crm_sync.preflight`` either way.  It reads only,
    three calls, booked in the lane of provisioning.

    Args:
        connection: name of the CRM connection (template field).

    Example:
        ``PreflightOperator(task_id="preflight", connection="salesforce_main")``
    """

    template_fields: Sequence[str] = ("connection",)
    calls_at_once = 3  # one report; taken one by one as they get free, it would never be whole

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Run the checks."""
        return self.guarded(self._check)

    def _check(self) -> Counts:
        with self.hook().preflight() as preflight:
            report: PreflightReport = preflight.run()
        self.say(report)
        report.raise_if_impossible()
        return report.counts
