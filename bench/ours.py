"""Our side of the measurements: one sync, all stages in this process, by the operators that the DAG uses."""

# ruff: noqa: PLC0415  imports are part of what is measured: each stands where a task makes it

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

from bench.importing import import_airflow

__all__ = ["STAGES", "sync"]

STAGES = ("open_run", "pull", "plan", "push_ours", "push_theirs", "settle")
NAME = "salesforce_main"


def sync(words: list[str]) -> dict[str, Any]:
    """One sync of the given objects (none: all); what each stage counted, called and cost."""
    said: dict[str, Any] = dict(import_airflow())
    from airflow.sdk import DAG

    from crm_airflow.operators.open_run_operator import OpenRunOperator
    from crm_airflow.operators.plan_operator import PlanOperator
    from crm_airflow.operators.pull_operator import PullOperator
    from crm_airflow.operators.push_ours_operator import PushOursOperator
    from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
    from crm_airflow.operators.settle_operator import SettleOperator
    from crm_sync.ledger.database import Database, database_url

    said["imports_cpu"] = time.process_time()
    ledger = Database(database_url())
    stages: dict[str, Any] = {}
    said["stages"] = stages
    with DAG(f"crm_sync__{NAME}", schedule=None):
        opened = OpenRunOperator(task_id="open_run", connection=NAME, objects=words)
    run_id = ""
    kinds = dict(zip(STAGES[1:], (PullOperator, PlanOperator, PushOursOperator, PushTheirsOperator, SettleOperator), strict=True))  # fmt: skip
    context: Any = {
        "dag_run": SimpleNamespace(run_id=f"bench__{uuid.uuid4()}", run_type="manual"),
        "ti": SimpleNamespace(get_task_states=lambda **_: {}),
    }
    calls = 0
    for name in STAGES:
        began, at = time.process_time(), time.monotonic()
        if name == "open_run":
            counts: Any = {}
            run_id = str(opened.execute(context))
        else:
            with DAG(f"crm_sync__{NAME}", schedule=None):
                operator = kinds[name](task_id=name, connection=NAME, run_id=run_id)
            counts = operator.execute(context)
        spent, wall = time.process_time() - began, time.monotonic() - at
        with ledger.transaction() as tx:
            booked = int(tx.one("select count(*) from crm_sync.spending where run_id = %s", (int(run_id),)))
        stages[name] = {"cpu": spent, "wall": wall, "calls": booked - calls, "counts": counts}
        calls = booked
    said |= {"run_id": int(run_id), "calls": calls}
    return said
