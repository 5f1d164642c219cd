"""Waits until a paused task may make calls again."""

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
    """Looks into the ledger every minute (``look_seconds``) until the task's lane and its org have a call again.

    It looks instead of sleeping to the end, so that a raised budget takes effect at once, and so that a day's wait
    survives whatever is restarted meanwhile.  While the ledger can't be reached, the time that was foretold decides.

    Args:
        connection: name of the CRM connection.
        until: when the task can go on as far as was known when it was paused.
        run_id: the number of the paused run; its kind is the lane.  A task that has none yet (preflight, the plan of
            provisioning) books in lane provision.
        calls: how many calls have to be free.
    """

    def __init__(self, connection: str, until: datetime, run_id: int | None = None, calls: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection = connection
        self.until = until
        self.run_id = run_id
        self.calls = calls

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What the triggerer needs to go on waiting after a restart."""
        return "crm_airflow.triggers.budget_trigger.BudgetTrigger", {
            "connection": self.connection,
            "until": self.until,
            "run_id": self.run_id,
            "calls": self.calls,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, at least for one look, and then let the task go on."""
        wait, every = await asyncio.to_thread(self._look)
        while True:
            await asyncio.sleep((min(wait, every) if wait else every).total_seconds())
            wait, every = await asyncio.to_thread(self._look)
            if wait <= NONE:
                break
        yield TriggerEvent({"connection": self.connection})  # type: ignore[no-untyped-call]

    def _look(self) -> tuple[timedelta, timedelta]:
        """How long there still is to wait, and how often to look."""
        from psycopg import Error  # noqa: PLC0415  the plugins stay light

        from crm_sync.ledger import forecast, runs  # noqa: PLC0415
        from crm_sync.ledger.database import Database, database_url  # noqa: PLC0415

        try:
            database = Database(database_url())
            try:
                with database.transaction() as tx:
                    lane = runs.load(tx, self.run_id).kind if self.run_id else "provision"
                    return forecast.wait_of(tx, self.connection, lane, self.calls)
            finally:
                database.close()
        except (SyncError, Error) as error:
            self.log.warning("The budget of %s can't be looked at: %s", self.connection, error)
            return max(NONE, self.until - datetime.now(UTC)), USUAL
