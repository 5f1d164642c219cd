"""Provisioning, a first sync, an edit on either side and an idle sync, by Airflow's own runner on the real stack."""

from __future__ import annotations

import pytest

from tests.crm_airflow.real import rows, run

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
SUMMARY = """select kind, state, planned, acknowledged, parked, superseded, in_doubt, conflicts, api_calls, message
    from crm_sync.run_summary order by run_id"""


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
        dict.fromkeys(
            ("preflight", "plan_provisioning", "apply_provisioning", "verify_provisioning"), "success"
        ),
    )
    state, tasks = run("sync")
    assert (state, set(tasks.values())) == ("success", {"success"}), rows(hub, SUMMARY)
    assert len(org.query("SELECT Id FROM Contact")) == 30
    assert rows(hub, "select last_name, company from gptweb.leads") == [("O'Brien 🌍", "שלום")]
    run("sync")
    run("sync")
    last = rows(hub, SUMMARY)[-1]
    assert last[1:9] == ("succeeded", 0, 0, 0, 0, 0, 0, 1)
