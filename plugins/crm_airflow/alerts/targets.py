"""From a target in the settings to the notifier that serves it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

    from crm_sync.decide.alerts import Alert, AlertTarget

__all__ = ["notifier_for"]


def notifier_for(target: AlertTarget, alert: Alert) -> BaseNotifier:
    """A notifier that has the alert's words in it already; nothing in them is a template."""
    if target.via == "mail":
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        lines = "".join(f"<p>{escape(line)}</p>" for line in (alert.message, alert.remedy) if line)
        return SmtpNotifier(
            to=list(target.to), subject=alert.subject, html_content=lines, smtp_conn_id=target.conn_id
        )
    from crm_airflow.alerts.webhook import WebhookNotifier

    payload = {
        "text": "\n".join(line for line in (alert.subject, alert.message, alert.remedy) if line),
        "connection": alert.connection, "was": alert.was, "state": alert.state, "message": alert.message,
        "remedy": alert.remedy,
    }  # fmt: skip
    return WebhookNotifier(target.conn_id, payload)
