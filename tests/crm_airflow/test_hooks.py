"""The hooks as a person uses them in a task of their own, against a real org and a real ledger."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from crm_airflow.hooks.salesforce_hook import CrmSalesforceHook
from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.operators.open_run_operator import OpenRunOperator
from crm_sync.engine import RunOptions
from crm_sync.errors import BudgetExhausted, Misconfigured
from crm_sync.ledger import snapshot
from tests.crm_airflow.real import airflow_connection, make_connection, rows


def spent(hub: str) -> int:
    return int(rows(hub, "select count(*) from crm_sync.spending where connection = 'mine'")[0][0])


@pytest.fixture
def _mine(hub, org, monkeypatch) -> None:
    make_connection(hub, "mine")
    airflow_connection(monkeypatch, "mine", org.extra())


@pytest.mark.usefixtures("_mine")
def test_simple_salesforce_works_on_the_metered_session_and_each_call_is_booked(hub):
    before = spent(hub)
    with CrmSalesforceHook("mine") as hook:
        client: Any = hook.get_conn()
        made = client.Account.create({"Name": "By hand"})
        found = hook.make_query("SELECT Name FROM Account WHERE Name = 'By hand'")["records"]
        assert "Name" in hook.get_available_fields("Account")
        client.Account.delete(made["id"])
    assert [row["Name"] for row in found] == ["By hand"]
    assert spent(hub) - before == 4


def test_a_spent_budget_stops_other_peoples_tasks_too(hub, org, monkeypatch):
    make_connection(hub, "miser", {"daily_calls": 1})
    airflow_connection(monkeypatch, "miser", org.extra())
    with CrmSalesforceHook("miser") as hook, pytest.raises(BudgetExhausted, match="miser"):
        hook.get_conn().query("SELECT Id FROM Account")


@pytest.mark.usefixtures("_mine")
def test_the_test_says_as_whom_and_costs_no_call(hub, org):
    before = spent(hub)
    works, words = CrmSalesforceHook("mine").test_connection()
    assert works
    assert words.startswith(f"Logged in to {org.url} as user 005")
    assert spent(hub) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"consumer_secret": "guessed"}, "copy both again"),
        ({"instance_url": "http://127.0.0.1:1"}, "127.0.0.1:1"),
        ({"consumer_key": ""}, "lacks consumer_key"),
    ],
)
def test_the_test_of_a_connection_that_cannot_work_says_why(hub, org, monkeypatch, change, words):
    make_connection(hub, "broken")
    airflow_connection(monkeypatch, "broken", {**org.extra(), **change})
    works, said = CrmSalesforceHook("broken").test_connection()
    assert not works
    assert words in said
    assert org.client_secret not in said


@pytest.mark.usefixtures("_mine")
def test_a_run_opens_without_asking_airflow_for_the_crm(hub, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_MINE")
    with CrmSyncHook("mine").engine() as engine:
        run_id = engine.open_run(RunOptions("mine", dag_run_id="by hand"))
        engine.plan(run_id)
        engine.push_ours(run_id)
        assert engine.settle(run_id).state in {"succeeded", "failed"}
        with pytest.raises(Misconfigured, match="no Airflow connection 'mine'"):
            engine.pull(run_id)


@pytest.mark.usefixtures("_mine")
def test_the_first_org_that_answers_is_the_connections_for_good(hub):
    with CrmSyncHook("mine").session():
        pass
    pinned = rows(hub, "select organization_id from crm_sync.connection where name = 'mine'")[0][0]
    assert pinned.startswith("00D")
    rows(hub, "update crm_sync.connection set organization_id = '00D5g000000OTHEREA0' where name = 'mine'")
    with pytest.raises(Misconfigured, match=f"is one of org {pinned}"), CrmSyncHook("mine").session():
        pass
    rows(hub, "update crm_sync.connection set organization_id = %s where name = 'mine'", pinned)


@pytest.mark.usefixtures("_mine")
def test_an_error_inside_is_noted_with_the_run_and_a_second_try_takes_it_back(hub):
    hook = CrmSyncHook("mine")
    with hook.engine() as engine:
        run_id = engine.open_run(RunOptions("mine", dag_run_id="noted"))

    def noted() -> tuple[str, str | None]:
        state, message = rows(hub, "select state, message from crm_sync.run where run_id = %s", run_id)[0]
        return state, message

    with pytest.raises(ZeroDivisionError), hook.engine(run_id):
        raise ZeroDivisionError("Ann's e-mail is ann@acme.example")
    assert noted()[0] == "running"
    assert "ann@acme" not in str(noted()[1])
    with pytest.raises(BudgetExhausted), hook.engine(run_id):
        raise BudgetExhausted("The day's calls are used up.", resume_after=timedelta(hours=1))
    state, message = noted()
    assert state == "paused_budget"
    assert re.fullmatch(
        r"paused: budget, goes on by itself at .* UTC: The day's calls are used up\.", message or ""
    )
    with hook.engine(run_id):
        assert noted() == ("running", None)


@pytest.mark.usefixtures("_mine")
def test_a_database_that_went_away_does_not_hide_what_failed_first(hub):
    hook = CrmSyncHook("mine")
    with hook.engine() as engine:
        run_id = engine.open_run(RunOptions("mine", dag_run_id="went away"))

    def lose_the_connection_and_fail() -> None:
        with hook.engine(run_id) as engine, engine.database.transaction() as tx:
            rows(hub, "select pg_terminate_backend(%s)", tx.one("select pg_backend_pid()"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lose_the_connection_and_fail()


@pytest.mark.usefixtures("_mine")
def test_a_backfill_run_as_airflow_gives_it_is_opened_with_its_window(hub):
    start, end = pendulum.datetime(2026, 11, 22, 5, tz="UTC"), pendulum.datetime(2026, 11, 22, 6, tz="UTC")
    dag_run = SimpleNamespace(run_type="backfill", run_id="backfill__2026-11-22T06:00:00+00:00")
    context = {"dag_run": dag_run, "data_interval_start": start, "data_interval_end": end}
    run_id = OpenRunOperator(task_id="open_run", connection="mine", objects=["contact"]).execute(context)
    kind, options = rows(hub, "select kind, options from crm_sync.run where run_id = %s", run_id)[0]
    assert kind == "backfill"
    assert (options["since"], options["until"]) == ("2026-11-22T05:00:00+00:00", "2026-11-22T06:00:00+00:00")
    with CrmSyncHook("mine").engine(run_id) as engine:
        assert engine.settle(run_id).state == "succeeded"


@pytest.mark.usefixtures("_mine")
def test_settings_changed_by_sql_reach_dag_parsing_with_the_next_run(hub):
    rows(
        hub,
        """update crm_sync.connection set settings = settings || '{"frequency": "hourly"}' where name = 'mine'""",
    )
    CrmSyncHook("mine").refresh_snapshot()
    assert {entry.name: entry.frequency for entry in snapshot.read()}["mine"] == "hourly"


@pytest.mark.usefixtures("_mine")
def test_a_home_that_cannot_be_written_costs_no_run(monkeypatch, capfd):
    monkeypatch.setenv("AIRFLOW_HOME", "/dev/null")
    CrmSyncHook("mine").refresh_snapshot()
    assert "Make AIRFLOW_HOME writable" in capfd.readouterr().out
