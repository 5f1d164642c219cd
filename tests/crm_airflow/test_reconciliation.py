"""A reconciliation under Airflow's own task runner (``dag.test``), with an engine that only remembers; its link and form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import DownstreamTasksSkipped

from crm_airflow.operators.compare_operator import CompareOperator, ReportLink
from crm_airflow.operators.open_reconciliation_operator import OpenReconciliationOperator, heal_of
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.errors import IncompleteRead, Misconfigured
from tests.crm_airflow.airflow_env import airflow_database, register
from tests.crm_airflow.fake import FakeEngine, FakeReport, faked

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
MOMENT = timedelta(milliseconds=10)
NOTHING, SOME = FakeReport("In step", {"healing": 0}), FakeReport("Drifted", {"healing": 3})


@pytest.fixture(scope="module", autouse=True)
def _airflow() -> None:
    airflow_database()


def run(engine: FakeEngine, **conf: Any) -> tuple[str, dict[str, str]]:
    """Run the DAG as dags/crm_reconcile.py wires it; its state and those of its tasks."""
    with DAG(
        "crm_reconcile__fake", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC),
        params={"heal": Param("as configured", type="string")},
    ) as dag:  # fmt: skip
        opened = faked(OpenReconciliationOperator, engine)(
            task_id="open_run", connection="fake", heal=dag.param("heal")
        )
        where = {"connection": "fake", "run_id": opened.output, "retry_delay": MOMENT}
        tasks = [
            faked(operator, engine)(task_id=name, **where)
            for name, operator in (
                ("compare", CompareOperator), ("pull", PullOperator), ("plan", PlanOperator),
                ("push_ours", PushOursOperator), ("push_theirs", PushTheirsOperator), ("settle", SettleOperator),
            )
        ]  # fmt: skip
        for before, after in zip([opened, *tasks], tasks, strict=False):
            before >> after
    register(dag)
    done = dag.test(run_conf=conf or None)
    return str(done.state), {ti.task_id: str(ti.state) for ti in done.get_task_instances()}


def test_what_agrees_is_only_reported():
    engine = FakeEngine(compare=NOTHING)
    state, tasks = run(engine)
    assert state == "success"
    assert engine.stages() == ["open_run", "compare", "settle"]
    assert {name for name, state in tasks.items() if state == "skipped"} == {
        "pull",
        "plan",
        "push_ours",
        "push_theirs",
    }
    options = engine.asked[0][1]
    assert (options.kind, options.heal, options.since, options.until) == ("reconcile", None, None, None)


def test_what_is_to_be_healed_goes_the_way_of_every_sync():
    engine = FakeEngine(compare=SOME)
    state, tasks = run(engine, heal="safe")
    assert (state, set(tasks.values())) == ("success", {"success"})
    assert engine.stages() == ["open_run", "compare", "pull", "plan", "push_ours", "push_theirs", "settle"]
    assert engine.asked[0][1].heal == "safe"


def test_a_read_that_was_cut_short_begins_again():
    engine = FakeEngine(compare=[IncompleteRead("7 of 9 rows arrived", after=MOMENT), NOTHING])
    state, _ = run(engine)
    assert (state, engine.stages().count("compare")) == ("success", 2)


@pytest.mark.parametrize(
    ("given", "meant"),
    [(None, None), ("", None), ("as configured", None), ("none", "none"), (" Safe ", "safe"), ("all", "all")],
)
def test_what_to_heal(given, meant):
    assert heal_of(given) == meant


def test_what_to_heal_is_one_of_three():
    with pytest.raises(Misconfigured, match="choose from none, safe, all"):
        heal_of("some")


def test_the_task_links_to_its_report():
    task = faked(CompareOperator, FakeEngine(compare=NOTHING))(
        task_id="compare", connection="main", run_id="7"
    )
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    with pytest.raises(DownstreamTasksSkipped):
        task.execute({"ti": ti})
    assert pushed == {"return_value": {"healing": 0}}
    key: Any = None
    assert ReportLink().get_link(task, ti_key=key).endswith("/crm-sync/connections/main/reconciliations/7")
    task.run_id = None
    assert ReportLink().get_link(task, ti_key=key) == "", "no run was opened"


def test_airflow_shows_the_link():
    from tests.crm_airflow.ui import airflow_app, browser

    run(FakeEngine(compare=NOTHING))
    with browser(airflow_app(), "viewer") as client:
        runs = client.get(
            "/api/v2/dags/crm_reconcile__fake/dagRuns", params={"order_by": "-run_after"}
        ).json()["dag_runs"]
        address = (
            f"/api/v2/dags/crm_reconcile__fake/dagRuns/{runs[0]['dag_run_id']}/taskInstances/compare/links"
        )
        assert client.get(address).json()["extra_links"] == {
            "Report": "/crm-sync/connections/fake/reconciliations/7"
        }
