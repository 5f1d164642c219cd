"""Bad input, by Airflow's runner on the real stack: one clear message, in the task's log and in the run's summary."""

from __future__ import annotations

import pytest

from stack.ports import free_port
from tests.crm_airflow.real import airflow_connection, make_connection, rows, run

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns


def summary(hub: str, name: str) -> tuple[str, str, str]:
    """Kind, state and message of the connection's last run."""
    query = "select kind, state, message from crm_sync.run_summary where connection = %s order by run_id desc limit 1"
    return rows(hub, query, name)[0]


def says(capfd: pytest.CaptureFixture[str], message: str) -> None:
    """The log says it, as an error and in front of any traceback, and nothing but Airflow's own frames follows."""
    out = capfd.readouterr().out
    assert message in out
    first = out.index(message)
    assert "Traceback" not in out[:first]
    assert "/include/crm_sync/" not in out


@pytest.mark.parametrize(
    ("name", "extra", "conn_type", "message"),
    [
        (
            "none_in_airflow",
            None,
            "",
            "There is no Airflow connection 'none_in_airflow'. Make one of type salesforce",
        ),
        ("wrong_type", {}, "http", "is of type 'http'; change it to 'salesforce'"),
        ("no_secret", {"consumer_secret": ""}, "salesforce", "lacks consumer_secret"),
        (
            "wrong_secret",
            {"consumer_secret": "guessed"},
            "salesforce",
            "copy both again from the external client app",
        ),
        (
            "wrong_key",
            {"consumer_key": "guessed"},
            "salesforce",
            "copy it again from the external client app",
        ),
        (
            "plain_http",
            {"instance_url": "http://acme.my.salesforce.com"},
            "salesforce",
            "enter the address with https",
        ),
    ],
)
def test_a_connection_that_cannot_work_is_named_with_its_remedy(
    hub, org, monkeypatch, capfd, name, extra, conn_type, message
):
    make_connection(hub, name)
    if extra is not None:
        airflow_connection(monkeypatch, name, {**org.extra(), **extra}, conn_type)
    state, tasks = run("sync", name)
    assert (state, tasks["open_run"], tasks["pull"], tasks["settle"]) == (
        "failed",
        "success",
        "failed",
        "failed",
    )
    says(capfd, message)
    kind, end, said = summary(hub, name)
    assert (kind, end) == ("sync", "failed")
    assert said.startswith("pull failed: ")
    assert message in said
    assert org.client_secret not in said


@pytest.mark.parametrize("kind", ["preflight", "provision"])
def test_preflight_says_the_same_and_nothing_comes_after_it(hub, org, monkeypatch, capfd, kind):
    name = f"wrong_{kind}"
    make_connection(hub, name)
    airflow_connection(monkeypatch, name, {**org.extra(), "consumer_secret": "guessed"})
    state, tasks = run(kind, name)
    assert (state, tasks.pop("preflight")) == ("failed", "failed")
    assert {"success", "failed"}.isdisjoint(tasks.values())
    says(capfd, "copy both again from the external client app")
    ((possible, checks),) = rows(
        hub, "select possible, checks from crm_sync.preflight where connection = %s", name
    )
    assert not possible
    assert [(line["check"], line["result"]) for line in checks] == [("app", "problem")]
    assert "copy both again" in checks[0]["remedy"]
    assert rows(hub, "select 1 from crm_sync.run where connection = %s", name) == []


def test_an_org_that_cannot_be_reached_is_tried_again_and_then_named(hub, org, monkeypatch, capfd):
    make_connection(hub, "unreachable")
    airflow_connection(
        monkeypatch, "unreachable", {**org.extra(), "instance_url": f"http://127.0.0.1:{free_port()}"}
    )
    state, tasks = run("sync", "unreachable", retries=0)
    assert (state, tasks["pull"]) == ("failed", "failed")
    says(capfd, "127.0.0.1")
    assert summary(hub, "unreachable")[1] == "failed"


def test_a_database_that_cannot_be_reached_is_named_without_its_password(hub, monkeypatch, capfd):
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", f"postgresql://gptweb:hunter2@127.0.0.1:{free_port()}/gptweb")
    state, tasks = run("sync", retries=0)
    assert (state, tasks["open_run"], tasks["settle"]) == ("failed", "failed", "failed")
    out = capfd.readouterr().out
    assert "GPTWeb's database can't be reached" in out
    assert "hunter2" not in out


def test_a_database_that_is_not_named_says_what_to_set(hub, monkeypatch, capfd):
    monkeypatch.delenv("CRM_SYNC_DATABASE_URL")
    assert run("sync")[0] == "failed"
    says(capfd, "CRM_SYNC_DATABASE_URL is not set")


def test_a_database_without_the_ledger_says_how_to_make_it(hub, monkeypatch, capfd):
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", hub.rpartition("/")[0] + "/postgres")
    assert run("sync")[0] == "failed"
    says(capfd, "run python -m crm_sync migrate")


def test_a_field_that_the_database_lacks_is_in_the_summary_though_no_run_could_be_opened(hub, capfd):
    rows(hub, "alter table gptweb.leads rename column title to titel")
    try:
        state, tasks = run("sync")
    finally:
        rows(hub, "alter table gptweb.leads rename column titel to title")
    assert (state, tasks["open_run"]) == ("failed", "failed")
    says(capfd, "title")
    kind, end, said = summary(hub, "salesforce_main")
    assert (kind, end) == ("sync", "failed")
    assert "title" in said


def test_another_org_behind_the_same_name_is_refused(hub, org, monkeypatch, capfd):
    make_connection(hub, "pinned")
    rows(hub, "update crm_sync.connection set organization_id = '00D5g000000XXXXEA0' where name = 'pinned'")
    airflow_connection(monkeypatch, "pinned", org.extra())
    assert run("sync", "pinned")[0] == "failed"
    says(capfd, "Connection pinned belongs to org 00D5g000000XXXXEA0")


def test_a_connection_that_gptweb_does_not_know_lists_those_it_knows(hub):
    from crm_airflow.hooks.sync_hook import CrmSyncHook
    from crm_sync.errors import Misconfigured

    with (
        pytest.raises(Misconfigured, match=r"no connection 'typo' \(known: .*salesforce_main"),
        CrmSyncHook("typo").engine(),
    ):
        pass
