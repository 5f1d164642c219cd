"""Salesforce for tasks of your own: the provider's hook, with every call booked against the connection's budget."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
from simple_salesforce.api import Salesforce

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_sync.errors import SyncError
from crm_sync.model import RunKind

if TYPE_CHECKING:
    from crm_sync.access.transport import MeteredSession

__all__ = ["CrmSalesforceHook"]

API_VERSION = "66.0"


class CrmSalesforceHook(SalesforceHook):
    """The provider's SalesforceHook over our metered session; all its methods work as they are documented there.

    A call is booked in GPTWeb's ledger before it leaves, so that the day's budget holds for your tasks and the sync
    together; a dead token is renewed once; a call that was not answered is never repeated blindly.

    Args:
        salesforce_conn_id: name of the CRM connection, in Airflow and in GPTWeb's settings.
        lane: the share of the daily budget to draw from: agent > sync > reconcile > backfill.

    Example:
        ::

            with CrmSalesforceHook("salesforce_main") as hook:
                rows = hook.get_conn().query("SELECT Id, Name FROM Account LIMIT 10")["records"]
    """

    def __init__(self, salesforce_conn_id: str = "salesforce_main", lane: RunKind = "sync") -> None:
        super().__init__(salesforce_conn_id)
        self.lane = lane
        self._open = ExitStack()

    def __enter__(self) -> CrmSalesforceHook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def conn(self) -> Salesforce:
        """A simple-salesforce client on the metered session."""
        session = self._metered()
        token = session.login.token()
        return Salesforce(
            session_id=token.access_token,
            instance_url=token.instance_url,
            session=session,
            version=API_VERSION,
        )

    def get_conn(self) -> Salesforce:
        """The same."""
        return self.conn

    def close(self) -> None:
        """Close the session and its connection to the ledger."""
        self._open.close()
        self.__dict__.pop("conn", None)

    def test_connection(self) -> tuple[bool, str]:
        """Log in anew, also after the connection was given up, and say as whom; no API call is spent."""
        from crm_sync.access.oauth import identity

        try:
            with CrmSyncHook(self.conn_id).login() as login:
                login.try_again()
            session = self._metered()
            user = identity(session)
        except SyncError as error:
            return False, str(error)
        finally:
            self.close()
        url = session.login.token().instance_url
        return True, f"Logged in to {url} as user {user.user_id} of org {user.organization_id}."

    def _metered(self) -> MeteredSession:
        return self._open.enter_context(CrmSyncHook(self.conn_id).session(lane=self.lane))
