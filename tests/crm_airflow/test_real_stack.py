"""Provisioning, a first sync, an edit on either side and an idle sync, by Airflow's own runner on the real stack."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.crm_airflow.airflow_env import DAGS, airflow_database, airflow_home
from tests.crm_airflow.real import NAME, Org, rows, running_hub, running_org

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
SUMMARY = """select kind, state, planned, acknowledged, parked, superseded, in_doubt, conflicts, api_calls, message
    from crm_sync.run_summary order by run_id"""


@pytest.fixture(scope="module")
def org(tmp_path_factory) -> Iterator[Org]:
    with running_org(tmp_path_factory.mktemp("org") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def hub(org: Org) -> Iterator[str]:
    airflow_database()
    with running_hub(airflow_home() / "postgres") as url:
        given = {
            "CRM_SYNC_DATABASE_URL": url,
            f"AIRFLOW_CONN_{NAME.upper()}": json.dumps({"conn_type": "salesforce", "extra": org.extra()}),
        }
        os.environ |= given
        yield url
        for name in given:
            del os.environ[name]


def run(kind: str, **conf):
    """Parse the DAG files anew, run one DAG once, and return its state and those of its tasks."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS), load_op_links=False)
    assert bag.import_errors == {}
    done = bag.dags[f"crm_{kind}__{NAME}"].test(run_conf=conf or None)
    return str(done.state), {ti.task_id: str(ti.state) for ti in done.get_task_instances()}


def test_from_an_empty_org_to_silence(org, hub):
    rows(hub, "insert into gptweb.accounts (name, website) values ('Acme', 'acme.example')")
    rows(
        hub,
        "insert into gptweb.contacts (first_name, last_name, email, total_score) "
        "select 'Ann', 'No ' || n, 'ann' || n || '@acme.example', n from generate_series(1, 30) n",
    )
    org.ask(
        "POST", "/sobjects/Lead", json={"LastName": "O'Brien 🌍", "Company": "שלום", "Email": "o@b.example"}
    )
    provisioned = run("provision")
    assert provisioned == (
        "success",
        dict.fromkeys(("plan_provisioning", "apply_provisioning", "verify_provisioning"), "success"),
    )
    state, tasks = run("sync")
    assert (state, set(tasks.values())) == ("success", {"success"}), rows(hub, SUMMARY)
    print(*rows(hub, SUMMARY), sep="\n")
    assert len(org.query("SELECT Id FROM Contact")) == 30
    assert rows(hub, "select last_name, company from gptweb.leads") == [("O'Brien 🌍", "שלום")]
    run("sync")
    run("sync")
    print(*rows(hub, SUMMARY), sep="\n")
    last = rows(hub, SUMMARY)[-1]
    assert last[1:9] == ("succeeded", 0, 0, 0, 0, 0, 0, 1)
