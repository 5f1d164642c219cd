"""What provisioning made, on a real Postgres: kept with its lines, added to, and found in an older trail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from crm_sync.decide.schema_made import Made
from crm_sync.errors import Misconfigured
from crm_sync.ledger import settings, snapshot
from crm_sync.ledger.database import Database
from crm_sync.ledger.provisioning import SqlProvisionLedger
from crm_sync.ledger.verify import verify
from crm_sync.provision_ledger import TrailLine

NAME = "salesforce_main"
FIELD = Made("create_field", "Lead.GPTWeb_Id__c", "Lead.GPTWeb_Id__c", ("Text(36)",))
LAYOUT = Made("place_fields", "Lead-Lead Layout", "Lead-Lead Layout", ("A__c", "B__c"))


@pytest.fixture
def database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    found = Database(database_url)
    with found.transaction() as tx:
        settings.connect(tx, NAME, "salesforce", {})
        settings.connect(tx, "other", "salesforce", {})
    yield found
    found.close()


def kept(ledger: SqlProvisionLedger, name: str = NAME) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(each.kind, each.name, each.details, each.certain) for each in ledger.made(name)]


def test_what_was_made_is_kept_per_connection_with_its_line(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    run_id = ledger.open(NAME, "first")
    ledger.record(run_id, [TrailLine("lead", "A", "create_field", "acknowledged", "done")], [FIELD, LAYOUT])
    assert kept(ledger) == [
        ("create_field", "Lead.GPTWeb_Id__c", ("Text(36)",), True),
        ("place_fields", "Lead-Lead Layout", ("A__c", "B__c"), True),
    ]
    assert kept(ledger, "other") == []
    assert len(ledger.recorded(run_id)) == 1
    assert {each.their_id for each in ledger.made(NAME)} == {None}
    ledger.record(run_id, [], [replace(FIELD, their_id="00N1")])
    assert [each.their_id for each in ledger.made(NAME) if each.name == FIELD.name] == ["00N1"]


def test_what_was_removed_is_not_kept_and_can_be_made_again(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    run_id = ledger.open(NAME, "first")
    ledger.record(run_id, [], [FIELD, LAYOUT])
    ledger.removed(
        run_id, [TrailLine("lead", "A", "undo_create_field", "acknowledged", "done")], [FIELD, LAYOUT]
    )
    assert kept(ledger) == []
    ledger.record(run_id, [], [replace(LAYOUT, details=("C__c",))])
    assert kept(ledger) == [("place_fields", "Lead-Lead Layout", ("C__c",), True)]


def test_a_removed_connection_is_not_provisioned_and_reads_everything_again(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    ledger.mark_provisioned(NAME, read_again=False)
    with database.transaction() as tx:
        tx.run(
            "insert into crm_sync.cursor (connection, object, position) values (%s, 'lead', now())", (NAME,)
        )
    ledger.mark_removed(NAME)
    with database.transaction() as tx:
        assert settings.load(tx, NAME).provisioned_at is None
        assert tx.one("select count(*) from crm_sync.cursor") == 0
    assert [entry.provisioned for entry in snapshot.read() if entry.name == NAME] == [False]


def test_a_run_that_waits_for_a_person_is_open_and_says_so(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    run_id = ledger.open(NAME, "first")
    ledger.await_approval(run_id, "3 things")
    assert ledger.running(NAME, "first") == run_id
    ledger.close(run_id, "refused", {}, "no")
    ledger.await_approval(run_id, "too late")
    with database.transaction() as tx:
        assert tx.rows("select state, message from crm_sync.run") == [("refused", "no")]


def test_made_again_it_is_there_once_and_a_layout_keeps_what_it_got_before(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    run_id = ledger.open(NAME, "first")
    ledger.record(run_id, [], [FIELD, LAYOUT])
    (first, _) = ledger.made(NAME)
    again = Made("create_field", FIELD.name, FIELD.label, ("Text(40)",), certain=False)
    more = Made("place_fields", LAYOUT.name, LAYOUT.label, ("B__c", "C__c"))
    ledger.record(run_id, [], [again, more])
    assert sorted(kept(ledger)) == [
        ("create_field", "Lead.GPTWeb_Id__c", ("Text(40)",), False),
        ("place_fields", "Lead-Lead Layout", ("A__c", "B__c", "C__c"), True),
    ]
    assert min(each.at for each in ledger.made(NAME)) > first.at


def test_a_run_that_is_not_there_keeps_nothing(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    with pytest.raises(Misconfigured, match="there is no run 999"):
        ledger.record(999, [], [FIELD])
    assert kept(ledger) == []


def test_what_the_release_before_made_is_found_in_the_trail(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    run_id = ledger.open(NAME, "older")
    said = {
        "create_permission_set": "create permission set GPTWeb_CRM_Sync",
        "create_field": "create field Lead.GPTWeb_Id__c as Text(36, external id, unique)",
        "grant_field": "permit read and edit of Lead.MailingAddress in GPTWeb_CRM_Sync",
        "grant_object": "permit read, create and edit of Lead in GPTWeb_CRM_Sync",
    }
    lines = [TrailLine("lead", "x", rule, "acknowledged", f"done: {words}") for rule, words in said.items()]
    refused = TrailLine(
        "lead", "y", "create_field", "superseded", "not taken: create field Lead.No__c as Text(1)"
    )
    ledger.record(run_id, [*lines, *lines, refused])
    with database.transaction() as tx:
        tx.run(import_module("crm_sync.ledger.migrations.versions.0004_provisioning")._CREATED[1])
    assert sorted(kept(ledger)) == [
        ("create_field", "Lead.GPTWeb_Id__c", ("Text(36, external id, unique)",), True),
        ("create_permission_set", "GPTWeb_CRM_Sync", (), True),
        ("grant_field", "Lead.MailingAddress", (), True),
        ("grant_object", "Lead", (), True),
    ]


def test_a_run_of_a_killed_process_is_sealed_when_it_is_closed(database: Database) -> None:
    ledger = SqlProvisionLedger(database)
    ledger.close(ledger.open(NAME, "before"), "succeeded", {}, "")
    killed = ledger.open(NAME, "killed")
    ledger.record(killed, [TrailLine("lead", "A", "create_field", "acknowledged", "done")])
    ledger.close(ledger.open(NAME, "again"), "succeeded", {}, "")
    report = verify(database)
    assert (report.findings, report.rows) == ([], 1)
