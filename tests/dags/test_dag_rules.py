"""What every DAG of this project must be."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronDataIntervalTimetable
from airflow.sdk.exceptions import ParamValidationError
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronTriggerTimetable

from crm_airflow.retry import SyncRetryPolicy
from crm_sync.decide.budget import WINDOW
from tests.crm_airflow.airflow_env import CONNECTIONS, DAGS, ROOT, airflow_home, write_snapshot

FOR_ALL = {"crm_alerts", "crm_housekeeping", "crm_vault_rotation"}
FILES = sorted(DAGS.glob("*.py"))
NAMES = [connection["name"] for connection in CONNECTIONS]
KINDS = ("sync", "reconcile", "provision", "preflight", "undo")
ALLOWED = {"__future__", "datetime", "typing", "airflow.sdk", "crm_sync.model", "crm_sync.ledger"}


def load() -> DagBag:
    return DagBag(str(DAGS), load_op_links=False)


@pytest.fixture(scope="module")
def bag() -> DagBag:
    write_snapshot(CONNECTIONS)
    return load()


@pytest.fixture
def other_connections():
    yield write_snapshot
    write_snapshot(CONNECTIONS)


def test_all_files_import(bag):
    assert bag.import_errors == {}


def test_one_dag_per_connection_and_kind(bag):
    assert set(bag.dags) == FOR_ALL | {f"crm_{kind}__{name}" for kind in KINDS for name in NAMES}


def test_every_dag_says_what_it_is_and_whose(bag):
    for dag in bag.dags.values():
        assert len(dag.doc_md or "") > 200, dag.dag_id
        assert dag.description, dag.dag_id
        assert dag.dag_display_name != dag.dag_id, dag.dag_id
        assert "crm" in dag.tags, dag.dag_id
        assert {task.owner for task in dag.tasks} == {"crm-sync"}, dag.dag_id


def test_one_run_at_a_time_and_none_for_the_past(bag):
    for dag in bag.dags.values():
        assert dag.max_active_runs == 1, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.dagrun_timeout is not None, dag.dag_id
        by_night = dag.dag_id.startswith(("crm_reconcile", "crm_housekeeping"))
        assert (dag.start_date is None) is by_night, (
            "with one, a nightly run would begin the moment it is known"
        )


def test_a_pause_of_a_day_is_not_cut_short_and_no_task_runs_for_ever(bag):
    """Airflow gives a resumed task its own time anew, and counts a pause in the run's."""
    for name in NAMES:
        dag = bag.dags[f"crm_sync__{name}"]
        assert dag.dagrun_timeout > WINDOW + timedelta(hours=6), dag.dag_id
        assert {task.execution_timeout for task in dag.tasks} == {timedelta(hours=6)}, dag.dag_id


def test_a_connected_crm_syncs_without_anyone_unpausing_it(bag):
    assert {dag.is_paused_upon_creation for dag in bag.dags.values()} == {False}


@pytest.mark.parametrize(
    ("name", "cron"),
    [("main", "*/5 * * * *"), ("emea", "*/15 * * * *"), ("apac", "0 * * * *"), ("new", None), ("off", None)],
)
def test_the_schedule_is_the_connections(bag, name, cron):
    schedule = bag.dags[f"crm_sync__salesforce_{name}"].schedule
    if cron is None:
        assert schedule is None  # not provisioned, or switched off
    else:
        assert isinstance(schedule, CronDataIntervalTimetable)  # a backfill needs real intervals
        assert (schedule.expression, str(schedule.timezone)) == (cron, "UTC")


def test_only_syncs_reconciliations_alerts_and_housekeeping_are_scheduled(bag):
    scheduled = {dag_id for dag_id, dag in bag.dags.items() if dag.schedule is not None}
    names = ("main", "emea", "apac")
    by_connection = {f"crm_{kind}__salesforce_{name}" for kind in ("sync", "reconcile") for name in names}
    assert scheduled == {"crm_alerts", "crm_housekeeping"} | by_connection


@pytest.mark.parametrize(
    ("often", "cron"), [("nightly", "30 2 * * *"), ("weekly", "30 2 * * 0"), ("never", None)]
)
def test_a_reconciliation_is_as_often_as_the_setting_says(other_connections, often, cron):
    other_connections([{**CONNECTIONS[0], "reconcile": often}])
    schedule = load().dags["crm_reconcile__salesforce_main"].schedule
    assert getattr(schedule, "expression", None) == cron


