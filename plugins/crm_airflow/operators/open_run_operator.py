"""open_run: freeze what a run shall do, and give it its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from crm_airflow.operators.stage_operator import StageOperator
from crm_airflow.window import window_of_context
from crm_sync.errors import Misconfigured, SyncError
from crm_sync.model import OBJECTS, Direction, Object

if TYPE_CHECKING:
    from crm_sync.engine import RunOptions

__all__ = ["AS_CONFIGURED", "OpenRunOperator"]

AS_CONFIGURED = "as configured"
"""In a form: use the connection's own setting."""

BOOLEANS = {
    "true": True,
    "yes": True,
    "1": True,
    "false": False,
    "no": False,
    "0": False,
    "none": False,
    "": False,
}


class OpenRunOperator(StageOperator):
    """Open a run in the ledger and return its number, which every later stage takes as ``run_id``.

    A run that Airflow made as part of a backfill reads the window of its own data interval; every other run
    (scheduled, started by hand, by the API or by an asset) reads what changed since the connection's cursor.
    Opening the same Airflow run twice gives the same number.

    Args:
        connection: name of the CRM connection (template field).
        objects: which of account, contact and lead, as a list or with commas; None or nothing: all (template field).
        direction: bidirectional, push or pull for this run only; None or "as configured": the setting (template field).
        plan_only: plan and report, write on neither side (template field).
        limit: plan at most so many records, the others wait for the next run; None: all (template field).
        approve: digest of a plan, as a dry run told it: if the run makes that very plan, nobody is asked about it
            (template field).

    Example:
        A DAG of your own that syncs contacts after your own load::

            with DAG("load_then_sync", schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"), ...) as dag:
                run = OpenRunOperator(task_id="open_run", connection="salesforce_main", objects="account,contact")
                where = {"connection": "salesforce_main", "run_id": run.output}
                pull = PullOperator(task_id="pull", **where)
                plan = PlanOperator(task_id="plan", **where)
                pushes = [
                    PushOursOperator(task_id="push_ours", **where), PushTheirsOperator(task_id="push_theirs", **where)
                ]
                load() >> run >> pull >> plan >> pushes >> SettleOperator(task_id="settle", **where)
    """

    template_fields: Sequence[str] = ("connection", "objects", "direction", "plan_only", "limit", "approve")

    def __init__(
        self,
        *,
        connection: str,
        objects: Sequence[str] | str | None = None,
        direction: str | None = None,
        plan_only: bool | str = False,
        limit: int | str | None = None,
        approve: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection=connection, **kwargs)
        self.objects = objects
        self.direction = direction
        self.plan_only = plan_only
        self.limit = limit
        self.approve = approve

    def execute(self, context: Mapping[str, Any]) -> int:
        """Open the run."""
        return self.guarded(lambda: self._open(self.options(context)))

    def options(self, context: Mapping[str, Any]) -> RunOptions:
        """What this run shall do, read from the operator's fields and the Airflow run."""
        from crm_sync.engine import RunOptions

        window = window_of_context(context)
        run_type = context["dag_run"].run_type
        return RunOptions(
            connection=self.connection,
            kind=window.kind,
            dag_run_id=run_name(self.dag_id, self.connection, context["dag_run"].run_id),
            objects=objects_of(self.objects),
            direction=direction_of(self.direction),
            dry_run=boolean_of(self.plan_only),
            limit=limit_of(self.limit),
            since=window.since,
            until=window.until,
            approve=digest_of(self.approve),
            by_hand=str(getattr(run_type, "value", run_type)) == "manual",
        )

    def _open(self, options: RunOptions) -> int:
        hook = self.hook()
        try:
            with hook.engine() as engine:
                run_id: int = engine.open_run(options)
        except SyncError as error:
            hook.open_failed(options, error)
            raise
        hook.refresh_snapshot()
        what = f"{options.kind} run {run_id} of {options.connection}"
        self.log.info("Opened %s%s.", what, " (dry run: nothing will be written)" if options.dry_run else "")
        return run_id


def run_name(dag_id: str, connection: str, run_id: str) -> str:
    """Airflow's run id; that of another DAG carries the DAG's, because two DAGs scheduled alike have equal run ids."""
    return run_id if dag_id == f"crm_sync__{connection}" else f"{dag_id}/{run_id}"


def objects_of(value: Sequence[str] | str | None) -> tuple[Object, ...] | None:
    """Read a choice of objects; None or an empty choice means all of them."""
    names = value.split(",") if isinstance(value, str) else list(value or ())
    chosen = {name.strip().lower() for name in names} - {"", "none"}
    if wrong := sorted(chosen - set(OBJECTS)):
        msg = f"objects: {', '.join(wrong)} is not known; choose from {', '.join(OBJECTS)}, or give nothing for all."
        raise Misconfigured(msg)
    return tuple(o for o in OBJECTS if o in chosen) or None


def direction_of(value: str | None) -> Direction | None:
    """Read a direction; None or "as configured" means the connection's own setting."""
    if value is None or value.strip().lower() in {"", "none", AS_CONFIGURED}:
        return None
    for direction in get_args(Direction):
        if value.strip().lower() == direction:
            return direction  # type: ignore[no-any-return]
    msg = f'direction: {value!r} is not known; choose from {", ".join(get_args(Direction))} or "{AS_CONFIGURED}".'
    raise Misconfigured(msg)


def boolean_of(value: object) -> bool:
    """Read a yes or no, also as a template renders it."""
    try:
        return BOOLEANS[str(value).strip().lower()]
    except KeyError:
        msg = f"plan_only: {value!r} is neither true nor false."
        raise Misconfigured(msg) from None


def digest_of(value: str | None) -> str | None:
    """Read the digest of a plan, also as a template renders it; None or nothing: plan as usual."""
    given = str(value or "").strip().lower()
    return None if given in {"", "none"} else given


def limit_of(value: int | str | None) -> int | None:
    """Read a limit, also as a template renders it; None means no limit."""
    if str(value).strip().lower() in {"", "none"}:
        return None
    try:
        limit = int(str(value))
    except ValueError:
        limit = 0
    if limit < 1:
        msg = f"limit: {value!r} is not a number from 1; give nothing for no limit."
        raise Misconfigured(msg)
    return limit
