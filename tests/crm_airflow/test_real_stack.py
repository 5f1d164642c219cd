"""Provisioning, a first sync, an edit on either side and an idle sync, by Airflow's own runner on the real stack."""

from __future__ import annotations

import pytest

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.operators.removal_apply_operator import RemovalApplyOperator
from crm_airflow.operators.removal_approve_operator import RemovalApproveOperator
from crm_sync.ledger import snapshot
from tests.crm_airflow.real import NAME, rows, run

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
SUMMARY = """select kind, state, planned, acknowledged, parked, superseded, in_doubt, conflicts, api_calls, message
    from crm_sync.run_summary order by run_id"""

MAKING = ("preflight", "plan_provisioning", "apply_provisioning", "verify_provisioning")
TAKING = ("plan_removal", "approve_removal", "apply_removal")


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
        {**dict.fromkeys(MAKING, "success"), **dict.fromkeys(TAKING, "skipped")},
    )
    state, tasks = run("sync")
    assert (state, set(tasks.values())) == ("success", {"success"}), rows(hub, SUMMARY)
    assert len(org.query("SELECT Id FROM Contact")) == 30
    assert rows(hub, "select last_name, company from gptweb.leads") == [("O'Brien 🌍", "שלום")]
    run("sync")
    run("sync")
    last = rows(hub, SUMMARY)[-1]
    assert last[1:9] == ("succeeded", 0, 0, 0, 0, 0, 0, 1)


def test_a_reconciliation_says_what_no_sync_saw_and_heals_it_on_demand(org, hub):
    for statement in (
        "alter table gptweb.contacts disable trigger user",
        "update gptweb.contacts set title = 'Past the triggers' where email = 'ann3@acme.example'",
        "alter table gptweb.contacts enable trigger user",
    ):
        rows(hub, statement)
    title = "SELECT Title FROM Contact WHERE Email = 'ann3@acme.example'"
    healing = ("pull", "plan", "push_ours", "push_theirs")

    state, tasks = run("reconcile")
    assert (state, {tasks[task] for task in healing}) == ("success", {"skipped"}), tasks
    assert rows(hub, "select verdict, differing, waiting from crm_sync.reconciliation order by run_id") == [
        ("drifted", 1, 0)
    ]
    assert org.query(title)[0]["Title"] is None

    state, tasks = run("reconcile", heal="safe")
    assert (state, set(tasks.values())) == ("success", {"success"})
    assert org.query(title)[0]["Title"] == "Past the triggers"

    run("reconcile")
    ((verdict, headline, message),) = rows(
        hub,
        "select verdict, headline, message from crm_sync.reconciliation join crm_sync.run_summary using (run_id) "
        "order by run_id desc limit 1",
    )
    assert verdict == "in_step"
    assert headline == message
    assert headline.startswith("In step: 1 account, 30 contacts and 1 lead agree on every mapped field.")
    lanes = "select distinct lane from crm_sync.spending join crm_sync.run using (run_id) where kind = 'reconcile'"
    assert rows(hub, lanes) == [("reconcile",)]


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


def test_a_removal_takes_only_what_a_person_approved_and_ends_the_schedule(org, hub):
    run("provision")
    made = "select count(*) from crm_sync.provisioned where removed_at is null"
    (before,) = rows(hub, made)
    state, tasks = run("provision", remove=True)
    assert (state, tasks) == (
        "success",
        {**dict.fromkeys(MAKING, "skipped"), **dict.fromkeys(TAKING, "success")},
    )
    last = rows(hub, SUMMARY)[-1]
    assert last[1] == "refused"
    assert last[9].endswith("was not approved by nobody; nothing was removed")
    assert rows(hub, made) == [before]
    assert [entry.provisioned for entry in snapshot.read() if entry.name == NAME] == [True]

    where = {"connection": NAME, "task_id": "step"}
    with CrmSyncHook(NAME).removal() as removal:
        run_id, _ = removal.plan("by hand")
    approve = RemovalApproveOperator(run_id=run_id, **where)
    assert approve.prepare()
    assert approve.body
    assert "delete field Contact.GPTWeb_AI_Score__c; WARNING: 30 records hold a value in it" in approve.body
    answer = {"chosen_options": approve.options[:1], "responded_by_user": {"id": "1", "name": "Ann"}}
    counts = RemovalApplyOperator(run_id=run_id, answer=answer, **where).execute({})
    assert counts["removed"] == counts["planned"] > 30
    assert rows(hub, made) == [(0,)]
    assert [entry.provisioned for entry in snapshot.read() if entry.name == NAME] == [False]
    assert rows(hub, SUMMARY)[-1][1] == "succeeded"
    names = {field["name"] for field in org.ask("GET", "/sobjects/Contact/describe")["fields"]}
    assert not any(name.startswith("GPTWeb_") for name in names)

    run("provision")
    run("sync")
    assert rows(hub, SUMMARY)[-1][1] == "succeeded"
    (insights,) = org.query("SELECT Id FROM PermissionSet WHERE Name = 'GPTWeb_Insights'")
    (admin,) = org.query("SELECT Id FROM User WHERE Alias = 'admin'")
    given = {"AssigneeId": admin["Id"], "PermissionSetId": insights["Id"]}
    org.ask("POST", "/sobjects/PermissionSetAssignment", json=given)
    (score,) = org.query("SELECT GPTWeb_AI_Score__c FROM Contact WHERE Email = 'ann7@acme.example'")
    assert score["GPTWeb_AI_Score__c"] == 7, "what went with the fields is written anew"
