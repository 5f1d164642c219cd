"""Multi-select picklists: any number of values in one text, which each side puts in an order of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crm_sync.decide.mapping import FieldMapping
from crm_sync.decide.mapping_changes import MappingChanges, adjusted
from tests.crm_sync.engine.cases.office import Office
from tests.crm_sync.stores.standin import MAPPINGS

LISTED = ["Wine", "Art", "Golf", "Z, & more"]
CHOICES = FieldMapping(ours="department", theirs="Interests__c", type="choices")
LARGE = pytest.mark.parametrize("large", ["composite", "bulk"])


@pytest.fixture
def choosing(office: Office) -> Iterator[Office]:
    """The contacts' department is a multi-select picklist there, and a text with semicolons here."""
    office.mappings = adjusted(MAPPINGS, {"contact": MappingChanges(fields=(CHOICES,))})
    people = office.people
    options = [{"fullName": value, "default": False} for value in LISTED]
    field = {
        "label": "Interests", "type": "MultiselectPicklist", "visibleLines": 4,
        "valueSet": {"restricted": True, "valueSetDefinition": {"sorted": False, "value": options}},
    }  # fmt: skip
    made = people.rest(
        "POST", "/tooling/sobjects/CustomField", json={"FullName": "Contact.Interests__c", "Metadata": field}
    )
    sets = "SELECT Id FROM PermissionSet WHERE Name LIKE 'GPTWeb%' OR Profile.Name = 'System Administrator'"
    for permitted in people.rest("GET", "/query", params={"q": sets})["records"]:
        people.rest("POST", "/sobjects/FieldPermissions", json={
            "ParentId": permitted["Id"], "SobjectType": "Contact", "Field": "Contact.Interests__c",
            "PermissionsRead": True, "PermissionsEdit": True,
        })  # fmt: skip
    yield office
    people.rest("DELETE", f"/tooling/sobjects/CustomField/{made['id']}")


def edits(office: Office, their_id: str, choices: str | None) -> None:
    """Somebody there chooses."""
    office.people.rest("PATCH", f"/sobjects/Contact/{their_id}", json={"Interests__c": choices})


def chosen(office: Office, their_id: str) -> object:
    """What is chosen there."""
    (record,) = office.query(f"SELECT Interests__c FROM Contact WHERE Id = '{their_id}'")
    return record["Interests__c"]


@LARGE
def test_choices_go_both_ways_and_their_order_says_nothing(choosing: Office, large: str) -> None:
    choosing.connect(large_pushes=large)
    ours, theirs = choosing.both(department="Golf; Wine;Golf;Z, & more")
    assert chosen(choosing, theirs) == "Wine;Golf;Z, & more"
    assert choosing.run().counts["planned"] == 0
    assert choosing.value(ours, "department") == "Golf; Wine;Golf;Z, & more", "it stays as it was typed"
    choosing.edit(ours, department="Wine;Golf;Z, & more")
    assert choosing.run().counts["planned"] == 0, "another order is no edit"
    edits(choosing, theirs, "Golf;Art")
    choosing.run()
    assert choosing.value(ours, "department") == "Art;Golf"
    choosing.edit(ours, department="Wine;Art")
    choosing.run()
    assert chosen(choosing, theirs) == "Wine;Art"
    choosing.assert_silent()


@LARGE
def test_choices_are_cleared_both_ways(choosing: Office, large: str) -> None:
    choosing.connect(large_pushes=large)
    ours, theirs = choosing.both(department="Golf;Art")
    choosing.edit(ours, department=None)
    choosing.run()
    assert chosen(choosing, theirs) is None
    edits(choosing, theirs, "Art")
    choosing.run()
    edits(choosing, theirs, None)
    choosing.run()
    assert choosing.value(ours, "department") is None
    choosing.edit(ours, department=" ; ")
    assert choosing.run().counts["planned"] == 0, "no choice at all is blank"
    choosing.assert_silent()


def test_the_same_choices_on_both_sides_are_no_conflict(choosing: Office) -> None:
    ours, theirs = choosing.both(department="Art")
    choosing.edit(ours, department="Golf;Art")
    edits(choosing, theirs, "Art;Golf")
    report = choosing.run()
    assert (report.counts["planned"], report.counts["conflicts"]) == (0, 0)
    choosing.assert_silent()


def test_a_first_match_takes_the_same_choices_for_equal(choosing: Office) -> None:
    choosing.ours(email="x@example.com", department="Golf; Wine")
    edits(choosing, choosing.theirs(email="x@example.com"), "Wine;Golf")
    choosing.run()
    assert choosing.one("select count(*) from crm_sync.audit_trail where field = 'department'") == 0
    choosing.assert_silent()


@LARGE
def test_a_choice_that_is_not_on_the_list_is_parked_alone(choosing: Office, large: str) -> None:
    choosing.connect(large_pushes=large)
    ours, theirs = choosing.both(department="Art")
    choosing.edit(ours, department="Art;Chess", phone="+49 1")
    choosing.run()
    assert choosing.parked() == [("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "department")]
    assert (choosing.shown(theirs, "phone"), chosen(choosing, theirs)) == ("+49 1", "Art")
    choosing.edit(ours, department="Golf;Art")
    choosing.run()
    assert choosing.parked() == []
    choosing.assert_silent()


def test_a_reconciliation_finds_nothing(choosing: Office) -> None:
    choosing.both(department="Golf;Wine")
    choosing.run()
    run_id = choosing.open(kind="reconcile")
    choosing.stage(run_id, "compare")
    assert choosing.one("select differing from crm_sync.reconciliation where run_id = %s", run_id) == 0
