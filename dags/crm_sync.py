"""Sync one CRM connection with GPTWeb, both ways.

`open_run` → `pull` → `plan` → `push_ours` → `push_theirs` → `settle`

- **By itself** it runs every minute (real time), every 5 or 15 minutes or every hour, as the connection's settings say, once provisioning is done.
- **By hand** the form chooses objects, direction, a limit, or a **dry run**: `plan` then says what would be changed.
- **A backfill** reads again what last changed in each run's data interval, and moves no cursor.
- **Any task can be cleared** and run again, at any time: each write re-checks its decision when it is made.
- **Red** means work left undone: `settle` names it and says what to do; the next run takes it up.
- **Paused: budget** means that the day's calls are used up: the task waits without a worker and goes on by itself.
- **Awaiting input** means that the plan overwrites, deletes or (first sync) makes so much that a person has to approve it:
  its page in CRM Sync and Browse → Required Actions show it. Not approved, it is skipped; see docs/flow.md, "Approval".
- **Parked** is a value that was refused, with cause and remedy; everything else flows on, and the run is green.
- **Look** at `crm_sync.run_summary` for the runs, at `crm_sync.audit_trail` for every value changed or overruled.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from crm_airflow.operators.open_run_operator import AS_CONFIGURED, OpenRunOperator
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.ledger import snapshot
from crm_sync.model import OBJECTS

CRON = {"realtime": "* * * * *", "5min": "*/5 * * * *", "15min": "*/15 * * * *", "hourly": "0 * * * *"}
FORM = {
    "objects": Param(
        list(OBJECTS), type=["null", "array"], items={"type": "string", "enum": list(OBJECTS)}, examples=list(OBJECTS),
        title="Objects", description="What to sync. Empty: all of them.",
    ),
    "direction": Param(
        AS_CONFIGURED, type="string", enum=[AS_CONFIGURED, "bidirectional", "push", "pull"], title="Direction",
        description="push: from GPTWeb to the CRM. pull: from the CRM to GPTWeb.",
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Plan and report; write on neither side."),
    "limit": Param(
        None, type=["null", "integer"], minimum=1, title="Limit", description="At most so many records. Empty: all."
    ),
    "approve": Param(
        None, type=["null", "string"], title="Approve",
        description="The digest that a dry run named: if this run makes that plan, nobody is asked.",
    ),
}  # fmt: skip


def sync_dag(connection: snapshot.ConnectionSnapshot) -> DAG:
    """The sync of one connection."""
    name = connection.name
    scheduled = connection.active and connection.provisioned
    with DAG(
        f"crm_sync__{name}",
        dag_display_name=f"CRM sync: {name}",
        description=f"Syncs {name} ({connection.vendor}) with GPTWeb, both ways.",
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(CRON[connection.frequency], timezone="UTC") if scheduled else None,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=36),  # a pause may take a day; it is not counted in a task's own 6 h
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync", "execution_timeout": timedelta(hours=6)},
        params=FORM,
        tags={"crm", "crm-sync", connection.vendor, name},
    ) as dag:
        form: dict[str, Any] = {field: dag.param(field) for field in FORM}
        dry = {"plan_only": form.pop("dry_run")}
        opened = OpenRunOperator(task_id="open_run", connection=name, **form, **dry)
        run: dict[str, Any] = {"connection": name, "run_id": opened.output}
        pull = PullOperator(task_id="pull", **run)
        plan = PlanOperator(task_id="plan", **run)
        ours = PushOursOperator(task_id="push_ours", **dry, **run)
        theirs = PushTheirsOperator(task_id="push_theirs", **dry, **run)
        opened >> pull >> plan >> ours >> theirs >> SettleOperator(task_id="settle", **run)
    return dag


for entry in snapshot.read():
    globals()[f"crm_sync__{entry.name}"] = sync_dag(entry)
