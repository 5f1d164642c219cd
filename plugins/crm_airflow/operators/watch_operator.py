"""watch: look at every connection, alert people when its state changed, publish how fresh it is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.observability import stats

from crm_airflow.operators.retrying_operator import RetryingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from crm_sync.decide.alerts import Alert, AlertTarget
    from crm_sync.ledger.alerts import Pending
    from crm_sync.ledger.database import Database

__all__ = ["WatchOperator"]

AGE = "crm_sync.freshness_seconds"
WAITING = "crm_sync.waiting_records"


class WatchOperator(RetryingOperator):
    """Look at all connections; one that can't be looked at, or a message that can't be delivered, makes the task red.

    What could not be delivered is tried again by the next run, for a day.  Metrics, with connection and object as tags:
    ``crm_sync.freshness_seconds``, the age of the oldest change that is not on the other side, and ``crm_sync.waiting_records``.

    Example:
        ``WatchOperator(task_id="watch")``
    """

    def execute(self, context: Mapping[str, Any]) -> dict[str, int]:
        """Look, tell, publish."""
        from crm_sync.ledger import overview
        from crm_sync.ledger.database import Database, database_url

        problems: list[str] = []
        told = 0
        with closing(Database(database_url())) as database:
            with database.transaction() as tx:
                names = overview.names(tx)
            for name in names:
                told += self._watch(database, name, context, problems)
        if problems:
            raise AirflowFailException("; ".join(problems))
        return {"connections": len(names), "told": told}

    def _watch(self, database: Database, name: str, context: Mapping[str, Any], problems: list[str]) -> int:
        from crm_sync.errors import SyncError
        from crm_sync.ledger import alerts, freshness, settings

        try:
            with database.transaction() as tx:
                alerts.look(tx, name)
                for object, one in freshness.by_object(tx, name).items():
                    tags = {"connection": name, "object": object}
                    stats.gauge(AGE, one.age.total_seconds() if one.age else 0, tags=tags)
                    stats.gauge(WAITING, one.waiting, tags=tags)
                targets = settings.load(tx, name).settings.alerts
        except SyncError as error:
            problems.append(f"{name}: {error}")
            return 0
        with database.transaction() as tx:
            waiting = alerts.pending(tx, name)
            for message in waiting:
                self.log.info("%s. %s %s", message.alert.subject, message.alert.message, message.alert.remedy)
                had, problem = self._tell(message, targets, context)
                alerts.delivered(tx, message.alert_id, had, problem)
                problems += [problem] if problem else []
        return len(waiting)

    def _tell(
        self, message: Pending, targets: tuple[AlertTarget, ...], context: Mapping[str, Any]
    ) -> tuple[set[str], str | None]:
        """Which targets have it now, and why the others don't."""
        had, problems = set(message.delivered), []
        for target in targets:
            if target.key not in had and target.wants(message.alert):
                problem = self._send(target, message.alert, context)
                if problem is None:
                    had.add(target.key)
                else:
                    problems.append(problem)
        return had, "; ".join(problems) or None

    def _send(self, target: AlertTarget, alert: Alert, context: Mapping[str, Any]) -> str | None:
        from crm_airflow.alerts.targets import notifier_for

        try:
            # Calling the notifier itself would only log what goes wrong.
            notifier_for(target, alert).notify(cast("Context", context))
        except Exception as error:  # noqa: BLE001  any notifier, any library: a target that fails keeps no other from its message
            return f"{target.via} {target.conn_id} did not take the alert: {error}"
        return None
