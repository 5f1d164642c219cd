"""One reconciliation in this process, by the operators that its DAG uses: `python -m bench.child reconcile none contact`."""

# ruff: noqa: PLC0415  imports are part of what is measured: each stands where a task makes it

from __future__ import annotations

import time
import uuid
from types import SimpleNamespace
from typing import Any

from bench.importing import import_airflow

__all__ = ["reconcile"]

NAME = "salesforce_main"


def reconcile(words: list[str]) -> dict[str, Any]:
    """Compare these objects, and heal what the first word says; what was found, and what each stage cost."""
    heal, *objects = words
    said: dict[str, Any] = dict(import_airflow())
    from airflow.sdk import DAG
    from airflow.sdk.exceptions import DownstreamTasksSkipped

    from crm_airflow.operators.compare_operator import CompareOperator
    from crm_airflow.operators.open_reconciliation_operator import OpenReconciliationOperator
    from crm_airflow.operators.plan_operator import PlanOperator
    from crm_airflow.operators.pull_operator import PullOperator
    from crm_airflow.operators.push_ours_operator import PushOursOperator
    from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
    from crm_airflow.operators.settle_operator import SettleOperator
    from crm_sync.ledger import reconciliation
    from crm_sync.ledger.database import Database, database_url

    ti = SimpleNamespace(get_task_states=lambda **_: {}, xcom_push=lambda **_: None)
    context: Any = {
        "dag_run": SimpleNamespace(run_id=f"bench__{uuid.uuid4()}", run_type="manual"),
        "ti": ti,
    }
    stages: dict[str, float] = {}
    with DAG(f"crm_reconcile__{NAME}", schedule=None):
        opened = OpenReconciliationOperator(task_id="open_run", connection=NAME, objects=objects, heal=heal)
    run_id = str(opened.execute(context))
    todo = {"compare": CompareOperator, "pull": PullOperator, "plan": PlanOperator, "push_ours": PushOursOperator,
            "push_theirs": PushTheirsOperator, "settle": SettleOperator}  # fmt: skip
    while todo:
        name = next(iter(todo))
        began = time.monotonic()
        with DAG(f"crm_reconcile__{NAME}", schedule=None):
            operator = todo.pop(name)(task_id=name, connection=NAME, run_id=run_id)
        try:
            _carried_out(operator, context)
        except DownstreamTasksSkipped:
            todo = {"settle": SettleOperator}
        stages[name] = time.monotonic() - began
    ledger = Database(database_url())
    with ledger.transaction() as tx:
        report = reconciliation.load(tx, NAME, int(run_id))
    ledger.close()
    return said | {"stages": stages, "headline": report["headline"], "healing": report["healing"],
                   "read_calls": report["read_calls"], "calls": report["run"]["api_calls"], "run": report["run"]}  # fmt: skip


def _carried_out(operator: Any, context: Any) -> None:
    """Where a query job works long, the task would be left to the triggerer; here it is looked at again by and by."""
    from airflow.sdk.exceptions import TaskDeferred

    while True:
        try:
            operator.execute(context)
        except TaskDeferred:
            time.sleep(5)
        else:
            return
