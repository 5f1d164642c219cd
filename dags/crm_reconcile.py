"""Compare one CRM connection with GPTWeb completely, record by record, and heal what drifted if asked.

`open_run` → `compare` → `pull` → `plan` → `push_ours` → `push_theirs` → `settle`

- **By itself** it runs every night (or once a week, or never), as the connection's settings say.
- **The verdict** is the first line of `compare`: *In step* or *Drifted*, with how many records, and how many of them the next
  sync sees to anyway. Its link **Report** leads to a page with charts, causes, fields and samples with both values.
- **Heal**: *none* only reports, and leaves no trace on any record. *safe* heals what neither archives nor deletes nor changes
  masses of records. *all* heals everything, and asks before it destroys.
- **Healing is a sync**: what differs becomes work of the same plan and the same pushes, with the same rules and the same trail.
- **It costs** some dozens of API calls for a million records, from the lane of reconciliations.
- **What each cause means**, and what helps: docs/reconciliation.md.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param

from crm_airflow.operators.compare_operator import CompareOperator
from crm_airflow.operators.open_reconciliation_operator import OpenReconciliationOperator
from crm_airflow.operators.open_run_operator import AS_CONFIGURED
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.ledger import snapshot
from crm_sync.model import OBJECTS

CRON = {"nightly": "30 2 * * *", "weekly": "30 2 * * 0"}
NEVER = timedelta(0)
"""Without a start date the first run is the next night's; yet for Airflow 3.3 ``False`` means up to a tenth of the gap late: all
that was connected before five in the morning would be compared at once, before its first sync."""
FORM = {
    "heal": Param(
        AS_CONFIGURED, type="string", enum=[AS_CONFIGURED, "none", "safe", "all"], title="Heal",
        description="none: only report. safe: neither archive nor delete nor change masses. all: ask before that.",
    ),
    "objects": Param(
        list(OBJECTS), type=["null", "array"], items={"type": "string", "enum": list(OBJECTS)}, examples=list(OBJECTS),
        title="Objects", description="What to compare. Empty: all of them.",
    ),
}  # fmt: skip


def reconcile_dag(connection: snapshot.ConnectionSnapshot) -> DAG:
    """The reconciliation of one connection."""
    name = connection.name
    cron = CRON.get(connection.reconcile) if connection.active and connection.provisioned else None
    with DAG(
        f"crm_reconcile__{name}",
        dag_display_name=f"CRM reconciliation: {name}",
        description=f"Compares all records of {name} ({connection.vendor}) with GPTWeb, and heals what drifted if asked.",
        doc_md=__doc__,
        schedule=CronTriggerTimetable(cron, timezone="UTC", run_immediately=NEVER) if cron else None,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=36),  # a pause may take a day; it is not counted in a task's own 6 h
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync", "execution_timeout": timedelta(hours=6)},
        params=FORM,
        tags={"crm", "crm-reconcile", connection.vendor, name},
    ) as dag:
        form: dict[str, Any] = {field: dag.param(field) for field in FORM}
        opened = OpenReconciliationOperator(task_id="open_run", connection=name, **form)
        run: dict[str, Any] = {"connection": name, "run_id": opened.output}
        compare = CompareOperator(task_id="compare", **run)
        pull = PullOperator(task_id="pull", **run)
        plan = PlanOperator(task_id="plan", **run)
        ours = PushOursOperator(task_id="push_ours", **run)
        theirs = PushTheirsOperator(task_id="push_theirs", **run)
        opened >> compare >> pull >> plan >> ours >> theirs >> SettleOperator(task_id="settle", **run)
    return dag


for entry in snapshot.read():
    globals()[f"crm_reconcile__{entry.name}"] = reconcile_dag(entry)
