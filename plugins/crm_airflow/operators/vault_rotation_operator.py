"""rotate_vault: seal every stored token anew under the first key of the vault's ring."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, RetryPolicy

from crm_airflow.retry import RETRIES, SyncRetryPolicy
from crm_sync.errors import SyncError

__all__ = ["VaultRotationOperator"]


class VaultRotationOperator(BaseOperator):
    """Seal the tokens of all connections under the ring's first key; syncs go on meanwhile.

    Args:
        retries: how often the task is tried again where trying again helps.
        retry_policy: which errors those are; SyncRetryPolicy unless another is given.

    Example:
        ``VaultRotationOperator(task_id="rotate_vault")``
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
        """Seal what is not yet under the first key."""
        from crm_airflow.hooks.vault_hook import vault  # noqa: PLC0415  parsing a DAG stays light
        from crm_sync.access.rotation import rotate  # noqa: PLC0415
        from crm_sync.ledger.database import Database, database_url  # noqa: PLC0415

        try:
            with closing(Database(database_url())) as database:
                rotation = rotate(database, vault())
        except SyncError as error:
            self.log.error("%s", error)  # noqa: TRY400  the message is the remedy, a traceback would drown it
            raise error.with_traceback(None) from None
        for line in rotation.lines():
            self.log.info("%s", line)
        return rotation.counts
