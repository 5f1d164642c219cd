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


def test_preflight_alone_leaves_its_report_and_three_booked_calls(org, hub):
    before = rows(hub, "select coalesce(max(spending_id), 0) from crm_sync.spending")[0][0]
    assert run("preflight") == ("success", {"preflight": "success"})
    ((possible, calls, checks),) = rows(
        hub,
        "select possible, (counts ->> 'api_calls')::int, checks from crm_sync.preflight "
        "where connection = 'salesforce_main' order by preflight_id desc limit 1",
    )
    assert (possible, calls) == (True, 3)
    assert {line["result"] for line in checks} <= {"ok", "warning"}
    booked = "select lane, purpose, count(*) from crm_sync.spending where spending_id > %s group by 1, 2"
    assert ("provision", "preflight", 3) in rows(hub, booked, before)
