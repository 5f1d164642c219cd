"""Waits until a paused run may make calls again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from crm_sync.errors import SyncError

__all__ = ["BudgetTrigger"]

NONE = timedelta(0)
USUAL = timedelta(minutes=1)


class BudgetTrigger(BaseTrigger):
    """Looks into the ledger every minute (``look_seconds``) until the run's lane and its org have a call again.

    It looks instead of sleeping to the end, so that a raised budget takes effect at once, and so that a day's wait
    survives whatever is restarted meanwhile.  While the ledger can't be reached, the time that was foretold decides.

    Args:
        run_id: the number of the paused run.
        until: when the run can go on as far as was known when it was paused.
    """

    def __init__(self, run_id: int, until: datetime) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id = run_id
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to go on waiting after a restart."""
        return "crm_airflow.triggers.budget_trigger.BudgetTrigger", {
            "run_id": self.run_id,
            "until": self.until,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, at least for one look, and then let the task go on."""
        wait, every = await asyncio.to_thread(self._look)
        while True:
            await asyncio.sleep((min(wait, every) if wait else every).total_seconds())
            wait, every = await asyncio.to_thread(self._look)
            if wait <= NONE:
                break
        yield TriggerEvent({"run_id": self.run_id})  # type: ignore[no-untyped-call]

    def _look(self) -> tuple[timedelta, timedelta]:
        """How long there still is to wait, and how often to look."""
        from psycopg import Error  # noqa: PLC0415  the plugins stay light

        from crm_sync.ledger import forecast  # noqa: PLC0415
        from crm_sync.ledger.database import Database, database_url  # noqa: PLC0415

        try:
            database = Database(database_url())
            try:
                with database.transaction() as tx:
                    return forecast.wait_of(tx, self.run_id)
            finally:
                database.close()
        except (SyncError, Error) as error:
            self.log.warning("The budget of run %s can't be looked at: %s", self.run_id, error)
            return max(NONE, self.until - datetime.now(UTC)), USUAL
