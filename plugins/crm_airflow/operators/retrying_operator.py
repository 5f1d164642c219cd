"""What all operators have in common: they are tried again where trying again helps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, RetryPolicy

from crm_airflow.retry import RETRIES, SyncRetryPolicy

__all__ = ["RetryingOperator"]


class RetryingOperator(BaseOperator):
    """Base of the operators: an error of ours says by its class whether the task is tried again, and when.

    Args:
        retries: how often the task is tried again where trying again helps.
        retry_delay: how long to wait before, where the error names no time.
        retry_policy: which errors those are; SyncRetryPolicy unless another is given.
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
