"""From what went wrong to what Airflow does next: one retry policy for every task of the sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from airflow.sdk import RetryDecision, RetryPolicy

from crm_sync.errors import RetryLater, SyncError, Unanswered

__all__ = ["RETRIES", "SyncRetryPolicy"]

RETRIES: Final = 3
"""How often a task of the sync is tried again where trying again helps."""

SOON: Final = timedelta(seconds=5)
"""After an unanswered write: the doubt belongs to its own rows, the other batches can go on at once."""

LONGEST: Final = timedelta(minutes=15)
"""No wait inside a run is longer: the next scheduled run takes the work up just as well."""


class SyncRetryPolicy(RetryPolicy):
    """Retry what may pass by itself, after the time the error names; fail at once what a person has to mend.

    An error that is none of the sync's own (a bug, a database that went away, a killed process) is left to the
    task's ``retries`` and ``retry_delay``: every stage may be repeated at any time.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Mapping[str, Any] | None = None,
    ) -> RetryDecision:
        """Decide by the class of the error alone."""
        message = str(exception)
        if isinstance(exception, RetryLater):
            return RetryDecision.retry(min(exception.after, LONGEST), message)
        if isinstance(exception, Unanswered):
            return RetryDecision.retry(SOON, message)
        if isinstance(exception, SyncError):
            return RetryDecision.fail(message)
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """It has no settings."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> SyncRetryPolicy:
        """It has no settings."""
        return cls()
