"""Taking provisioning back: the plan from literals, the approval, and an org over a socket that is as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from requests import Response

from crm_sync.access.login import Session
from crm_sync.decide.schema import Choices
from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_removal import FoundOurs, RemovalPlan, plan_removal
from crm_sync.errors import Misconfigured, RetryLater, Unanswered
from crm_sync.provision_removal import Removal
from crm_sync.stores.salesforce_removal import SalesforceRemoval
from tests.crm_sync.provision.orgs import Killed
from tests.crm_sync.provision.stack import Breaking, FixedLogin, Stack
from tests.crm_sync.provision.standin import start

FIELD = Made("create_field", "Lead.A__c", "Lead.A__c", ("Text(36)",))
LAYOUT = Made("place_fields", "Lead-Lead %28Sales%29 Layout", "Lead-Lead (Sales) Layout", ("A__c", "B__c"))
MAIN = Made("create_permission_set", "GPTWeb_CRM_Sync", "GPTWeb_CRM_Sync")
OURSELVES = Made("assign", "005I", "005I")
SALES = Made("create_sales_set", "GPTWeb_Insights", "GPTWeb_Insights")
ANN = Made("assign_user", "005A", "ann@sales.example")
SHOWN = Made("show_field", "Lead.A__c", "Lead.A__c")
ALL = (FIELD, LAYOUT, MAIN, OURSELVES, SALES, ANN, SHOWN)
THERE = FoundOurs(
    fields={"Lead.A__c": "00N1"},
    values={"Lead.A__c": 1203},
    sets={"GPTWeb_CRM_Sync": "0PS1", "GPTWeb_Insights": "0PS2"},
    assignments={"GPTWeb_CRM_Sync": {"005I": "0Pa1"}, "GPTWeb_Insights": {"005A": "0Pa2"}},
    layouts={LAYOUT.name: ("a__C", "Own__c")},
)


def words(plan: RemovalPlan) -> list[str]:
    return list(plan.lines())


def test_the_list_goes_from_what_people_see_to_our_own_permissions() -> None:
    assert words(plan_removal(ALL, THERE)) == [
        "take A__c out of section 'GPTWeb Insights' of layout Lead-Lead (Sales) Layout",
        "take permission set GPTWeb_Insights from ann@sales.example",
        "delete permission set GPTWeb_Insights",
        "delete field Lead.A__c; WARNING: 1,203 records hold a value in it, which is lost",
        "take permission set GPTWeb_CRM_Sync from the integration user",
        "delete permission set GPTWeb_CRM_Sync",
    ]
    assert plan_removal(ALL[::-1], THERE) == plan_removal(ALL, THERE)


def test_what_is_not_kept_as_made_is_never_in_it() -> None:
    assert words(plan_removal((SHOWN, ANN), THERE)) == [
        "take permission set GPTWeb_Insights from ann@sales.example"
    ]
    assert plan_removal((), THERE) == RemovalPlan()
    assert plan_removal(ALL, FoundOurs()) == RemovalPlan()


def test_a_set_that_others_gave_to_people_stays() -> None:
    held = {**THERE.assignments, "GPTWeb_Insights": {"005A": "0Pa2", "005Z": "0Pa3"}}
    listed = words(plan_removal(ALL, replace(THERE, assignments=held)))
    assert "delete permission set GPTWeb_Insights" not in listed
    assert listed[-1].startswith("stays: permission set GPTWeb_Insights, which others gave to 1 users")
    assert "take permission set GPTWeb_Insights from ann@sales.example" in listed


@pytest.mark.parametrize(
    ("made", "found", "said"),
    [
        (FIELD, replace(THERE, fields={FIELD.name: "00N00000000001B"}), "field Lead.A__c"),
        (SALES, FoundOurs(sets={SALES.name: "0PS00000000001B"}), "permission set GPTWeb_Insights"),
        (
            ANN,
            replace(THERE, assignments={"GPTWeb_Insights": {"005A": "0Pa00000000001B"}}),
            "the assignment of GPTWeb_Insights to ann@sales.example",
        ),
    ],
)
def test_what_somebody_made_anew_under_the_same_name_is_theirs(
    made: Made, found: FoundOurs, said: str
) -> None:
    ours = replace(made, their_id="00A00000000001AAAA")
    assert words(plan_removal((ours,), found)) == [f"stays: {said}, which somebody else made anew"]
    id_ = {**found.fields, **found.sets, **found.assignments.get("GPTWeb_Insights", {})}
    same = next(value for value in id_.values() if value.endswith("1B"))
    assert plan_removal((replace(made, their_id=f"{same}AAA"),), found).steps


@pytest.mark.parametrize(
    ("count", "certain", "expected"),
    [
        (0, True, "delete field Lead.A__c"),
        (
            None,
            True,
            "delete field Lead.A__c; WARNING: whether records hold values in it could not be counted",
        ),
        (
            0,
            False,
            "delete field Lead.A__c; the reply to its creation was lost, so it may be somebody else's",
        ),
    ],
)
def test_what_is_lost_or_doubtful_is_said(count: int | None, certain: bool, expected: str) -> None:
    plan = plan_removal((replace(FIELD, certain=certain),), replace(THERE, values={"Lead.A__c": count}))
    assert words(plan) == [expected]


def test_the_digest_is_that_of_the_list_not_of_what_the_fields_hold() -> None:
    plan = plan_removal(ALL, THERE)
    assert plan.digest == plan_removal(ALL, replace(THERE, values={"Lead.A__c": 0})).digest
    assert plan.digest != plan_removal(ALL[1:], THERE).digest
    assert plan.digest != plan_removal(ALL, replace(THERE, layouts={LAYOUT.name: ("A__c", "B__c")})).digest


# ---------------------------------------------------------------------------------------- over a socket


@pytest.fixture
def stack() -> Iterator[Stack]:
    with start() as standin:
        yield Stack(standin, choices=Choices(sales_profiles=("Standard User",), layouts=True))


def removal(stack: Stack, transport: Breaking | None = None) -> Removal:
    org = SalesforceRemoval(transport or stack.transport())
    return Removal("salesforce_main", lambda run_id: org, stack.ledger)


def remove(stack: Stack, transport: Breaking | None = None) -> int:
    run_id, _ = removal(stack).plan("removal")
    removal(stack, transport).apply(run_id, request_of(stack, run_id), "Ann")
    return run_id


def request_of(stack: Stack, run_id: int) -> str:
    request = removal(stack).request(run_id)
    assert request
    return request.digest


def whole(stack: Stack) -> tuple[object, ...]:
    layouts = stack.standin.layouts()
    return stack.standin.state(), {name: stack.standin.spelled(tree) for name, tree in layouts.items()}


def test_everything_that_was_made_goes_and_nothing_else(stack: Stack) -> None:
    metadata = {"type": "Number", "precision": 18, "scale": 2}
    stack.standin.add_field("Lead.GPTWeb_AI_Score__c", metadata, visible=True)
    stack.standin.add_field("Contact.Theirs__c", {"type": "Text", "length": 9}, visible=True)
    before = whole(stack)
    stack.run()
    lead = stack.standin.ask("POST", "/sobjects/Contact", json={"LastName": "A", "GPTWeb_Visit_Count__c": 3})
    run_id, report = removal(stack).plan("removal")
    said = report.lines()
    assert any(
        line
        == "delete field Contact.GPTWeb_Visit_Count__c; WARNING: 1 records hold a value in it, which is lost"
        for line in said
    ), said
    assert not any("Lead.GPTWeb_AI_Score__c" in line or "Theirs__c" in line for line in said)
    request = removal(stack).request(run_id)
    assert request
    assert request.digest in request.markdown
    done = removal(stack).apply(run_id, request.digest, "Ann")
    assert whole(stack) == before
    run = stack.ledger.runs[run_id]
    assert (run.state, run.counts["acknowledged"]) == ("succeeded", done.counts["removed"])
    assert run.counts["planned"] == run.counts["acknowledged"]
    assert stack.ledger.made("salesforce_main") == []
    assert stack.ledger.provisioned == []
    assert stack.standin.ask("GET", f"/sobjects/Contact/{lead['id']}")["LastName"] == "A"


def test_without_approval_or_with_that_of_another_list_it_ends_as_refused(stack: Stack) -> None:
    stack.run()
    before = whole(stack)
    for approved, said in (
        ("", "was not approved by Ann"),
        ("123456789abc", "approved was plan 123456789abc"),
    ):
        run_id, _ = removal(stack).plan(f"removal {approved}")
        removal(stack).apply(run_id, approved, "Ann")
        run = stack.ledger.runs[run_id]
        assert (run.state, run.counts["acknowledged"]) == ("refused", 0)
        assert said in run.message
        ended = removal(stack).apply(run_id, request_of(stack, run_id), "Ann")
        assert ended.counts["removed"] == 0, "an answer that is changed later is too late"
        assert stack.ledger.runs[run_id].state == "refused"
    assert whole(stack) == before
    assert stack.ledger.provisioned == ["salesforce_main"]


def test_what_came_after_the_approval_is_not_touched(stack: Stack) -> None:
    stack.choices = Choices(layouts=True)
    stack.run()
    run_id, _ = removal(stack).plan("removal")
    request = removal(stack).request(run_id)
    assert request
    anna = stack.standin.query("SELECT Id FROM User WHERE Username = 'anna.sales@example.com'")[0]["Id"]
    insights = stack.standin.query("SELECT Id FROM PermissionSet WHERE Name = 'GPTWeb_Insights'")[0]["Id"]
    given = {"AssigneeId": anna, "PermissionSetId": insights}
    stack.standin.ask("POST", "/sobjects/PermissionSetAssignment", json=given)
    report = removal(stack).apply(run_id, request.digest, "Ann")
    assert any(line.startswith("stays: permission set GPTWeb_Insights") for line in report.lines())
    held = "SELECT Id FROM PermissionSetAssignment WHERE PermissionSet.Name = 'GPTWeb_Insights'"
    assert len(stack.standin.query(held)) == 1
    assert ("create_sales_set", "GPTWeb_Insights") in {each.key for each in stack.ledger.made("")}
    assert stack.standin.custom_fields() == []


def test_a_field_that_an_administrator_made_anew_stays(stack: Stack) -> None:
    stack.choices = Choices()
    stack.run()
    name = "Lead.GPTWeb_Lead_Source__c"
    rows = stack.standin.custom_fields()
    (id_,) = [
        r["Id"] for r in rows if (r["TableEnumOrId"], r["DeveloperName"]) == ("Lead", "GPTWeb_Lead_Source")
    ]
    stack.standin.ask("DELETE", f"/tooling/sobjects/CustomField/{id_}")
    stack.standin.add_field(name, {"type": "Text", "length": 255}, visible=True)
    remove(stack)
    assert [row["DeveloperName"] for row in stack.standin.custom_fields()] == ["GPTWeb_Lead_Source"]


def test_a_dry_run_lists_and_ends(stack: Stack) -> None:
    stack.run()
    run_id, report = removal(stack).plan("dry", dry_run=True)
    assert report.counts["planned"] > 24
    assert removal(stack).request(run_id) is None
    assert removal(stack).apply(run_id, "").counts["removed"] == 0
    assert stack.ledger.runs[run_id].state == "succeeded"
    assert stack.ledger.provisioned == ["salesforce_main"]


def test_again_there_is_nothing_to_remove_and_provisioning_makes_it_all_anew(stack: Stack) -> None:
    stack.run()
    run_id = remove(stack)
    again, report = removal(stack).plan("again")
    assert (report.counts["planned"], removal(stack).request(again)) == (0, None)
    stack.run()
    assert stack.ledger.provisioned == ["salesforce_main"]
    request = removal(stack).request(run_id)
    assert request
    removal(stack).apply(run_id, request.digest, "Ann")
    assert stack.ledger.provisioned == ["salesforce_main"], "an old task that is cleared takes nothing away"
    assert stack.ledger.runs[stack.run()].counts["planned"] == 0


@pytest.mark.parametrize(
    ("after", "error"),
    [(True, Killed()), (True, Unanswered("time-out"))],
    ids=["killed", "reply lost"],
)
def test_broken_behind_any_kind_of_write_the_same_stage_goes_on(
    stack: Stack, after: bool, error: BaseException
) -> None:
    before = whole(stack)
    for dies_at in (7, 9, 10, 12, 14, 15):  # layouts, assignments, set, fields, and ours
        stack.run()
        run_id, _ = removal(stack).plan(f"removal {dies_at}")
        request = removal(stack).request(run_id)
        assert request
        transport = stack.transport()
        transport.dies_at, transport.after, transport.error = dies_at, after, error
        try:
            removal(stack, transport).apply(run_id, request.digest, "Ann")
        except (Killed, Unanswered, RetryLater):
            removal(stack).apply(run_id, request.digest, "Ann")
        run = stack.ledger.runs[run_id]
        assert (run.state, run.counts["acknowledged"]) == ("succeeded", run.counts["planned"])
        assert whole(stack) == before


def test_what_salesforce_refuses_is_named_the_rest_goes_and_another_removal_takes_it(stack: Stack) -> None:
    stack.choices = Choices()
    stack.run()
    run_id, _ = removal(stack).plan("removal")

    class Refusing(Breaking):
        """One field is in use somewhere."""

        def post(self, url: Any, data: Any = None, json: Any = None, **content: Any) -> Response:
            response = super().post(url, data, json, **content)
            if b"deleteMetadata" in data:
                error = b"<errors><message>in use: Flow A</message><statusCode>DELETE_FAILED</statusCode></errors>"
                name = b"<fullName>Lead.GPTWeb_Is_DQL__c</fullName>"
                response._content = response.content.replace(
                    name + b"<success>true</success>", error + name + b"<success>false</success>"
                )
            return response

    login = FixedLogin(Session(stack.standin.integration_token(), stack.standin.url))
    refusing = Refusing(login, stack.meter, sleep=lambda seconds: None)
    with pytest.raises(
        Misconfigured, match=r"delete field Lead.GPTWeb_Is_DQL__c: in use: Flow A \[DELETE_FAILED\]"
    ):
        removal(stack, refusing).apply(run_id, request_of(stack, run_id), "Ann")
    run = stack.ledger.runs[run_id]
    assert (run.state, run.counts["superseded"]) == ("failed", 1)
    assert ("create_field", "Lead.GPTWeb_Is_DQL__c") in {made.key for made in stack.ledger.made("")}
    assert "has ended" in removal(stack).apply(run_id, request_of(stack, run_id), "Ann").lines()[1]
    assert stack.ledger.runs[run_id].state == "failed"
