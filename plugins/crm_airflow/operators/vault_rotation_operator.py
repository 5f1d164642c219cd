"""rotate_vault: seal every stored token anew under the first key of the vault's ring."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from crm_airflow.operators.retrying_operator import RetryingOperator
from crm_sync.errors import SyncError

__all__ = ["VaultRotationOperator"]


class VaultRotationOperator(RetryingOperator):
    """Seal the tokens of all connections under the ring's first key; syncs go on meanwhile.

    Example:
        ``VaultRotationOperator(task_id="rotate_vault")``
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        """Seal what is not yet under the first key."""
        from crm_airflow.hooks.vault_hook import vault
        from crm_sync.access.rotation import rotate
        from crm_sync.ledger.database import Database, database_url

        try:
            with closing(Database(database_url())) as database:
                rotation = rotate(database, vault())
        except SyncError as error:
            self.log.error("%s", error)  # noqa: TRY400  the message is the remedy, a traceback would drown it
            raise error.with_traceback(None) from None
        for line in rotation.lines():
            self.log.info("%s", line)
        return rotation.counts
