"""A run without calls left: it is paused, holds no worker, goes on by itself, and loses nothing (failure case 17)."""

from __future__ import annotations

import asyncio
import importlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.exceptions import TaskDeferred
from airflow.utils.session import create_session
from sqlalchemy import select

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.removal_plan_operator import RemovalPlanOperator
from crm_airflow.triggers.budget_trigger import BudgetTrigger
from crm_sync.engine import RunOptions
from crm_sync.errors import BudgetExhausted, RetryLater
from tests.crm_airflow.airflow_env import airflow_database
from tests.crm_airflow.fake import FakeEngine, faked
from tests.crm_airflow.real import (
    airflow_connection,
    make_connection,
    rows,
    run,
    running_hub,
    running_org,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
SUMMARY = """select state, message, paused_until, calls_left, calls_needed from crm_sync.run_summary
    where connection = 'poor' order by run_id desc limit 1"""
NEWEST = "select run_id, state from crm_sync.run where connection = 'poor' order by run_id desc limit 1"
UNSPEND = "set session_replication_role = replica; delete from crm_sync.spending"  # the ledger itself refuses
SPEND = """insert into crm_sync.spending (connection, lane, purpose, booked_at)
    select 'poor', 'sync', 'test', now() from generate_series(1, %s)"""


@pytest.fixture(scope="module")
def own_org(tmp_path_factory):
    """An org and a database of this module's own: other modules begin with empty ones."""
    with running_org(tmp_path_factory.mktemp("org") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory):
    airflow_database()
    with running_hub(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def poor(own_hub, own_org, monkeypatch):
    """The database of a connection whose calls of the day are used up."""
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", own_hub)
    make_connection(own_hub, "poor", {"daily_calls": 100, "look_seconds": 1})
    airflow_connection(monkeypatch, "poor", own_org.extra())
    if not rows(own_hub, "select provisioned_at from crm_sync.connection where name = 'poor'")[0][0]:
        run("provision", "poor")
    spend(own_hub, 95)
    return own_hub


def spend(hub: str, calls: int) -> None:
    rows(hub, UNSPEND)
    rows(hub, SPEND, calls)


def raise_the_budget(hub: str) -> None:
    rows(
        hub,
        """update crm_sync.connection set settings = settings || '{"daily_calls": 200}' where name = 'poor'""",
    )


class Meanwhile:
    """Does something as soon as ``look`` sees a pause; ``seen`` is what it saw."""

    def __init__(self, look: Callable[[], tuple[Any, ...]], then: Callable[[], object]) -> None:
        self.seen: tuple[Any, ...] = ()
        self._look = look
        self._then = then
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Meanwhile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _watch(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not self.seen:
            time.sleep(0.1)
            self.seen = self._look()
        self._then()


def paused_run(hub: str) -> tuple[Any, ...]:
    """The newest run's summary, if the run is paused."""
    found = rows(hub, SUMMARY)
    return found[0] if found and found[0][0] == "paused_budget" else ()


def waiting_triggers() -> tuple[Any, ...]:
    """What Airflow's database keeps of the triggers; its runner for tests never deletes one."""
    with create_session() as session:
        return tuple((trigger.id, trigger.kwargs) for trigger in session.scalars(select(Trigger)))


@pytest.mark.parametrize(("spent", "stage"), [(95, "pull"), (94, "push_theirs")])
def test_a_spent_budget_pauses_the_run_and_it_goes_on_by_itself(poor, own_org, capfd, spent, stage):
    spend(poor, spent)
    email = f"{stage}@acme.example"
    rows(poor, "insert into gptweb.contacts (last_name, email) values ('Waits', %s)", email)
    with Meanwhile(lambda: paused_run(poor), lambda: raise_the_budget(poor)) as meanwhile:
        state, tasks = run("sync", "poor")
    assert (state, set(tasks.values())) == ("success", {"success"}), rows(poor, SUMMARY)
    paused, message, until, left, needed = meanwhile.seen
    assert paused == "paused_budget"
    assert "paused: budget, goes on by itself at" in message
    assert (
        "95 of 100 calls of 24 hours are used, lane sync may use 95; the next one is free in 24 h" in message
    )
    assert until - datetime.now(UTC) > timedelta(hours=23)
    assert (left, needed) == (0, 2), "one call reads, one writes the contact"
    assert len(own_org.query(f"SELECT Id FROM Contact WHERE Email = '{email}'")) == 1
    state, message, until, left, needed = rows(poor, SUMMARY)[0]
    assert (state, message, until, needed) == ("succeeded", None, None, 1)
    assert left == 190 - rows(poor, "select count(*) from crm_sync.spending where connection = 'poor'")[0][0]
    said = capfd.readouterr().out
    assert said.count("Calls are free again") == 1
    assert "Paused: budget. The run goes on by itself, expected at" in said
    assert f"{left} of 190 calls left in the next 24 h for lane sync; 1 needed for the backlog" in said


def test_preflight_waits_for_calls_in_the_triggerer_and_its_log_says_until_when(poor, capfd):
    spend(poor, 94)
    before = len(waiting_triggers())
    with Meanwhile(lambda: waiting_triggers()[before:], lambda: raise_the_budget(poor)) as meanwhile:
        assert run("preflight", "poor") == ("success", {"preflight": "success"})
    [(_, waits)] = meanwhile.seen
    assert (waits["connection"], waits["run_id"], waits["calls"]) == ("poor", None, 3)
    said = capfd.readouterr().out
    assert "lane provision may use 95; the next one is free in 24 h" in said
    assert "Paused: budget. The run goes on by itself, expected at" in said
    assert said.count("Calls are free again: preflight goes on.") == 1


@pytest.mark.parametrize(("stage", "left"), [("plan", 4), ("apply", 7), ("verify", 9)])
def test_provisioning_pauses_in_any_of_its_stages_and_goes_on_by_itself(poor, capfd, stage, left):
    spend(poor, 95 - left)
    with Meanwhile(lambda: paused_run(poor), lambda: raise_the_budget(poor)) as meanwhile:
        state, _ = run("provision", "poor")
    assert state == "success", rows(poor, SUMMARY)
    _, message, until, *_ = meanwhile.seen
    assert "lane provision may use 95; the next one is free in 24 h" in message
    assert until - datetime.now(UTC) > timedelta(hours=23)
    said = capfd.readouterr().out
    assert said.count("Calls are free again") == 1
    assert f"Calls are free again: {stage}_provisioning goes on." in said
    state, message, until, *_ = rows(poor, SUMMARY)[0]
    assert (state, message, until) == ("succeeded", "every field of poor can be read and written", None)


def test_a_removal_pauses_and_the_next_try_goes_on_with_the_same_run(poor):
    plan = RemovalPlanOperator(task_id="plan_removal", connection="poor", plan_only=True)
    context: Any = {"dag_run": SimpleNamespace(run_id="removal")}
    with pytest.raises(TaskDeferred):
        plan.execute(context)
    run_id, state = rows(poor, NEWEST)[0]
    assert state == "paused_budget"
    raise_the_budget(poor)
    assert plan.resume(context) == run_id
    assert rows(poor, NEWEST) == [(run_id, "succeeded")]


@pytest.fixture
def refuses(own_org):
    """The org refuses the next call of the sync with one of its limits; both have the same code."""

    def refuse(limit: str) -> None:
        reply = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": f"{limit} Limit exceeded."}]
        own_org.control("/faults", {"action": "reply", "path": "/composite$", "status": 403, "reply": reply})

    return refuse


def test_the_orgs_own_limit_pauses_the_run_until_the_org_has_calls_again(poor, refuses):
    """It was once taken for success (case 17)."""
    raise_the_budget(poor)
    refuses("TotalRequests")
    looked_at = "update crm_sync.allocation set look_at = now() where connection = 'poor'"
    with Meanwhile(lambda: paused_run(poor), lambda: rows(poor, looked_at)) as meanwhile:
        state, _ = run("sync", "poor")
    assert meanwhile.seen[0] == "paused_budget"
    assert "by us and all other applications" in str(meanwhile.seen[1])
    assert (state, rows(poor, SUMMARY)[0][0]) == ("success", "succeeded")
    assert rows(poor, "select looks, look_at from crm_sync.allocation where connection = 'poor'") == [
        (0, None)
    ]


def test_too_many_calls_at_once_are_no_pause(poor, refuses):
    raise_the_budget(poor)
    refuses("ConcurrentRequests (Concurrent API Requests)")
    with CrmSyncHook("poor").engine() as engine:
        run_id = engine.open_run(RunOptions("poor", dag_run_id="at once"))
    with pytest.raises(RetryLater) as later, CrmSyncHook("poor").engine(run_id) as engine:
        engine.pull(run_id)
    assert later.value.after < timedelta(minutes=1)
    assert rows(poor, SUMMARY)[0][0] == "running"
    with CrmSyncHook("poor").engine(run_id) as engine:
        engine.pull(run_id)
        engine.settle(run_id)


def test_the_task_gives_its_worker_back_and_says_for_whom_and_how_long_it_waits():
    engine = FakeEngine(pull=BudgetExhausted("no call is free", timedelta(hours=3)))
    task = faked(PullOperator, engine)(task_id="pull", connection="poor", run_id=7)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})
    assert deferred.value.method_name == "resume"
    path, arguments = deferred.value.trigger.serialize()
    assert path == "crm_airflow.triggers.budget_trigger.BudgetTrigger"
    assert (arguments["connection"], arguments["run_id"]) == ("poor", 7)
    assert timedelta(hours=2, minutes=59) < arguments["until"] - datetime.now(UTC) <= timedelta(hours=3)
    stored = Trigger.from_object(deferred.value.trigger)  # as the triggerer takes it from Airflow's database
    module, _, name = stored.classpath.rpartition(".")
    assert getattr(importlib.import_module(module), name)(**stored.kwargs).serialize() == (path, arguments)


def test_the_trigger_ends_when_the_budget_is_raised_and_not_before(poor):
    run_id = rows(
        poor, "insert into crm_sync.run (connection, kind) values ('poor', 'sync') returning run_id"
    )[0][0]
    trigger = BudgetTrigger("poor", datetime.now(UTC) + timedelta(hours=24), run_id)

    async def wait() -> bool:
        events = trigger.run()
        first = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait([first], timeout=2.5)
        assert not done, "the lane is still used up"
        await asyncio.to_thread(raise_the_budget, poor)
        event = await asyncio.wait_for(first, 60)
        return bool(event.payload == {"connection": "poor"})

    assert asyncio.run(wait())


def test_a_trigger_that_cannot_reach_the_ledger_waits_for_the_time_that_was_foretold(monkeypatch):
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    trigger = BudgetTrigger("poor", datetime.now(UTC) + timedelta(seconds=1), 7)

    async def wait() -> datetime:
        await anext(trigger.run())
        return datetime.now(UTC)

    assert asyncio.run(wait()) >= trigger.until
