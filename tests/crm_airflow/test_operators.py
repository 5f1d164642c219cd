"""The operators alone: what they ask of the engine, what they log, what they hand on, and how they fail."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import RetryPolicy
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from crm_airflow.operators.open_run_operator import OpenRunOperator
from crm_airflow.operators.plan_operator import PlanOperator
from crm_airflow.operators.preflight_operator import PreflightOperator
from crm_airflow.operators.provision_apply_operator import ProvisionApplyOperator
from crm_airflow.operators.provision_plan_operator import ProvisionPlanOperator
from crm_airflow.operators.provision_verify_operator import ProvisionVerifyOperator
from crm_airflow.operators.pull_operator import PullOperator
from crm_airflow.operators.push_ours_operator import PushOursOperator
from crm_airflow.operators.push_theirs_operator import PushTheirsOperator
from crm_airflow.operators.removal_approve_operator import approval_of
from crm_airflow.operators.removal_plan_operator import skip_unless
from crm_airflow.operators.settle_operator import SettleOperator
from crm_sync.decide.preflight_line import ok, problem, warning
from crm_sync.errors import Misconfigured, NotSent
from crm_sync.preflight_report import PreflightReport
from tests.crm_airflow.fake import FakeEngine, FakePreflight, FakeProvisioning, FakeReport, faked

STAGES = {
    "pull": PullOperator,
    "plan": PlanOperator,
    "push_ours": PushOursOperator,
    "push_theirs": PushTheirsOperator,
    "settle": SettleOperator,
}
FIVE = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
SIX = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def context(run_type: str = "manual", states: dict[str, str] | None = None, **more):
    """What a task sees of its Airflow run."""
    ti = SimpleNamespace(get_task_states=lambda **asked: {"manual__1": states or {}})
    return {"dag_run": SimpleNamespace(run_type=run_type, run_id="manual__1"), "ti": ti, **more}


def made(operator: type, engine: FakeEngine, **kwargs):
    return faked(operator, engine)(task_id="step", connection="salesforce_main", **kwargs)


# ------------------------------------------------------------------------------------------------ open_run


def test_open_run_returns_the_number_and_nothing_else():
    assert made(OpenRunOperator, FakeEngine()).execute(context()) == 7


def test_a_backfill_run_has_a_window_and_every_other_has_none():
    engine = FakeEngine()
    for run_type in ("scheduled", "manual", "asset_triggered"):
        made(OpenRunOperator, engine).execute(
            context(run_type, data_interval_start=FIVE, data_interval_end=SIX)
        )
        options = engine.asked[-1][1]
        assert (options.kind, options.since, options.until) == ("sync", None, None)
    made(OpenRunOperator, engine).execute(
        context("backfill", data_interval_start=FIVE, data_interval_end=SIX)
    )
    options = engine.asked[-1][1]
    assert (options.kind, options.since, options.until) == ("backfill", FIVE, SIX)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, (None, None, False, None)),
        ({"objects": [], "direction": "as configured", "limit": None}, (None, None, False, None)),
        ({"objects": ["lead", "account"], "limit": 5}, (("account", "lead"), None, False, 5)),
        (
            {"objects": "contact, Lead", "direction": "push", "limit": "5"},
            (("contact", "lead"), "push", False, 5),
        ),
        (
            {"objects": "None", "direction": "None", "plan_only": "None", "limit": "None"},
            (None, None, False, None),
        ),
        ({"plan_only": True}, (None, None, True, None)),
        ({"plan_only": "True", "direction": "bidirectional"}, (None, "bidirectional", True, None)),
    ],
)
def test_fields_mean_the_same_as_values_and_as_rendered_templates(given, meant):
    engine = FakeEngine()
    made(OpenRunOperator, engine, **given).execute(context())
    options = engine.asked[0][1]
    assert (options.objects, options.direction, options.dry_run, options.limit) == meant


@pytest.mark.parametrize(
    ("given", "meant"), [(None, None), ("", None), ("None", None), (" 00FF00ff00ff00ff ", "00ff00ff00ff00ff")]
)
def test_a_plan_is_approved_by_its_digest(given, meant):
    engine = FakeEngine()
    made(OpenRunOperator, engine, approve=given).execute(context())
    assert engine.asked[0][1].approve == meant


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objects": "contact,deal"}, "objects: deal is not known; choose from account, contact, lead"),
        ({"direction": "up"}, "direction: 'up' is not known; choose from bidirectional, push, pull"),
        ({"plan_only": "perhaps"}, "plan_only: 'perhaps' is neither true nor false"),
        ({"limit": 0}, "limit: 0 is not a number from 1"),
        ({"limit": "many"}, "limit: 'many' is not a number from 1"),
    ],
)
def test_a_wrong_field_says_what_to_choose_and_opens_nothing(given, message):
    engine = FakeEngine()
    with pytest.raises(Misconfigured, match=message):
        made(OpenRunOperator, engine, **given).execute(context())
    assert engine.asked == []


def test_the_run_of_the_syncs_own_dag_keeps_airflows_run_id_and_that_of_another_dag_says_which():
    from airflow.sdk import DAG

    for dag_id, expected in {"crm_sync__salesforce_main": "manual__1", "theirs": "theirs/manual__1"}.items():
        engine = FakeEngine()
        with DAG(dag_id, schedule=None):
            made(OpenRunOperator, engine).execute(context())
        assert engine.asked[0][1].dag_run_id == expected


def test_a_run_that_cannot_be_opened_leaves_its_message_in_the_ledger():
    engine = FakeEngine(open_run=Misconfigured("contact.yaml:7: unknown column"))
    with pytest.raises(Misconfigured, match="unknown column"):
        made(OpenRunOperator, engine).execute(context())
    assert engine.asked[-1] == ("open_failed", "contact.yaml:7: unknown column")


# ------------------------------------------------------------------------------------------- every stage


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_asks_for_its_run_logs_the_report_and_hands_on_counts(stage, capfd):
    engine = FakeEngine()
    result = made(STAGES[stage], engine, run_id="7").execute(context())
    assert engine.asked == [(stage, 7)]
    assert f"{stage} is done" in capfd.readouterr().out
    assert result["planned"] == 3
    assert set(result) <= {"planned", "run_id", "state"}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("run_id", [None, "", "None", "{{ oops }}"])
def test_a_stage_without_a_run_says_where_to_look(stage, run_id):
    engine = FakeEngine()
    with pytest.raises(Misconfigured, match=r"No run is open for salesforce_main.*log of open_run"):
        made(STAGES[stage], engine, run_id=run_id).execute(context())
    assert engine.asked == []


@pytest.mark.parametrize("stage", STAGES)
def test_an_error_of_the_sync_is_one_message_without_the_way_through_our_code(stage, capfd):
    error = NotSent("The org is in maintenance; it says to come back in 5 minutes.")
    try:
        raise KeyError("deep inside")  # noqa: TRY301
    except KeyError as cause:
        error.__cause__ = cause
    with pytest.raises(NotSent) as caught:
        made(STAGES[stage], FakeEngine(**{stage: error}), run_id=7).execute(context())
    logged = [line for line in capfd.readouterr().out.splitlines() if "[error" in line]
    assert len(logged) == 1
    assert str(error) in logged[0]
    shown = "".join(traceback.format_exception(caught.value))
    assert "deep inside" not in shown
    assert "fake.py" not in shown


def test_a_bug_keeps_its_whole_traceback():
    with pytest.raises(ZeroDivisionError) as caught:
        made(PullOperator, FakeEngine(pull=ZeroDivisionError("a bug")), run_id=7).execute(context())
    assert "fake.py" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("operator", [PushOursOperator, PushTheirsOperator])
@pytest.mark.parametrize("plan_only", [True, "True"])
def test_a_dry_run_skips_both_pushes(operator, plan_only):
    engine = FakeEngine()
    with pytest.raises(AirflowSkipException, match="nothing is written"):
        made(operator, engine, run_id=7, plan_only=plan_only).execute(context())
    assert engine.asked == []


def test_what_a_persons_own_dag_sets_wins_over_our_defaults():
    class Other(RetryPolicy):
        def evaluate(self, *args, **kwargs):
            raise NotImplementedError

    other = Other()
    task = made(PullOperator, FakeEngine(), run_id=7, retries=9, retry_policy=other)
    assert (task.retries, task.retry_policy) == (9, other)
    task = made(PullOperator, FakeEngine(), run_id=7, default_args={"retries": 8})
    assert task.retries == 8


@pytest.mark.parametrize("operator", [OpenRunOperator, PreflightOperator, *STAGES.values()])
def test_an_operator_documents_itself_and_its_fields(operator):
    documented = f"{operator.__doc__} {operator.__mro__[1].__doc__}"
    assert "Example:" in documented
    for name in operator.template_fields:
        if not (operator is OpenRunOperator and name == "run_id"):
            assert f"{name}:" in documented


# ------------------------------------------------------------------------------------------------- settle


@pytest.mark.parametrize("state", ["succeeded", "succeeded_with_parked"])
def test_a_run_that_did_its_work_is_green(state):
    engine = FakeEngine(settle=FakeReport("settled", {"parked": 2}, state))
    assert made(SettleOperator, engine, run_id=7).execute(context()) == {
        "run_id": 7,
        "state": state,
        "parked": 2,
    }


@pytest.mark.parametrize("state", ["failed", "paused_budget", "waiting_approval", "running"])
def test_a_run_that_left_work_undone_is_red_with_the_reports_message_and_is_not_tried_again(state, capfd):
    engine = FakeEngine(settle=FakeReport("settled", {}, state, "3 changes wait; approve the plan."))
    with pytest.raises(AirflowFailException, match=r"3 changes wait; approve the plan\."):
        made(SettleOperator, engine, run_id=7).execute(context())
    assert "settled" in capfd.readouterr().out


def test_a_task_that_failed_before_makes_the_run_red_though_the_sums_add_up():
    engine = FakeEngine()
    task = made(SettleOperator, engine, run_id=7)
    with pytest.raises(AirflowFailException, match=r"pull failed: see the log there"):
        task.execute(context(states={"open_run": "success", "pull": "failed", "plan": "upstream_failed"}))
    assert engine.database.run_row == ("failed", "pull failed: see the log there")


@pytest.mark.parametrize(
    ("noted", "state"), [("running", "failed"), ("paused_budget", "paused_budget"), ("refused", "refused")]
)
def test_what_a_failed_task_said_is_the_runs_message(noted, state):
    engine = FakeEngine()
    engine.database.run_row = (noted, "Enter the app's own secret.")
    with pytest.raises(AirflowFailException, match=r"pull failed: Enter the app's own secret\."):
        made(SettleOperator, engine, run_id=7).execute(context(states={"pull": "failed"}))
    assert engine.database.run_row == (state, "pull failed: Enter the app's own secret.")


def test_settle_asks_only_for_the_tasks_before_it():
    from airflow.sdk import DAG

    asked: list[dict] = []

    def asked_for(**kwargs) -> dict:
        asked.append(kwargs)
        return {}

    engine = FakeEngine()
    with DAG("own", schedule=None):
        before = made(PullOperator, engine, run_id=7)
        settle = faked(SettleOperator, engine)(task_id="settle", connection="salesforce_main", run_id=7)
        settle >> faked(PullOperator, engine)(task_id="after", connection="salesforce_main", run_id=7)
        before >> settle
    seen = context()
    seen["ti"] = SimpleNamespace(get_task_states=asked_for)
    settle.execute(seen)
    assert asked == [{"dag_id": "own", "task_ids": ["step"], "run_ids": ["manual__1"]}]


# -------------------------------------------------------------------------------------------- provisioning


def test_provisioning_hands_on_its_run_and_logs_every_stage(capfd):
    inside = FakeProvisioning()
    run_id = made(ProvisionPlanOperator, inside, plan_only="True").execute(context())
    for operator in (ProvisionApplyOperator, ProvisionVerifyOperator):
        made(operator, inside, run_id=run_id).execute(context())
    assert inside.asked == [("plan", ("manual__1", True)), ("apply", 8), ("verify", 8)]
    said = capfd.readouterr().out
    assert all(f"{stage} is done" in said for stage in ("plan", "apply", "verify"))


def test_provisioning_that_failed_for_good_closes_its_run_with_the_message():
    inside = FakeProvisioning()
    told: list = []
    task = made(ProvisionApplyOperator, inside, run_id=8, on_failure_callback=told.append)
    failed = context(exception=Misconfigured("Field Total_Score__c is of type Text."))
    for callback in task.on_failure_callback:
        callback(failed)
    assert inside.asked == [("give_up", ("manual__1", "Field Total_Score__c is of type Text."))]
    assert told == [failed]


# ---------------------------------------------------------------------------------------------- preflight

GOOD = ok("edition", "Edition", "Enterprise Edition")
MEAGRE = warning("storage", "Data storage", "1 of 5 MB free", "Buy data storage.")
BAD = problem("right_ViewSetup", "'View Setup and Configuration'", "not granted", "Tick it.")


def test_preflight_logs_its_table_and_lets_warnings_pass(capfd):
    inside = FakePreflight(preflight=PreflightReport("salesforce_main", (GOOD, MEAGRE), 3))
    counts = made(PreflightOperator, inside).execute(context())
    assert counts == {"problem": 0, "warning": 1, "not_known": 0, "ok": 1, "api_calls": 3}
    out = capfd.readouterr().out
    assert "Enterprise Edition" in out
    assert "Buy data storage." in out
    assert "API calls of this preflight: 3." in out


def test_a_problem_fails_preflight_with_every_problem_and_its_remedy(capfd):
    inside = FakePreflight(preflight=PreflightReport("salesforce_main", (GOOD, MEAGRE, BAD), 3))
    with pytest.raises(
        Misconfigured, match=r"'View Setup and Configuration': not granted\. Tick it\."
    ) as caught:
        made(PreflightOperator, inside).execute(context())
    assert "Data storage" not in str(caught.value)
    assert "Buy data storage." in capfd.readouterr().out


def test_an_org_that_does_not_answer_is_no_finding():
    with pytest.raises(NotSent):
        made(PreflightOperator, FakePreflight(preflight=NotSent("try again"))).execute(context())


# ------------------------------------------------------------------------------------------------- removal


@pytest.mark.parametrize(("chosen", "skipped"), [(True, False), ("true", False), (False, True), ("no", True)])
def test_a_task_is_skipped_unless_the_form_says_so(chosen, skipped):
    check = skip_unless("remove", wanted=True)
    if skipped:
        with pytest.raises(AirflowSkipException, match="remove is False"):
            check({"params": {"remove": chosen}})
    else:
        check({"params": {"remove": chosen}})
    skip_unless("remove", wanted=False)({"params": {}})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"chosen_options": ["Remove 130d3bc2c535"], "responded_by_user": {"id": "1", "name": "Ann"}}, ("130d3bc2c535", "Ann")),
        ({"chosen_options": ["Keep everything"], "responded_by_user": {"id": "1", "name": None}}, ("", "1")),
        ({"chosen_options": ["Keep everything"], "responded_by_user": None}, ("", "nobody in time")),
        ({"chosen_options": ["Remove a", "Remove b"], "responded_by_user": "Ann"}, ("", "Ann")),
        (None, ("", "nobody")),
    ],
)  # fmt: skip
def test_only_one_clear_answer_is_an_approval(answer, expected):
    assert approval_of(answer) == expected
