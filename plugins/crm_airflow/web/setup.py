"""The set-up of a connection, step by step: log-in, checks, settings, provisioning, first sync; each is one page address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from crm_airflow.web import acting
from crm_airflow.web.after import back
from crm_airflow.web.airflow_api import Airflow, AirflowUser
from crm_airflow.web.forms import Once, Sent
from crm_airflow.web.guards import (
    CHANGE,
    READ,
    ConnectionName,
    may_change,
    preflight_dag,
    provision_dag,
    sync_dag,
)
from crm_airflow.web.pages import page
from crm_airflow.web.reading import Reading, writing
from crm_airflow.web.settings import store
from crm_airflow.web.settings_form import entered, entries, names_of
from crm_airflow.web.settings_words import FIRST
from crm_sync.decide.setup import STEP_OF, STEPS, Facts, Stage, Work, stage_of
from crm_sync.errors import Misconfigured
from crm_sync.ledger import overview, settings_history
from crm_sync.ledger import setup as ledger
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.overview import Overview, Progress
from crm_sync.ledger.preflight import newest
from crm_sync.ledger.setup import ProvisionRun
from crm_sync.preflight_report import PreflightReport

__all__ = ["SetUp", "look", "router"]

SETUP: Final = "/connections/{connection_id}/setup"
AT_WORK: Final = frozenset({"queued", "running"})
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SetUp:
    """Everything that the page shows of one set-up."""

    stage: Stage
    view: Overview
    report: PreflightReport | None
    provision: ProvisionRun | None
    progress: Progress | None


def look(tx: Transaction, airflow: Airflow, connection_id: str) -> SetUp:
    """How far a set-up has come: by the ledger, and by Airflow where something was asked for and has not begun."""
    view = overview.overview(tx, connection_id)
    connected = view.credential.generation > 0 and view.credential.state == "good"
    if view.connection.provisioned_at is not None:
        run = view.last_run
        facts = Facts(
            connected,
            known=True,
            check="good",
            plan="good",
            provision="good",
            provisioned=True,
            sync=_sync_work(view),
        )
        progress = overview.progress(tx, connection_id, run.run_id) if run else None
        return SetUp(stage_of(facts), view, None, None, progress)
    known, check = airflow.newest_run(preflight_dag(connection_id))
    _, provision = airflow.newest_run(provision_dag(connection_id))
    report, done = newest(tx, connection_id), ledger.newest_provision(tx, connection_id)
    plan, made = _provision_works(provision, done)
    facts = Facts(connected, known, _check_work(check, report), plan, made, provisioned=False, sync="none")
    return SetUp(stage_of(facts), view, report, done, None)


def _check_work(asked: dict[str, Any] | None, report: PreflightReport | None) -> Work:
    if asked and asked["state"] in AT_WORK:
        return "under_way"
    if report:
        return "good" if report.possible else "failed"
    return "failed" if asked else "none"


def _provision_works(asked: dict[str, Any] | None, done: ProvisionRun | None) -> tuple[Work, Work]:
    """What became of the newest plan, and of the newest provisioning."""
    if asked is None or (asked["conf"] or {}).get("remove"):
        return "none", "none"
    mine = done if done and done.dag_run_id == asked["dag_run_id"] else None
    ended = mine is not None and mine.state != "running"
    if asked["state"] in AT_WORK and not ended:
        work: Work = "under_way"
    else:
        work = "good" if mine and mine.state == "succeeded" else "failed"
    return (work, "none") if (asked["conf"] or {}).get("dry_run") else ("good", work)


def _sync_work(view: Overview) -> Work:
    run = view.last_run
    if run is None:
        return "none"
    if run.state == "running":
        return "under_way"
    return "good" if run.state in {"succeeded", "succeeded_with_parked"} else "failed"


@router.get(SETUP, dependencies=READ)
def show(
    request: Request, connection_id: ConnectionName, tx: Reading, airflow: AirflowUser, user: GetUserDep
) -> HTMLResponse:
    """The step that the set-up has come to."""
    found = look(tx, airflow, connection_id)
    step = STEP_OF[found.stage]
    return page(
        request, "setup.html", name=connection_id, found=found, step=step, steps=STEPS,
        order=list(STEPS), changes=may_change(connection_id, user), mark=settings_history.mark(found.view.connection.settings),
        entries=entries(found.view.connection.settings.model_dump(mode="json"), FIRST.settings),
        dags={"check": preflight_dag(connection_id), "provision": provision_dag(connection_id), "sync": sync_dag(connection_id)},
    )  # fmt: skip


@router.post(f"{SETUP}/check", dependencies=CHANGE)
def check(request: Request, connection_id: ConnectionName, airflow: AirflowUser, once: Once = "") -> Response:
    """Check the org, or check it again."""
    acting.check(airflow, connection_id, once)
    return back(request, connection_id, "/setup")


@router.post(f"{SETUP}/settings", dependencies=CHANGE)
def choose(
    request: Request, connection_id: ConnectionName, airflow: AirflowUser, sent: Sent, once: Once = ""
) -> Response:
    """Store the settings, and have provisioning planned under them."""
    store(connection_id, entered(sent, names_of([FIRST])), sent.get("mark"), airflow.user)
    acting.plan_provisioning(airflow, connection_id, once)
    return back(request, connection_id, "/setup")


@router.post(f"{SETUP}/plan", dependencies=CHANGE)
def plan(request: Request, connection_id: ConnectionName, airflow: AirflowUser, once: Once = "") -> Response:
    """Have provisioning planned once more."""
    acting.plan_provisioning(airflow, connection_id, once)
    return back(request, connection_id, "/setup")


@router.post(f"{SETUP}/provision", dependencies=CHANGE)
def provision(
    request: Request, connection_id: ConnectionName, airflow: AirflowUser, plan: Annotated[int, Form()], once: Once = ""
) -> Response:  # fmt: skip
    """Carry out the plan that the person has seen; another one, or one under other settings, has to be looked at first."""
    with writing() as tx:
        seen = ledger.newest_provision(tx, connection_id)
        changed = settings_history.history(tx, connection_id, 1)
    if seen is None or seen.run_id != plan:
        raise Misconfigured(
            "The plan that you confirmed is not the newest one: go back and look at it again."
        )
    if any(change.at > seen.started_at for change in changed):
        raise Misconfigured(
            f"{changed[0].who} changed the settings after this plan was made: go back, press Plan again, and look at what is new."
        )
    acting.provision(airflow, connection_id, once)
    return back(request, connection_id, "/setup")
