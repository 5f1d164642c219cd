"""open_undo: freeze which changes are to be taken back, and give the undo its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from crm_airflow.operators.open_run_operator import boolean_of, digest_of, objects_of
from crm_airflow.operators.stage_operator import StageOperator
from crm_sync.errors import Misconfigured

if TYPE_CHECKING:
    from crm_sync.ledger.undo_selection import Selection

__all__ = ["UndoOpenOperator"]


class UndoOpenOperator(StageOperator):
    """Open an undo and return its number, which every later task takes as ``run_id``.

    What is given has to hold together: a run and a field, say, mean that field's changes of that run.

    Args:
        connection: name of the CRM connection (template field).
        runs: numbers of runs as in ``crm_sync.run_summary``, as a list or with commas (template field).
        record: one record, by our id or by the CRM's of 18 characters (template field).
        objects: which of account, contact and lead; None or nothing: all (template field).
        fields: our columns, as a list or with commas; None or nothing: all (template field).
        since: take back what was written from this time on, ISO 8601, UTC without an offset (template field).
        until: and before this time (template field).
        removals: take away records that were made, too (template field).
        plan_only: plan and report, write nothing (template field).
        approve: digest of a plan, as a dry run told it: if the undo makes that very plan, nobody is asked (template field).

    Example:
        An undo in a DAG of your own::

            opened = UndoOpenOperator(task_id="open_undo", connection="salesforce_main", runs="{{ params.run }}")
            where = {"connection": "salesforce_main", "run_id": opened.output}
            plan = UndoPlanOperator(task_id="plan_undo", **where)
            plan >> UndoApplyOperator(task_id="apply_undo", **where) >> SettleOperator(task_id="settle", **where)
    """

    template_fields: Sequence[str] = (
        "connection", "runs", "record", "objects", "fields", "since", "until", "removals", "plan_only", "approve",
    )  # fmt: skip

    def __init__(
        self,
        *,
        runs: Sequence[int] | str | None = None,
        record: str | None = None,
        objects: Sequence[str] | str | None = None,
        fields: Sequence[str] | str | None = None,
        since: str | None = None,
        until: str | None = None,
        removals: bool | str = False,
        plan_only: bool | str = False,
        approve: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.runs = runs
        self.record = record
        self.objects = objects
        self.fields = fields
        self.since = since
        self.until = until
        self.removals = removals
        self.plan_only = plan_only
        self.approve = approve

    def execute(self, context: Mapping[str, Any]) -> int:
        """Open the undo."""
        return self.guarded(lambda: self._open(f"{self.dag_id}/{context['dag_run'].run_id}"))

    def selection(self) -> Selection:
        """What is to be taken back, read from the operator's fields."""
        from crm_sync.ledger.undo_selection import Selection

        return Selection(
            self.connection, tuple(map(run_of, words_of(self.runs))), text_of(self.record), objects_of(self.objects) or (),
            tuple(words_of(self.fields)), moment_of("since", self.since), moment_of("until", self.until),
            boolean_of(self.removals),
        )  # fmt: skip

    def _open(self, name: str) -> int:
        from crm_sync.engine.undo import open_undo

        selection = self.selection()
        with self.hook().engine() as engine:
            run_id: int = open_undo(
                engine, selection, name, dry_run=boolean_of(self.plan_only), approve=digest_of(self.approve)
            )
        self.log.info("Opened undo %s of %s.", run_id, selection)
        return run_id


def text_of(value: object) -> str | None:
    """Read a text, also as a template renders it; None or nothing: not given."""
    given = str(value or "").strip()
    return None if given.lower() in {"", "none"} else given


def words_of(value: Sequence[object] | str | int | None) -> list[str]:
    """Read a list, also one with commas or as a template renders it."""
    if isinstance(value, str | int) or value is None:
        value = (text_of(value) or "").strip("[]()").split(",")
    return [word for item in value if (word := str(item).strip(" '\""))]


def run_of(value: str) -> int:
    """Read the number of a run."""
    try:
        return int(value)
    except ValueError:
        msg = f"runs: {value!r} is no number of a run; they are in crm_sync.run_summary, column run_id."
        raise Misconfigured(msg) from None


def moment_of(name: str, value: object) -> datetime | None:
    """Read a moment in ISO 8601; one without an offset is in UTC."""
    given = text_of(value)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        msg = f"{name}: {given!r} is no time; write it as 2026-11-22T14:30 (UTC), or with an offset as in …+02:00."
        raise Misconfigured(msg) from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
