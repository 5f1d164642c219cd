"""As many tasks in a row as the sync has, each of which does nothing: what Airflow itself takes for a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, BaseOperator


class Nothing(BaseOperator):
    """Does nothing."""

    def execute(self, context: Mapping[str, Any]) -> None:
        """Return at once."""


with DAG(
    "bench_floor", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC), is_paused_upon_creation=False
) as dag:
    before = None
    for name in ("open_run", "pull", "plan", "push_ours", "push_theirs", "settle"):
        task = Nothing(task_id=name)
        if before is not None:
            before >> task
        before = task
