"""verify_trail: the audit trail is as it was sealed, or the task is red and names what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from crm_airflow.operators.retrying_operator import RetryingOperator

__all__ = ["VerifyTrailOperator"]


class VerifyTrailOperator(RetryingOperator):
    """Check all chains of seals, and the rows that were sealed in the last days.

    Args:
        days: how many days; none (or an empty text, as a template gives it): all rows there are (template field).

    Example:
        ``VerifyTrailOperator(task_id="verify_trail", days=7)``
    """

    template_fields: Sequence[str] = ("days",)

    def __init__(
        self,
        *,
        days: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.days = days

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Verify; what was found goes into the log, its first line into the error."""
        from crm_sync.ledger.database import Database, database_url
        from crm_sync.ledger.verify import verify

        days = None if self.days in (None, "", "None") else int(self.days)
        with closing(Database(database_url())) as database:
            report = verify(database, days=days)
        for line in report.lines():
            self.log.info("%s", line)
        if report.findings:
            raise AirflowFailException(
                f"{report.lines()[0]}: {report.findings[0]}. Find out who did it before anything else is changed"
            )
        return {"seals": report.seals, "rows": report.rows, "heads": report.heads}
