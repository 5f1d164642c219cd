"""open_run of a reconciliation: freeze what it compares and what it heals, and give it its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from crm_airflow.operators.open_run_operator import AS_CONFIGURED, OpenRunOperator
from crm_sync.errors import Misconfigured
from crm_sync.model import Heal

if TYPE_CHECKING:
    from crm_sync.engine import RunOptions

__all__ = ["OpenReconciliationOperator"]


class OpenReconciliationOperator(OpenRunOperator):
    """Open a run that compares both sides completely, whatever kind of Airflow run it belongs to.

    Args:
        connection: name of the CRM connection (template field).
        objects: which of account, contact and lead; None or nothing: all (template field).
        heal: none, safe or all; None or "as configured": the connection's setting (template field).

    Example:
        ``OpenReconciliationOperator(task_id="open_run", connection="salesforce_main", heal="safe")``
    """

    template_fields: Sequence[str] = (*OpenRunOperator.template_fields, "heal")

    def __init__(self, *, heal: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heal = heal

    def options(self, context: Mapping[str, Any]) -> RunOptions:
        """As of any run, without a window: a reconciliation reads everything."""
        asked = super().options(context)
        return replace(asked, kind="reconcile", since=None, until=None, heal=heal_of(self.heal))


def heal_of(value: str | None) -> Heal | None:
    """Read what to heal; None or "as configured" means the connection's own setting."""
    given = (value or "").strip().lower()
    if given in {"", AS_CONFIGURED}:
        return None
    for heal in get_args(Heal):
        if given == heal:
            return heal  # type: ignore[no-any-return]  # get_args gives Any
    msg = f'heal: {value!r} is not known; choose from {", ".join(get_args(Heal))} or "{AS_CONFIGURED}".'
    raise Misconfigured(msg)
