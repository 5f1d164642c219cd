"""A bulk job that takes long is waited for in the triggerer; the task then takes the results of that job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred

from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_sync.errors import JobUnderWay
from tests.crm_airflow.fake import FakeEngine, FakeReport, faked

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
