"""keep_house: begin a month of the audit trail, drop old ones, clear away what is done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from crm_airflow.operators.retrying_operator import RetryingOperator

__all__ = ["HousekeepingOperator"]


class HousekeepingOperator(RetryingOperator):
    """Keep the ledger's house; syncs go on meanwhile.

    Example:
        ``HousekeepingOperator(task_id="keep_house")``
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        """Do what the day asks for."""
        from crm_sync.ledger.database import Database, database_url
        from crm_sync.ledger.months import keep_house

        with closing(Database(database_url())) as database:
            done = keep_house(database)
        for line in done.lines():
            self.log.info("%s", line)
        return {"month": done.month, "cleared": sum(done.cleared.values())}
