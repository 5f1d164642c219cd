"""keep_house: begin a month of the audit trail, drop old ones, clear away what is done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, RetryPolicy

from crm_airflow.retry import RETRIES, SyncRetryPolicy

__all__ = ["HousekeepingOperator"]


class HousekeepingOperator(BaseOperator):
    """Keep the ledger's house; syncs go on meanwhile.

    Args:
        retries: how often the task is tried again where trying again helps.
        retry_policy: which errors those are; SyncRetryPolicy unless another is given.

    Example:
        ``HousekeepingOperator(task_id="keep_house")``
    """

    ui_color = "#e8f1fb"

    def __init__(
        self,
        *,
        retries: int = RETRIES,
        retry_delay: timedelta = timedelta(seconds=30),
        retry_policy: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            retries=retries, retry_delay=retry_delay, retry_policy=retry_policy or SyncRetryPolicy(), **kwargs
        )

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        """Do what the day asks for."""
        from crm_sync.ledger.database import Database, database_url  # noqa: PLC0415  parsing a DAG stays light
        from crm_sync.ledger.months import keep_house  # noqa: PLC0415

        with closing(Database(database_url())) as database:
            done = keep_house(database)
        for line in done.lines():
            self.log.info("%s", line)
        return {"month": done.month, "cleared": sum(done.cleared.values())}