def test_a_nightly_run_waits_for_the_night(bag):
    """Known for the first time just after its hour, it would begin at once, before the first sync."""
    dag = bag.dags["crm_reconcile__salesforce_main"]
    assert (type(dag.schedule).__name__, dag.start_date) == ("CronTriggerTimetable", None)
    missed = datetime.now(UTC) - timedelta(minutes=1)
    as_stored = json.loads(json.dumps(CronTriggerTimetable(
        f"{missed.minute} {missed.hour} * * *", timezone=dag.schedule.timezone, run_immediately=dag.schedule.run_immediately
    ).serialize()))  # fmt: skip
    first = CronTriggerTimetable.deserialize(as_stored).next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert first
    assert first.run_after > datetime.now(UTC)


def test_the_chain_of_a_reconciliation(bag):
    dag = bag.dags["crm_reconcile__salesforce_main"]
    after = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert after["compare"] == {"pull"}, (
        "what is skipped when there is nothing to heal, with all that follows"
    )
    assert (after["plan"], after["push_theirs"]) == ({"push_ours"}, {"settle"})
    assert [task.task_id for task in dag.leaves] == ["settle"]
    assert dag.get_task("settle").trigger_rule == "all_done"
    params = dag.params
    assert set(params) == {"heal", "objects"}
    params.validate()
    with pytest.raises(ParamValidationError):
        params.get_param("heal").resolve("some")


def test_every_task_has_the_one_retry_policy(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert isinstance(task.retry_policy, SyncRetryPolicy), (dag.dag_id, task.task_id)
            assert task.retries == 3, (dag.dag_id, task.task_id)


def test_the_chain_of_a_sync(bag):
    dag = bag.dags["crm_sync__salesforce_main"]
    after = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert after["plan"] == {"push_ours"}
    assert after["push_ours"] == {"push_theirs"}, "the links that push_ours makes get our key in the same run"
    assert after["push_theirs"] == {"settle"}
    assert [task.task_id for task in dag.leaves] == ["settle"]  # the leaf decides the colour of the run
    assert dag.get_task("settle").trigger_rule == "all_done"
    assert [task.task_id for task in dag.roots] == ["open_run"]


def test_the_chain_of_provisioning(bag):
    dag = bag.dags["crm_provision__salesforce_main"]
    after = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert after["preflight"] == {"plan_provisioning"}
    assert after["apply_provisioning"] == {"verify_provisioning"}
    assert after["plan_removal"] == {"approve_removal", "apply_removal"}
    assert after["approve_removal"] == {"apply_removal"}
    assert {task.task_id for task in dag.roots} == {"preflight", "plan_removal"}, "one of the two is skipped"
    assert {task.trigger_rule for task in dag.tasks} == {"all_success"}


def test_nothing_is_dropped_from_a_trail_that_does_not_verify(bag):
    dag = bag.dags["crm_housekeeping"]
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == {
        "verify_trail": {"keep_house"}, "keep_house": set()
    }  # fmt: skip
    assert dag.get_task("keep_house").trigger_rule == "all_success"
    assert dag.params.get_param("days").resolve(None) is None


def test_the_chain_of_an_undo(bag):
    dag = bag.dags["crm_undo__salesforce_main"]
    after = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    assert after["plan_undo"] == {"apply_undo"}
    assert (after["apply_undo"], after["sync_now"]) == ({"sync_now"}, {"settle"})
    assert [task.task_id for task in dag.leaves] == ["settle"]
    assert dag.get_task("settle").trigger_rule == "all_done"
    assert (dag.params["removals"], dag.params["sync_now"], dag.params["dry_run"]) == (False, False, False)
    dag.params.validate()


def test_the_form_of_a_manual_run_checks_what_is_entered(bag):
    params = bag.dags["crm_sync__salesforce_main"].params
    assert set(params) == {"objects", "direction", "dry_run", "limit", "approve"}
    params.validate()


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("objects", [], ["deal"]),
        ("objects", None, ["account", "deal"]),
        ("objects", ["contact"], "contact"),
        ("direction", "push", "up"),
        ("dry_run", True, "perhaps"),
        ("limit", 1, 0),
        ("limit", None, "ten"),
        ("approve", None, 12),
    ],
)
def test_the_form_refuses_what_makes_no_sense(bag, name, right, wrong):
    param = bag.dags["crm_sync__salesforce_main"].params.get_param(name)
    assert param.resolve(right) == right
    with pytest.raises(ParamValidationError):
        param.resolve(wrong)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_dag_file_is_a_table_of_contents(file):
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 90
    imported = {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert {
        m for m in imported if m not in ALLOWED and not str(m).startswith("crm_airflow.operators.")
    } == set()
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)]


