"""Check the audit trail against its seals, begin and drop its months, clear away what is done: once a day.

`verify_trail` → `keep_house`

- **Verify**: every chain of seals from its beginning, and every row that was sealed in the last days (**Days**; empty: every row
  there is). Whatever was changed, removed or added since is named in the log, and the run is red. Then nothing is dropped:
  what is left may be evidence.
- **The heads** of the chains are in the log of each run. Keep the logs where the database's owner can't write: a chain can be
  made anew as a whole, but not with the heads that were printed. `python -m crm_sync verify --head …` looks for them.
- **Months**: a new one begins for the trail's tables, the next two are made ahead; one past retention (25 months; docs/audit-trail.md)
  is dropped, if every row of it was sealed and no write of it is in doubt.
- **Cleared away** is work state that nothing asks for any more: closed intents, lifted parked lines, samples of old reports.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from crm_airflow.operators.housekeeping_operator import HousekeepingOperator
from crm_airflow.operators.verify_trail_operator import VerifyTrailOperator

with DAG(
    "crm_housekeeping",
    dag_display_name="CRM housekeeping",
    description="Verifies the audit trail, keeps its months, and clears away what is done.",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("15 1 * * *", timezone="UTC"),
    start_date=None,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    is_paused_upon_creation=False,
    default_args={"owner": "crm-sync", "execution_timeout": timedelta(hours=6)},
    params={
        "days": Param(
            7,
            type=["null", "integer"],
            minimum=1,
            title="Days",
            description="Check rows of so many days. Empty: all.",
        )
    },
    tags={"crm", "crm-housekeeping"},
) as crm_housekeeping:
    VerifyTrailOperator(task_id="verify_trail", days="{{ params.days }}") >> HousekeepingOperator(
        task_id="keep_house"
    )
