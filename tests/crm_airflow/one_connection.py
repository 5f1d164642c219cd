"""An auth manager as organisations have them: the user ``clerk`` has rights on one connection, all others as by their role."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import ConnectionDetails, DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from tests.crm_airflow.real import NAME

__all__ = ["OneConnection"]


class OneConnection(SimpleAuthManager):
    """Airflow's simple one, which knows only roles, with the clerk's bounds."""

    def is_authorized_connection(
        self, *, details: ConnectionDetails | None = None, user: Any, **asked: Any
    ) -> bool:
        """Whether this user may do this to a connection."""
        if user.username == "clerk" and (details is None or details.conn_id != NAME):
            return False
        return super().is_authorized_connection(details=details, user=user, **asked)

    def is_authorized_dag(self, *, details: DagDetails | None = None, user: Any, **asked: Any) -> bool:
        """Whether this user may do this to a DAG."""
        if user.username == "clerk" and (details is None or details.id != f"crm_sync__{NAME}"):
            return False
        return super().is_authorized_dag(details=details, user=user, **asked)
