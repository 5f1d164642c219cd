"""Look at every connection every five minutes, and tell people when its state changes.

`watch`

- **Told** is only a change: healthy → paused, failing, reconnect needed, waiting for approval, stalled, drifting, values
  parked, and back to healthy. The message says what is behind it and what to do.
- **Who** is told is the connection's setting `alerts`: mail through an Airflow connection of type SMTP, or a webhook through
  one of type HTTP (host = the address, password = its bearer token). Without it the message is in the task's log and in the trail.
- **Stalled**: no sync succeeded, or a change waited, for longer than `stall_minutes`.
- **Red** means a message that was not taken; it is sent again by the next run, for a day.
- **Metrics** (StatsD or OpenTelemetry, as Airflow is configured): `crm_sync.freshness_seconds`, `crm_sync.waiting_records`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from crm_airflow.operators.watch_operator import WatchOperator

with DAG(
    "crm_alerts",
    dag_display_name="CRM alerts",
    description="Tells people when the state of a CRM connection changes.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    is_paused_upon_creation=False,
    default_args={"owner": "crm-sync", "execution_timeout": timedelta(minutes=10)},
    tags={"crm", "crm-alerts"},
) as crm_alerts:
    WatchOperator(task_id="watch")
