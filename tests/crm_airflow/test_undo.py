"""Undo by Airflow's own runner on the real stack: shown, answered by a person, carried by the sync."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from crm_airflow.operators.undo_open_operator import UndoOpenOperator, moment_of, words_of
from crm_sync.errors import Misconfigured
from crm_sync.ledger.undo_selection import Selection
from tests.crm_airflow.real import NAME, Org, rows, run
from tests.crm_airflow.test_asking import Person

pytestmark = pytest.mark.filterwarnings("ignore")  # what Airflow's runner imports warns
FIVE = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
LAST = "select run_id, state, message from crm_sync.run_summary where kind = %s order by run_id desc limit 1"


@pytest.mark.parametrize(
    ("given", "selection"),
    [
        ({"runs": "12, 13"}, Selection("main", (12, 13))),
        ({"runs": [12], "removals": True}, Selection("main", (12,), removals=True)),
        ({"runs": 12, "fields": "title,phone"}, Selection("main", (12,), fields=("title", "phone"))),
        ({"runs": "[12, 13]", "fields": "['title']"}, Selection("main", (12, 13), fields=("title",))),
        ({"record": " 003 ", "objects": ["lead"]}, Selection("main", record="003", objects=("lead",))),
        ({"since": "2026-11-22T05:00", "until": "None"}, Selection("main", since=FIVE)),
        ({"since": "2026-11-22T14:00+09:00"}, Selection("main", since=FIVE)),
    ],
)
def test_the_form_is_read_as_people_and_templates_fill_it_in(given, selection):
    assert UndoOpenOperator(task_id="open", connection="main", **given).selection() == selection


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "say what to undo"),
        ({"runs": "a dozen"}, "no number of a run"),
        ({"since": "noon"}, "since: 'noon' is no time"),
    ],
)
def test_what_makes_no_sense_says_so(given, words):
    with pytest.raises(Misconfigured, match=words):
        UndoOpenOperator(task_id="open", connection="main", **given).selection()


def test_nothing_is_nothing():
    assert (words_of(None), words_of("None"), words_of([]), moment_of("since", "")) == ([], [], [], None)


@pytest.fixture
def edited(hub, org):
    """A title that was typed in the CRM and came here: the number of the run that brought it."""
    rows(hub, "insert into gptweb.contacts (last_name, email, title) values ('Doe', 'undo@x.example', 'n0')")
    run("provision")
    run("sync")
    run("sync")
    (contact,) = org.query("SELECT Id FROM Contact WHERE Email = 'undo@x.example'")
    org.ask("PATCH", f"/sobjects/Contact/{contact['Id']}", json={"Title": "T1"})
    run("sync")
    yield rows(hub, LAST, "sync")[0][0]
    rows(hub, "delete from gptweb.contacts where email = 'undo@x.example'")
    run("sync")


def held(hub: str, org: Org) -> tuple[str, str]:
    (ours,) = rows(hub, "select title from gptweb.contacts where email = 'undo@x.example'")
    (theirs,) = org.query("SELECT Title FROM Contact WHERE Email = 'undo@x.example'")
    return ours[0], theirs["Title"]


def test_an_undo_is_shown_rejected_approved_and_carried(edited, hub, org, monkeypatch):
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")  # as the API server has it
    what: dict[str, Any] = {"runs": str(edited), "fields": "title"}
    with Person("admin", "Reject", f"crm_undo__{NAME}") as person:
        state, tasks = run("undo", **what)
    assert (state, tasks["apply_undo"]) == ("success", "skipped")
    assert "1 values put back" in person.question["body"]
    assert "T1" not in person.question["body"]
    assert rows(hub, LAST, "undo")[0][1] == "refused"
    assert held(hub, org) == ("T1", "T1")

    with Person("admin", "Approve plan ", f"crm_undo__{NAME}"):
        state, tasks = run("undo", **what)
    assert (state, tasks["apply_undo"], tasks["sync_now"]) == ("success", "success", "skipped")
    assert held(hub, org) == ("n0", "T1")
    run("sync")
    assert held(hub, org) == ("n0", "n0")

    number, ended, _ = rows(hub, LAST, "undo")[0]
    assert ended == "succeeded"
    assert run("undo", dry_run=True, sync_now=True, runs=[number])[0] == "success"
    ((_, _, message),) = rows(hub, LAST, "undo")
    assert message == "dry run: 1 changes planned, nothing written"
    assert held(hub, org) == ("n0", "n0")


def test_an_undo_of_what_there_is_not_fails_with_what_to_do(hub, org):
    run("provision")
    state, tasks = run("undo", retries=0, runs="999999")
    assert (state, tasks["plan_undo"], tasks["apply_undo"]) == ("failed", "failed", "upstream_failed")
    ((_, ended, message),) = rows(hub, LAST, "undo")
    assert ended == "failed"
    assert f"{NAME} has no run 999999: see crm_sync.run_summary" in message
