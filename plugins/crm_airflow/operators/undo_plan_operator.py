"""plan_undo: show what an undo would do, and wait for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crm_airflow.operators.open_run_operator import boolean_of
from crm_airflow.operators.stage_operator import Counts, StageOperator

if TYPE_CHECKING:
    from crm_sync.engine import Engine
    from crm_sync.engine.undo_plan import UndoPlan

__all__ = ["UndoPlanOperator"]


class UndoPlanOperator(StageOperator):
    """Decide what is put back, what is kept and what can't be undone; then ask, under Browse → Required Actions.

    A plan that is not approved ends here, and what follows is skipped; nobody is asked where there is nothing to do.

    Args:
        connection: name of the CRM connection (template field).
        run_id: ``.output`` of the UndoOpenOperator (template field).
        read_first: look first what was edited in the CRM since the last sync, with one call (template field).

    Example:
        ``UndoPlanOperator(task_id="plan_undo", connection="salesforce_main", run_id=opened.output)``
    """

    template_fields: Sequence[str] = (*StageOperator.template_fields, "read_first")

    def __init__(self, *, read_first: bool | str = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.read_first = read_first

    def execute(self, context: Mapping[str, Any]) -> Counts:
        """Plan and ask."""
        return self.run_stage(self._plan)

    def _plan(self, engine: Engine, run_id: int) -> UndoPlan:
        from crm_sync.engine.undo import await_approval, plan_undo

        plan: UndoPlan = plan_undo(engine, run_id, read=boolean_of(self.read_first))
        await_approval(engine, plan)
        return plan
