"""A bulk job that takes long is waited for in the triggerer; the task then takes the results of that very job."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import TaskDeferred

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.stage_operator import StageOperator
from crm_sync.engine import RunOptions
from crm_sync.errors import JobUnderWay
from tests.crm_airflow.airflow_env import airflow_database
from tests.crm_airflow.fake import FakeEngine, FakeReport, faked
from tests.crm_airflow.real import (
    Org,
    airflow_connection,
    make_connection,
    rows,
    run,
    running_hub,
    running_org,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
NAME, MANY, STALLED = "slow", 1_700, 4
UNDER_WAY = JobUnderWay(
    "bulk job 750 with 100,000 contacts is InProgress: the run goes on when it has ended",
    timedelta(minutes=4),
)


def test_the_task_waits_without_a_worker_and_comes_back():
    engine = FakeEngine(push_theirs=[UNDER_WAY, FakeReport("all 100,000 rows are known")])
    operator = faked(PushTheirsOperator, engine)(task_id="push_theirs", connection="main", run_id=7)
    before = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as waits:
        operator.execute({})
    moment = waits.value.trigger.moment
    assert before + timedelta(minutes=4) <= moment <= datetime.now(UTC) + timedelta(minutes=4)
    assert getattr(operator, waits.value.method_name)({}, None) == {"planned": 3}
    assert engine.stages() == ["push_theirs", "push_theirs"]


# ------------------------------------------------------------------------ the real operators, and an org that stalls


class ImpatientHook(CrmSyncHook):
    """Looks at a job once, and reads by jobs what others read by pages."""

    job_patience = query_patience = 0.0
    page_size = 200


def task(operator: type[StageOperator], run_id: int) -> Any:
    """The operator as another process makes it."""
    kind = type(operator.__name__, (operator,), {"hook": lambda _self: ImpatientHook(NAME)})
    return kind(task_id="step", connection=NAME, run_id=run_id)


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """An org and a database of this module's own: many people there, three here, all pushes by jobs."""
    airflow_database()
    folder = tmp_path_factory.mktemp("slow")
    with (
        running_org(folder / "log") as org,
        running_hub(folder / "postgres") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("CRM_SYNC_DATABASE_URL", url)
        make_connection(url, NAME, {"large_pushes": "bulk", "create_leads": False})
        airflow_connection(patch, NAME, org.extra())
        assert run("provision", NAME)[0] == "success"
        for first in range(0, MANY, 200):
            records = [
                {"attributes": {"type": "Contact"}, "LastName": "Doe", "Email": f"t{n}@acme.example"}
                for n in range(first, min(first + 200, MANY))
            ]
            org.ask("POST", "/composite/sobjects", json={"records": records})
        rows(
            url,
            "insert into gptweb.contacts (last_name, email) select 'Doe', n || '@here.example' from generate_series(1, 3) n",
        )
        with ImpatientHook(NAME).engine() as engine:
            run_id = engine.open_run(RunOptions(NAME, dag_run_id="1"))
        yield url, org, run_id


def ended(org: Org, kind: str) -> list[str]:
    """The states of all jobs of a kind, once none is at work."""
    deadline = time.monotonic() + 60
    states: list[str] = []
    while time.monotonic() < deadline:
        states = [job["state"] for job in org.ask("GET", f"/jobs/{kind}")["records"]]
        if states and "InProgress" not in states and "UploadComplete" not in states:
            return states
        time.sleep(0.2)
    raise AssertionError(states)


def deferred(step: Any) -> str:
    """The task gives its worker back for half a minute at least; returns how it comes back."""
    with pytest.raises(TaskDeferred) as waits:
        step.execute({})
    trigger = waits.value.trigger
    assert isinstance(trigger, DateTimeTrigger)
    assert trigger.moment > datetime.now(UTC) + timedelta(seconds=25)
    return str(waits.value.method_name)


def test_a_read_and_a_push_by_jobs_that_stall(slow):
    url, org, run_id = slow
    org.control("/faults", {"action": "stall_job", "path": "/V2Query", "seconds": STALLED})
    method = deferred(task(PullOperator, run_id))
    [(job,)] = rows(url, "select job_id from crm_sync.query_job")
    assert rows(url, "select state from crm_sync.run where run_id = %s", run_id) == [("running",)]
    assert ended(org, "query") == ["JobComplete"]
    counts = getattr(task(PullOperator, run_id), method)({}, None)
    assert counts["read"] >= MANY
    assert [found["id"] for found in org.ask("GET", "/jobs/query")["records"]] == [job], (
        "no other job was made"
    )
    assert rows(url, "select count(*) from crm_sync.query_job") == [(0,)]
    for operator in (PlanOperator, PushOursOperator):
        task(operator, run_id).execute({})
    assert rows(url, "select count(*) from gptweb.contacts") == [(MANY + 3,)]

    org.control("/faults", {"action": "stall_job", "path": "/V2Ingest", "seconds": STALLED})
    step = task(PushTheirsOperator, run_id)
    for _ in range(9):  # a job for the keys, one for the new people; either may be waited for more than once
        try:
            step.execute({})
        except TaskDeferred:
            assert rows(
                url, "select count(*) from crm_sync.job where ended_at is null and their_id is not null"
            ) == [(1,)]
            ended(org, "ingest")
            step = task(PushTheirsOperator, run_id)
        else:
            break
    assert rows(url, "select op, end_state from crm_sync.job order by op") == [
        ("create", "JobComplete"),
        ("update", "JobComplete"),
    ]
    sent = [job["operation"] for job in org.ask("GET", "/jobs/ingest")["records"]]
    assert sorted(sent) == ["queryAll", "update", "upsert"], "no job was sent twice"
    with ImpatientHook(NAME).engine() as engine:
        report = engine.settle(run_id)
    assert (report.state, report.message) == ("succeeded", "")
    assert len(org.query("SELECT Id FROM Contact")) == MANY + 3
