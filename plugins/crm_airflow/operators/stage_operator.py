"""What the operators of the sync have in common: one stage of one run, its report in the log, its counts in XCom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from crm_airflow.operators.retrying_operator import RetryingOperator
from crm_sync.errors import (
    ApprovalNeeded,
    BudgetExhausted,
    JobUnderWay,
    Misconfigured,
    PlanRejected,
    SyncError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from crm_airflow.asking import Answer
    from crm_airflow.hooks.sync_hook import CrmSyncHook
    from crm_sync.engine import Engine
    from crm_sync.engine.approval import Verdict

__all__ = ["Counts", "Report", "StageOperator"]

T = TypeVar("T")
R = TypeVar("R", bound="Report")
Counts = dict[str, int]


class Report(Protocol):
    """What every stage hands back: lines for people, counts for XCom."""

    @property
    def counts(self) -> Counts:
        """Numbers by name."""
        ...

    def lines(self) -> list[str]:
        """Sentences for the task log."""
        ...


class StageOperator(RetryingOperator):
    """Base of the operators of the sync; a stage may be cleared and run again alone, at any time.

    Args:
        connection: name of the CRM connection, in GPTWeb's settings and in Airflow (template field).
        run_id: the number that OpenRunOperator returned: its ``.output``, or a template (template field).
    """

    template_fields: Sequence[str] = ("connection", "run_id")
    calls_at_once = 1
    """How many calls have to be free for the stage to get anywhere; a stage of the sync keeps what each call brought."""

    def __init__(
        self,
        *,
        connection: str,
        run_id: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connection = connection
        self.run_id = run_id

    def hook(self) -> CrmSyncHook:
        """The composition root; override it to run a stage on stores of your own."""
        from crm_airflow.hooks.sync_hook import CrmSyncHook

        return CrmSyncHook(self.connection)

    def run_stage(self, stage: Callable[[Engine, int], Report]) -> Counts:
        """Run one stage of the open run, log its report and return its counts."""
        report = self.guarded(lambda: self._with_engine(stage))
        self.say(report)
        return report.counts

    def pause(self, error: BudgetExhausted) -> NoReturn:
        """Give the worker back and wait in the triggerer until calls are free again; it uses up none of the retries."""
        from crm_airflow.triggers.budget_trigger import BudgetTrigger

        run_id = None if self.run_id is None else self.opened_run()
        trigger = BudgetTrigger(
            self.connection, datetime.now(UTC) + error.resume_after, run_id, self.calls_at_once
        )
        self.log.warning(
            "Paused: budget. The run goes on by itself, expected at %s UTC.", f"{trigger.until:%F %H:%M}"
        )
        self.defer(trigger=trigger, method_name="resume")

    def wait_for_job(self, error: JobUnderWay) -> NoReturn:
        """Give the worker back until the bulk job is worth another look; it uses up none of the retries."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(trigger=TimeDeltaTrigger(error.after), method_name="look_at_job")

    def look_at_job(self, context: Context, event: object = None) -> Any:
        """The same stage again: first of all it asks what has become of its job, and takes the results."""
        self.log.info("Run %s looks at its bulk job again.", self.run_id)
        return self.execute(context)

    def resume(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """After a pause: the same stage again, from the beginning; what it did before is not done twice."""
        self.log.info("Calls are free again: %s goes on.", self.task_id)
        return self.execute(context)

    def ask(self, error: ApprovalNeeded) -> NoReturn:
        """Give the worker back until a person has answered, for the time of the connection's setting at most."""
        from crm_airflow.asking import ask

        for line in error.preview.splitlines():
            self.log.info("%s", line)
        ask(get_current_context(), self.connection, error, "answered")

    def answered(self, context: Context, event: Mapping[str, Any] | None = None) -> Any:
        """After a yes the same stage again, which goes on with the approved plan; after a no the rest is skipped."""
        from crm_airflow.asking import answer_of

        answer = answer_of(event)
        verdict = self.guarded(lambda: self._keep_answer(answer))
        self.log.info("%s", verdict.said)
        if not verdict.approved:
            raise AirflowSkipException(verdict.said)
        return self.execute(context)

    def guarded(self, work: Callable[[], T]) -> T:
        """Do the work; without calls left, wait for some; for a bulk job, or for a person's approval, wait as well.

        Any other error of the sync is logged as its one message, without the way through our code.
        """
        try:
            return work()
        except BudgetExhausted as error:
            self.log.warning("%s", error)
            self.pause(error)
        except JobUnderWay as error:
            self.log.info("%s", error)
            self.wait_for_job(error)
        except ApprovalNeeded as error:
            self.log.warning("%s", error)
            self.ask(error)
        except PlanRejected as error:
            raise AirflowSkipException(str(error)) from None
        except SyncError as error:
            self.log.error("%s", error)  # noqa: TRY400  the message is the remedy, a traceback would drown it
            raise error.with_traceback(None) from None

    def say(self, report: Report) -> None:
        """Write the lines of a report to the task log."""
        for line in report.lines():
            self.log.info("%s", line)

    def opened_run(self) -> int:
        """The run that this task belongs to."""
        try:
            return int(self.run_id or "")
        except ValueError:
            msg = (
                f"No run is open for {self.connection}: {self.task_id} got run_id {self.run_id!r}. "
                "See the log of open_run; in a DAG of your own pass run_id=<OpenRunOperator>.output."
            )
            raise Misconfigured(msg) from None

    def _keep_answer(self, answer: Answer) -> Verdict:
        from crm_sync.engine.approval import answer as keep

        with self.hook().engine() as engine:
            return keep(engine, self.opened_run(), answer.approved, answer.by, answer.at)

    def _with_engine(self, stage: Callable[[Engine, int], R]) -> R:
        run_id = self.opened_run()
        with self.hook().engine(run_id) as engine:
            return stage(engine, run_id)