def test_there_are_no_more_files_than_kinds():
    assert [file.name for file in FILES] == [
        "crm_alerts.py",
        "crm_housekeeping.py",
        "crm_preflight.py",
        "crm_provision.py",
        "crm_reconcile.py",
        "crm_sync.py",
        "crm_undo.py",
        "crm_vault_rotation.py",
    ]


def test_the_plugin_loader_executes_one_file_and_leaves_the_package_alone():
    plugins = ROOT / "plugins"
    assert "crm_airflow/" in (plugins / ".airflowignore").read_text(encoding="utf-8").split()
    assert [file.name for file in plugins.glob("*.py")] == ["crm_sync_plugin.py"]


def test_no_snapshot_is_no_dag_and_no_error(other_connections):
    (airflow_home() / "crm_sync_connections.json").unlink()
    try:
        found = load()
    finally:
        other_connections(CONNECTIONS)
    assert (set(found.dags), found.import_errors) == (FOR_ALL, {})


def test_a_new_connection_is_live_without_deployment_and_the_others_keep_their_ids(bag, other_connections):
    other_connections([*CONNECTIONS, {**CONNECTIONS[0], "name": "acme"}])
    assert set(load().dags) - set(bag.dags) == {f"crm_{kind}__acme" for kind in KINDS}


PARSE = """
import json, os, socket, sys, tempfile

opened = []
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so")):
        opened.append(os.path.realpath(args[0]))
    if event.startswith(("socket.", "subprocess.", "sqlite3.")):
        opened.append(event)

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, BaseOperator
import crm_sync.ledger.snapshot
sys.addaudithook(watch)
found = {}
for file in sys.argv[1:]:
    scope = {"__name__": "parsed", "__file__": file}
    exec(compile(open(file, encoding="utf-8").read(), file, "exec"), scope)
    for name, dag in scope.items():
        if isinstance(dag, DAG):
            found[name] = dag.schedule and [dag.schedule.expression, str(dag.schedule.timezone), str(dag.start_date)]
print(json.dumps({"opened": sorted(set(opened)), "found": found, "modules": sorted(sys.modules)}))
"""


def parse_elsewhere(**environment: str) -> dict:
    """Parse the files in a process of its own, and tell what that touched."""
    path = os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")])
    env = {**os.environ, "PYTHONPATH": path, "AIRFLOW_HOME": str(airflow_home()), **environment}
    done = subprocess.run(
        [sys.executable, "-c", PARSE, *map(str, FILES)], env=env, capture_output=True, text=True, check=True
    )
    parsed: dict = json.loads(done.stdout.splitlines()[-1])
    return parsed


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_parsing_reads_the_snapshot_alone_and_is_the_same_in_every_zone(bag, zone):
    parsed = parse_elsewhere(TZ=zone, CRM_SYNC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    read = {Path(name).name for name in parsed["opened"] if not Path(name).is_relative_to(sys.prefix)}
    assert read <= {"crm_sync_connections.json"}
    assert set(parsed["found"]) == set(bag.dags)
    crons = [schedule for schedule in parsed["found"].values() if schedule]
    assert {tuple(cron[1:]) for cron in crons} == {("UTC", "2025-01-01 00:00:00+00:00"), ("UTC", "None")}
    heavy = {"pandas", "zeep", "simple_salesforce", "requests", "crm_sync.engine"}
    assert heavy.isdisjoint(parsed["modules"])


def test_a_removal_waits_for_a_person_and_no_answer_means_no(bag):
    dag = bag.dags["crm_provision__salesforce_main"]
    approve = dag.get_task("approve_removal")
    assert approve.defaults == ["Keep everything"]
    assert approve.response_timeout < dag.dagrun_timeout
    assert dag.params["remove"] is False
