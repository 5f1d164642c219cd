"""The chain under Airflow's own task runner (``dag.test``), with an engine that only remembers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from crm_airflow.operators.open_run_operator import OpenRunOperator
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.errors import Misconfigured, RetryLater
from crm_sync.model import OBJECTS
from tests.crm_airflow.airflow_env import airflow_database, register
from tests.crm_airflow.fake import FakeEngine, FakeReport, faked

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
ALL = ["open_run", "pull", "plan", "push_ours", "push_theirs", "settle"]
MOMENT = timedelta(milliseconds=10)


@pytest.fixture(scope="module", autouse=True)
def _airflow() -> None:
    airflow_database()


def chain(engine: FakeEngine) -> DAG:
    """The sync's DAG, as dags/crm_sync.py wires it."""
    with DAG(
        "crm_sync__fake",
        schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        params={"objects": Param(list(OBJECTS), type="array"), "dry_run": Param(False, type="boolean")},
    ) as dag:
        dry = {"plan_only": dag.param("dry_run")}
        run = faked(OpenRunOperator, engine)(
            task_id="open_run", connection="fake", objects=dag.param("objects"), **dry
        )
        where = {"connection": "fake", "run_id": run.output, "retry_delay": MOMENT}
        pull = faked(PullOperator, engine)(task_id="pull", **where)
        plan = faked(PlanOperator, engine)(task_id="plan", **where)
        ours = faked(PushOursOperator, engine)(task_id="push_ours", **dry, **where)
        theirs = faked(PushTheirsOperator, engine)(task_id="push_theirs", **dry, **where)
        run >> pull >> plan >> ours >> theirs >> faked(SettleOperator, engine)(task_id="settle", **where)
    return dag


def run(engine: FakeEngine, **conf):
    """Run it once; its state and those of its tasks."""
    dag = chain(engine)
    register(dag)
    done = dag.test(run_conf=conf or None)
    return str(done.state), {ti.task_id: str(ti.state) for ti in done.get_task_instances()}


def test_a_run_asks_each_stage_once_and_hands_on_only_the_number():
    engine = FakeEngine()
    state, tasks = run(engine)
    assert (state, set(tasks.values())) == ("success", {"success"})
    assert sorted(engine.stages()) == sorted(ALL)
    assert engine.stages()[:3] == ["open_run", "pull", "plan"]
    assert engine.stages()[-1] == "settle"
    assert {argument for stage, argument in engine.asked if stage != "open_run"} == {7}
    options = engine.asked[0][1]
    assert (options.kind, options.objects, options.dry_run) == ("sync", OBJECTS, False)


def test_what_the_form_says_reaches_the_run():
    engine = FakeEngine()
    run(engine, objects=["lead"])
    assert engine.asked[0][1].objects == ("lead",)


def test_a_dry_run_ends_after_the_plan_is_counted_and_is_green():
    engine = FakeEngine()
    state, tasks = run(engine, dry_run=True)
    assert state == "success"
    assert (tasks["push_ours"], tasks["push_theirs"]) == ("skipped", "skipped")
    assert engine.stages() == ["open_run", "pull", "plan", "settle"]
    assert engine.asked[0][1].dry_run is True


@pytest.mark.parametrize(
    "error", [RetryLater("busy", after=MOMENT), ConnectionResetError("database went away")]
)
def test_what_may_pass_by_itself_is_tried_again(error):
    engine = FakeEngine(pull=[error, FakeReport("read")])
    state, _ = run(engine)
    assert state == "success"
    assert engine.stages().count("pull") == 2


def test_what_a_person_has_to_mend_fails_at_once_and_the_run_is_settled_and_red(capfd):
    engine = FakeEngine(pull=Misconfigured("Wrong consumer secret: enter the app's own."))
    state, tasks = run(engine)
    assert state == "failed"
    assert engine.stages() == ["open_run", "pull", "settle"]
    assert (tasks["pull"], tasks["plan"], tasks["settle"]) == ("failed", "upstream_failed", "failed")
    said = capfd.readouterr().out
    assert "Wrong consumer secret: enter the app's own." in said
    assert "pull failed: Wrong consumer secret: enter the app's own." in said


def test_a_push_that_fails_keeps_what_the_other_did_and_the_run_is_red():
    engine = FakeEngine(push_theirs=Misconfigured("No permission to edit Contact."))
    state, tasks = run(engine)
    assert (state, tasks["push_ours"], tasks["push_theirs"]) == ("failed", "success", "failed")
    assert engine.stages()[-1] == "settle"


def test_a_run_that_could_not_be_opened_is_red_and_says_where_to_look(capfd):
    engine = FakeEngine()
    state, tasks = run(engine, objects=["deal"])
    assert (state, tasks["open_run"], tasks["settle"]) == ("failed", "failed", "failed")
    assert engine.asked == []
    said = capfd.readouterr().out
    assert "objects: deal is not known" in said
    assert "No run is open for fake" in said
