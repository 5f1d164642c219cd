"""The report's page and its JSON through Airflow's own application: who may see it, and what a browser is told."""

from __future__ import annotations

from contextlib import closing

import pytest

from crm_sync.decide.compare import Difference, Finding
from crm_sync.decide.drift import Drift
from crm_sync.ledger import reconciliation, runs
from crm_sync.ledger.database import Database
from tests.crm_airflow.real import NAME
from tests.crm_airflow.ui import BUTTON, browser

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's application imports warns
API, PAGE = (
    f"/crm-sync/api/v1/connections/{NAME}/reconciliations",
    f"/crm-sync/connections/{NAME}/reconciliations",
)
OURS = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def run_id(hub) -> int:
    """A run that compared, with one contact that differs."""
    drift = Drift()
    drift.in_step("contact", 41)
    drift.add(
        "contact", [Finding("drifted_theirs", 1, OURS, "003A", (Difference("title", "CTO", "Secret value"),))]
    )
    with closing(Database(hub)) as database, database.transaction() as tx:
        tx.run("delete from crm_sync.reconciliation")
        made = runs.insert(tx, NAME, "reconcile", "by hand", {})
        reconciliation.keep(tx, runs.load(tx, made), drift, 0, 1.5)
    return made


def test_a_viewer_sees_the_report_and_it_is_whole_in_itself(app, run_id):
    with browser(app, "viewer") as client:
        reply = client.get(f"{PAGE}/{run_id}")
    assert reply.status_code == 200
    assert "Drifted: 1 contact differs." in reply.text
    assert "Secret value" in reply.text
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert reply.headers["Cache-Control"] == "no-store"
    assert "<script" not in reply.text


def test_all_reports_are_listed_with_their_verdicts(app, run_id):
    with browser(app, "viewer") as client:
        text = client.get(PAGE).text
    assert f'<a href="{PAGE}/{run_id}">{run_id}</a>' in text
    assert '<span class="badge bad">Drifted</span> 1 contact differs.' in text
    assert "Reconcile now" not in text


def test_the_same_as_json(app, run_id):
    with browser(app, "viewer") as client:
        one, several = client.get(f"{API}/{run_id}").json(), client.get(API).json()
    assert (one["verdict"], one["differing"], one["run"]["api_calls"]) == ("drifted", 1, 0)
    assert one["counts"] == [
        {"object": "contact", "cause": "drifted_theirs", "records": 1, "waiting": 0},
        {"object": "contact", "cause": "in_step", "records": 41, "waiting": 0},
    ]
    assert one["samples"][0]["differences"] == [{"field": "title", "ours": "CTO", "theirs": "Secret value"}]
    assert [each["run_id"] for each in several] == [run_id]
    assert "samples" not in several[0], "values of people only where one report is asked for"


def test_a_stranger_sees_nothing(app, run_id):
    with browser(app) as client:
        assert client.get(f"{PAGE}/{run_id}").status_code == 303
        assert client.get(f"{API}/{run_id}").status_code == 401


def test_what_is_not_there_is_said(app, run_id, hub):
    with closing(Database(hub)) as database, database.transaction() as tx:
        tx.run("delete from crm_sync.reconciliation")
    with browser(app, "viewer") as client:
        for path in (f"{PAGE}/999999", f"{API}/999999"):
            assert client.get(path).status_code == 404, path
        assert "Never reconciled" in client.get(PAGE).text
        assert client.post(PAGE, headers=BUTTON).status_code == 403
        assert client.get(f"{PAGE}/nonsense").status_code == 422
