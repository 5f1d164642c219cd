"""What changed in the CRM since provisioning made it: in words, in the report, in the trail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crm_sync.decide.schema import FoundLayout, FoundSchema, Person
from crm_sync.decide.schema_diff import plan_schema
from crm_sync.decide.schema_made import drift_of
from crm_sync.errors import Misconfigured
from crm_sync.provision import Provisioning
from tests.crm_sync.provision.orgs import (
    MAPPINGS,
    WANTED,
    MemoryLedger,
    MemoryOrg,
    new_org,
    with_field,
    without_field,
    without_grant,
)

ANN = Person("005A", "ann@sales.example")
LAYOUT = "Contact-Contact %28Sales%29 Layout"


@pytest.fixture
def stack() -> tuple[MemoryOrg, MemoryLedger]:
    """An org in which provisioning made everything that there is to make."""
    found = new_org()
    layouts = (FoundLayout("contact", "Contact", LAYOUT),)
    org = MemoryOrg(replace(found, layouts=layouts, sales=replace(found.sales, chosen=(ANN,))))
    ledger = MemoryLedger()
    stages = Provisioning("main", lambda run_id: org, MAPPINGS, ledger)
    run_id, _ = stages.plan("first")
    stages.apply(run_id)
    stages.verify(run_id)
    return org, ledger


def drift(found: FoundSchema, ledger: MemoryLedger) -> list[str]:
    drifted = drift_of(plan_schema(WANTED, found), found, ledger.made("main"))
    return [words.removeprefix("Drifted since 2026-11-22 10:00 UTC: ") for _, words in drifted]


def test_nothing_drifted_right_after(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    assert drift(org.found, ledger) == []


def test_a_deleted_field_is_one_line_whatever_went_with_it(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    name = "Contact.GPTWeb_AI_Score__c"
    found = without_grant(without_field(org.found, "Contact", "GPTWeb_AI_Score__c"), name)
    layouts = (replace(found.layouts[0], fields=found.layouts[0].fields - {"gptweb_ai_score__c"}),)
    sales = replace(found.sales, shown=found.sales.shown - {name.lower()})
    assert drift(replace(found, layouts=layouts, sales=sales), ledger) == [f"field {name} was deleted."]


def test_a_changed_type_is_told_and_refused(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    org.found = with_field(org.found, "Lead", "GPTWeb_Is_DQL__c", type="string", length=10)
    words = "field Lead.GPTWeb_Is_DQL__c is Text(10) now, it was made as Checkbox."
    assert drift(org.found, ledger) == [words]
    with pytest.raises(
        Misconfigured, match=r"Drifted since 2026-11-22 10:00 UTC: field Lead.GPTWeb_Is_DQL__c is Text"
    ):
        Provisioning("main", lambda run_id: org, MAPPINGS, ledger).plan("again", dry_run=True)


def test_each_permission_and_assignment_has_its_words(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    found = without_grant(without_grant(org.found, "lead"), "Lead.GPTWeb_Id__c")
    sales = replace(found.sales, shown=found.sales.shown - {"lead.gptweb_is_dql__c"}, assigned={})
    assert drift(replace(found, assigned=False, sales=sales), ledger) == [
        "the permission on Lead was taken out of GPTWeb_CRM_Sync.",
        "GPTWeb_CRM_Sync was taken from the integration user.",
        "the permission on Lead.GPTWeb_Id__c was taken out of GPTWeb_CRM_Sync.",
        "the permission on Lead.GPTWeb_Is_DQL__c was taken out of GPTWeb_Insights.",
        "GPTWeb_Insights was taken from ann@sales.example.",
    ]


def test_a_deleted_set_is_one_line(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    found = replace(org.found, permission_set=None, grants={}, assigned=False)
    assert drift(found, ledger) == ["permission set GPTWeb_CRM_Sync was deleted."]


def test_fields_taken_off_a_layout_are_named(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    kept = org.found.layouts[0].fields - {"gptweb_ai_score__c", "gptweb_is_dql__c"}
    found = replace(org.found, layouts=(replace(org.found.layouts[0], fields=kept),))
    assert drift(found, ledger) == [
        "GPTWeb_AI_Score__c, GPTWeb_Is_DQL__c was taken off layout Contact-Contact (Sales) Layout."
    ]


def test_an_assignment_that_is_no_longer_wanted_is_told_and_left(
    stack: tuple[MemoryOrg, MemoryLedger],
) -> None:
    org, ledger = stack
    found = replace(org.found, sales=replace(org.found.sales, chosen=()))
    (words,) = drift(found, ledger)
    assert words.startswith(
        "ann@sales.example still has GPTWeb_Insights but is no longer chosen in the settings"
    )
    assert plan_schema(WANTED, found).steps == ()
    by_hand = replace(found.sales, assigned={"005Z": "0Pz"})
    assert drift(replace(found, sales=by_hand), ledger) == [], "what others assigned is theirs"


def test_a_new_field_of_the_mapping_is_no_drift(stack: tuple[MemoryOrg, MemoryLedger]) -> None:
    org, ledger = stack
    ledger.kept = {key: made for key, made in ledger.kept.items() if made.name != "Lead.GPTWeb_Id__c"}
    found = without_grant(without_field(org.found, "Lead", "GPTWeb_Id__c"), "Lead.GPTWeb_Id__c")
    assert len(plan_schema(WANTED, found).steps) == 2
    assert drift(found, ledger) == []


def test_a_dry_run_reports_it_the_trail_keeps_it_and_provisioning_mends_it(
    stack: tuple[MemoryOrg, MemoryLedger],
) -> None:
    org, ledger = stack
    org.found = without_grant(org.found, "Lead.GPTWeb_Id__c")
    stages = Provisioning("main", lambda run_id: org, MAPPINGS, ledger)
    run_id, report = stages.plan("look", dry_run=True)
    words = "Drifted since 2026-11-22 10:00 UTC: the permission on Lead.GPTWeb_Id__c was taken out of GPTWeb_CRM_Sync."
    assert words in report.lines()
    assert report.counts["drifted"] == 1
    assert [line.detail for line in ledger.runs[run_id].lines if line.rule == "drift"] == [words]
    assert ledger.runs[run_id].counts["planned"] == 1
    run_id, _ = stages.plan("mend")
    stages.apply(run_id)
    assert drift(org.found, ledger) == []
