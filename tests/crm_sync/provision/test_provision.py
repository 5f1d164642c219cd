"""The stages of provisioning on an org and a ledger in memory: repeated, killed, refused, dry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from crm_sync.decide.schema_diff import plan_schema
from crm_sync.errors import Misconfigured, RetryLater, Unanswered
from crm_sync.provision import Provisioning
from tests.crm_sync.provision.orgs import (
    MAPPINGS,
    WANTED,
    Killed,
    MemoryLedger,
    MemoryOrg,
    new_org,
    ready_org,
    with_field,
    without_field,
    without_grant,
)

SMALL = without_grant(without_field(ready_org(), "Lead", "GPTWeb_Id__c"), "Lead.GPTWeb_Id__c")
"""An org that lacks one field, which takes two steps."""


def stages(org: MemoryOrg, ledger: MemoryLedger) -> Provisioning:
    return Provisioning("salesforce_main", lambda run_id: org, MAPPINGS, ledger)


def run_all(org: MemoryOrg, ledger: MemoryLedger, dag_run_id: str = "manual") -> int:
    run_id, _ = stages(org, ledger).plan(dag_run_id)
    stages(org, ledger).apply(run_id)
    stages(org, ledger).verify(run_id)
    return run_id


def adds_up(counts: Mapping[str, int]) -> bool:
    return counts["planned"] == sum(
        counts[name] for name in ("acknowledged", "parked", "superseded", "in_doubt")
    )


def test_the_first_time_creates_everything_and_lets_the_syncs_begin() -> None:
    org, ledger = MemoryOrg(new_org()), MemoryLedger()
    run = ledger.runs[run_all(org, ledger)]
    assert (run.state, run.counts["planned"], run.counts["acknowledged"]) == ("succeeded", 72, 72)
    assert ledger.provisioned == ["salesforce_main"]


def test_again_plans_nothing_and_takes_nothing() -> None:
    org, ledger = MemoryOrg(new_org()), MemoryLedger()
    run_all(org, ledger)
    before = len(org.taken)
    run = ledger.runs[run_all(org, ledger, "again")]
    assert len(org.taken) == before
    assert (run.state, run.counts["planned"], run.lines) == ("succeeded", 0, [])


def test_a_dry_run_changes_nothing_through_all_three_stages() -> None:
    org, ledger = MemoryOrg(new_org()), MemoryLedger()
    run_id, report = stages(org, ledger).plan("dry", dry_run=True)
    applied = stages(org, ledger).apply(run_id)
    verified = stages(org, ledger).verify(run_id)
    assert org.taken == []
    assert ledger.provisioned == []
    assert report.pending
    assert (applied.counts["create_field"], verified.lines()[-1]) == (
        0,
        "Dry run: nothing was verified.  API calls of this stage: 0.",
    )
    run = ledger.runs[run_id]
    assert (run.state, run.counts["planned"], run.counts["superseded"]) == ("succeeded", 72, 72)
    assert run.message == "dry run: 72 steps planned, none taken"


def test_a_refusal_changes_nothing_and_is_in_the_runs_summary() -> None:
    org, ledger = MemoryOrg(with_field(SMALL, "Contact", "GPTWeb_Id__c", type="picklist")), MemoryLedger()
    with pytest.raises(Misconfigured, match="nothing was changed"):
        stages(org, ledger).plan("refused")
    run = ledger.runs[1]
    assert org.taken == []
    assert (run.state, run.counts["planned"], run.counts["parked"]) == ("refused", 1, 1)
    assert "found picklist, wanted Text(36, external id, unique)" in run.message
    assert (run.lines[0].object, run.lines[0].field) == ("contact", "GPTWeb_Id__c")


def test_a_refusal_that_appears_between_plan_and_apply_stops_before_the_first_step() -> None:
    org, ledger = MemoryOrg(SMALL), MemoryLedger()
    run_id, _ = stages(org, ledger).plan("late")
    org.found = with_field(org.found, "Contact", "GPTWeb_Id__c", unique=False)
    with pytest.raises(Misconfigured):
        stages(org, ledger).apply(run_id)
    assert org.taken == []
    assert ledger.runs[run_id].state == "refused"
    assert adds_up(ledger.runs[run_id].counts)


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
@pytest.mark.parametrize("dies_at", range(1, 6))
def test_killed_at_any_call_the_next_try_completes_and_the_sums_add_up(dies_at: int, after: bool) -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=dies_at, after=after), MemoryLedger()
    with pytest.raises(Killed):
        run_all(org, ledger)
    org.dies_at = 0
    run = ledger.runs[run_all(org, ledger)]
    assert not plan_schema(WANTED, org.found).steps
    assert [step.key for step in org.taken].count("create_field Lead.GPTWeb_Id__c") == 1
    assert (run.state, run.counts["planned"], run.counts["acknowledged"]) == ("succeeded", 2, 2)


def test_a_step_whose_reply_was_lost_gets_its_line_from_the_next_look() -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=3, after=True), MemoryLedger()
    with pytest.raises(Killed):
        run_all(org, ledger)
    org.dies_at = 0
    run_id = run_all(org, ledger)
    (line,) = [
        n for n in ledger.runs[run_id].lines if n.rule == "create_field" and n.outcome == "acknowledged"
    ]
    assert line.detail.startswith("found done; the reply to an earlier attempt was lost")
    assert (line.object, line.field) == ("lead", "GPTWeb_Id__c")


def test_an_unanswered_step_is_looked_at_again_at_once() -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=3, after=True, error=Unanswered("time-out")), MemoryLedger()
    assert ledger.runs[run_all(org, ledger)].counts["acknowledged"] == 2


def test_an_error_that_may_pass_leaves_the_run_open_for_the_next_try() -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=2, error=RetryLater("busy")), MemoryLedger()
    with pytest.raises(RetryLater):
        run_all(org, ledger)
    assert ledger.runs[1].state == "running"
    assert run_all(org, ledger) == 1
    assert ledger.runs[1].state == "succeeded"


def test_giving_up_closes_the_open_run_with_the_message_and_only_that() -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=2, error=RetryLater("busy")), MemoryLedger()
    with pytest.raises(RetryLater):
        run_all(org, ledger)
    stages(org, ledger).give_up("manual", "the org can't be reached")
    stages(org, ledger).give_up("manual", "said twice")
    run = ledger.runs[1]
    assert (run.state, run.message, run.counts["superseded"]) == ("failed", "the org can't be reached", 2)
    assert adds_up(run.counts)


def test_verify_says_which_field_the_integration_user_can_not_use() -> None:
    org, ledger = MemoryOrg(ready_org()), MemoryLedger()
    run_id, _ = stages(org, ledger).plan("muted")
    org.found = with_field(org.found, "Lead", "City", updateable=False)
    with pytest.raises(Misconfigured, match=r"Lead\.City is read-only"):
        stages(org, ledger).verify(run_id)
    assert ledger.provisioned == []
    assert ledger.runs[run_id].state == "failed"


def test_the_trail_says_what_was_made() -> None:
    org, ledger = MemoryOrg(SMALL), MemoryLedger()
    run = ledger.runs[run_all(org, ledger)]
    created = next(
        line for line in run.lines if line.rule == "create_field" and line.outcome == "acknowledged"
    )
    assert created.after == {
        "type": "Text",
        "label": "GPTWeb Id",
        "length": 36,
        "external_id": True,
        "unique": True,
    }
    assert (created.before, created.their_id) == (None, "id")
    measure = plan_schema(WANTED, new_org())
    assert {s.column for s in measure.steps if s.kind == "create_field"} >= {
        "total_score",
        "is_dql",
        "GPTWeb_Id__c",
    }


def test_the_report_is_a_table_that_lines_up() -> None:
    org, ledger = MemoryOrg(replace(SMALL, assigned=False)), MemoryLedger()
    _, report = stages(org, ledger).plan("report")
    lines = report.lines()
    assert lines[0] == "Provisioning of salesforce_main: plan"
    assert lines[1].split() == ["WHAT", "TYPE", "STATE"]
    column = lines[1].index("STATE")
    assert lines[2][column:] == "to assign"
    (field,) = [line for line in lines if line.startswith("Lead.GPTWeb_Id__c")]
    assert field[column:] == "to create, to permit"
    assert lines[-1] == "3 steps planned.  API calls of this stage: 1."


def test_the_counts_are_plain_numbers() -> None:
    org, ledger = MemoryOrg(SMALL), MemoryLedger()
    run_id, _ = stages(org, ledger).plan("counts")
    assert stages(org, ledger).apply(run_id).counts == {
        "create_permission_set": 0,
        "create_sales_set": 0,
        "grant_object": 0,
        "assign": 0,
        "create_field": 1,
        "grant_field": 1,
        "show_field": 0,
        "assign_user": 0,
        "place_fields": 0,
        "fields_wanted": len(WANTED),
        "drifted": 0,
        "api_calls": 4,
    }


def test_a_field_that_was_made_anew_lets_the_next_sync_read_everything_once_more() -> None:
    org, ledger = MemoryOrg(SMALL), MemoryLedger()
    run_all(org, ledger)
    run_all(org, ledger, "again")
    assert ledger.provisioned == ["salesforce_main"] * 2
    assert ledger.read_again == ["salesforce_main"]


def test_what_was_made_is_kept_also_when_the_reply_was_lost() -> None:
    org, ledger = MemoryOrg(SMALL, dies_at=3, after=True), MemoryLedger()
    with pytest.raises(Killed):
        run_all(org, ledger)
    org.dies_at = 0
    run_all(org, ledger)
    kept = {(each.kind, each.name): (each.certain, each.details) for each in ledger.made("salesforce_main")}
    assert kept == {
        ("create_field", "Lead.GPTWeb_Id__c"): (False, ("Text(36, external id, unique)",)),
        ("grant_field", "Lead.GPTWeb_Id__c"): (True, ()),
    }


def test_what_was_there_before_is_not_kept() -> None:
    ledger = MemoryLedger()
    run_all(MemoryOrg(ready_org()), ledger)
    assert ledger.made("salesforce_main") == []
