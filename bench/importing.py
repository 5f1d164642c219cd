"""What every task of Airflow has imported before it comes to its operator: each measured job begins with it."""

# ruff: noqa: PLC0415  the imports are what is measured

from __future__ import annotations

import time

from bench.cpu import current_mb

__all__ = ["import_airflow"]


def import_airflow() -> dict[str, float]:
    """What any task process of Airflow has loaded before it comes to the operator; returns memory and CPU after it."""
    import airflow.sdk
    import airflow.sdk.execution_time.task_runner
    from airflow.sdk import DAG, BaseHook, BaseOperator

    del DAG, BaseHook, BaseOperator, airflow
    return {"airflow_mb": current_mb(), "airflow_cpu": time.process_time()}
