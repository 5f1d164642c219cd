"""apply_undo: carry out the approved plan of an undo, in our own records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_airflow.operators.stage_operator import Counts, StageOperator

__all__ = ["UndoApplyOperator"]


class UndoApplyOperator(StageOperator):
    """Write what was approved, each value only where it still is what was planned upon; the next sync carries it on.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the UndoOpenOperator (template field).

    Example:
        ``UndoApplyOperator(task_id="apply_undo", connection="salesforce_main", run_id=opened.output)``
    """

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Undo."""
        from crm_sync.engine.undo import apply_undo

        return self.run_stage(apply_undo)
