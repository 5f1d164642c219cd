"""What the two operators that open a run of provisioning have in common: they list, and change nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from crm_airflow.operators.open_run_operator import boolean_of
from crm_airflow.operators.provision_operator import ProvisionOperator
from crm_airflow.operators.stage_operator import Report

__all__ = ["Lister", "ProvisionOpenOperator"]


class Lister(Protocol):
    """Provisioning, or its removal: what opens a run by listing what it would do."""

    def plan(self, dag_run_id: str, *, dry_run: bool = False) -> tuple[int, Report]:
        """The number of the run, and the list."""
        ...


class ProvisionOpenOperator(ProvisionOperator):
    """Base of the plans of provisioning and of removal.

    Args:
        connection: name of the CRM connection (template field).
        plan_only: end after this plan (template field).
    """

    template_fields: Sequence[str] = ("connection", "plan_only")

    def __init__(self, *, plan_only: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_only = plan_only

    @abstractmethod
    def lister(self) -> AbstractContextManager[Lister]:
        """What lists."""

    def execute(self, context: Mapping[str, Any]) -> int:
        """Open the run and log the list; returns the run's number."""
        return self.guarded(lambda: self._open(context["dag_run"].run_id))

    def _open(self, dag_run_id: str) -> int:
        with self.lister() as lister:
            run_id, report = lister.plan(dag_run_id, dry_run=boolean_of(self.plan_only))
        self.say(report)
        return run_id
