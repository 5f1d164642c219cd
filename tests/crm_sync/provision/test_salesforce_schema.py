"""Provisioning over a socket: the stand-in org, the metered transport, and everything that may go wrong between."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from crm_sync.access.login import Session
from crm_sync.access.transport import Reply
from crm_sync.decide.schema import Choices
from crm_sync.errors import Misconfigured, RetryLater, Unanswered
from crm_sync.provision import Provisioning
from crm_sync.stores.salesforce_layouts import fields_on
from crm_sync.stores.salesforce_schema import SalesforceSchema
from tests.crm_sync.provision.orgs import MAPPINGS, WANTED, Killed
from tests.crm_sync.provision.stack import Breaking, FixedLogin, Stack
from tests.crm_sync.provision.standin import start

FIRST_TIME_CALLS, AGAIN_CALLS = 8, 3


@pytest.fixture
def stack(tmp_path: Any) -> Iterator[Stack]:
    with start() as standin:
        yield Stack(standin)


def test_the_first_time_takes_few_calls_and_again_fewer(stack: Stack) -> None:
    run_id = stack.run()
    assert stack.ledger.runs[run_id].state == "succeeded"
    assert stack.ledger.runs[run_id].counts["acknowledged"] == 72
    assert len(stack.meter.booked) == FIRST_TIME_CALLS
    stack.meter.booked.clear()
    again = stack.ledger.runs[stack.run()]
    assert (again.counts["planned"], again.lines) == (0, [])
    assert stack.meter.booked == ["provision"] * AGAIN_CALLS


def test_the_report_counts_the_calls_that_were_booked(stack: Stack) -> None:
    run_id, planned = stack.stages().plan("calls")
    applied = stack.stages().apply(run_id)
    verified = stack.stages().verify(run_id)
    calls = [report.counts["api_calls"] for report in (planned, applied, verified)]
    assert calls == [2, 5, 1]
    assert sum(calls) == len(stack.meter.booked)


def test_every_field_is_as_the_guide_says_and_usable_by_the_integration_user(stack: Stack) -> None:
    stack.run()
    for type_ in ("Account", "Contact", "Lead"):
        described = stack.standin.fields(type_)
        for wanted in (f for f in WANTED if f.type == type_):
            assert described[wanted.name]["createable"], wanted
            assert described[wanted.name]["updateable"], wanted
        score, key = described["GPTWeb_AI_Score__c"], described["GPTWeb_Id__c"]
        assert (score["type"], score["precision"], score["scale"]) == ("double", 18, 2)
        assert (key["length"], key["externalId"], key["unique"]) == (36, True, True)


def test_the_permission_set_permits_no_deletes(stack: Stack) -> None:
    stack.run()
    rows = stack.standin.query(
        "SELECT SobjectType, PermissionsRead, PermissionsCreate, PermissionsEdit, PermissionsDelete, "
        "PermissionsModifyAllRecords FROM ObjectPermissions WHERE Parent.Label = 'GPTWeb CRM Sync'"
    )
    assert sorted(row["SobjectType"] for row in rows) == ["Account", "Contact", "Lead"]
    for row in rows:
        assert [row[f"Permissions{right}"] for right in ("Read", "Create", "Edit")] == [True] * 3
        assert not row["PermissionsDelete"]
        assert not row["PermissionsModifyAllRecords"]


def test_a_dry_run_changes_nothing(stack: Stack) -> None:
    before = stack.standin.state()
    run_id, report = stack.stages().plan("dry", dry_run=True)
    stack.stages().apply(run_id)
    stack.stages().verify(run_id)
    assert stack.standin.state() == before
    assert report.counts["create_field"] == 24
    assert len(stack.meter.booked) == 2


@pytest.mark.parametrize(
    ("metadata", "visible", "found"),
    [
        ({"type": "Text", "length": 80}, True, "Text(80)"),
        ({"type": "Number", "precision": 18, "scale": 0}, True, "Number(18, 0)"),
        ({"type": "Date"}, False, "date"),
    ],
    ids=["another type", "too narrow", "another type, hidden"],
)
def test_a_field_that_is_something_else_is_refused_and_nothing_is_changed(
    stack: Stack, metadata: dict[str, object], visible: bool, found: str
) -> None:
    stack.standin.add_field("Lead.GPTWeb_AI_Score__c", metadata, visible=visible)
    before = stack.standin.state()
    with pytest.raises(Misconfigured) as caught:
        stack.run()
    assert f"Lead.GPTWeb_AI_Score__c: found {found}, wanted Number(18, 2)" in str(caught.value)
    assert stack.standin.state() == before


def test_a_hidden_field_that_will_do_is_only_permitted(stack: Stack) -> None:
    metadata = {"type": "Number", "precision": 18, "scale": 2}
    stack.standin.add_field("Lead.GPTWeb_AI_Score__c", metadata, visible=False)
    run = stack.ledger.runs[stack.run()]
    assert run.counts["planned"] == 71
    assert stack.standin.fields("Lead")["GPTWeb_AI_Score__c"]["updateable"]


@pytest.mark.parametrize("field_name", ["Contact.Department", "Account.BillingAddress"])
def test_a_hidden_standard_field_is_permitted(stack: Stack, field_name: str) -> None:
    stack.standin.hide(field_name)
    assert stack.ledger.runs[stack.run()].counts["planned"] == 73


def test_what_can_not_be_permitted_stops_it_while_nothing_is_changed(stack: Stack) -> None:
    before = stack.standin.state()
    mapping = MAPPINGS["contact"]
    fields = tuple(
        f.model_copy(update={"theirs": "Departmnt"}) if f.ours == "department" else f for f in mapping.fields
    )
    wrong = {**MAPPINGS, "contact": type(mapping)(**{**vars(mapping), "fields": fields})}
    org = SalesforceSchema(stack.transport(), sleep=lambda seconds: None)
    stages = Provisioning("salesforce_main", lambda run_id: org, wrong, stack.ledger)
    run_id, _ = stages.plan("typo")
    with pytest.raises(Misconfigured, match="correct `theirs:` of department"):
        stages.apply(run_id)
    assert stack.standin.state() == before
    assert stack.ledger.runs[run_id].state == "failed"


@pytest.mark.parametrize("after", [False, True], ids=["before it left", "reply lost"])
@pytest.mark.parametrize("error", [Killed, lambda: Unanswered("time-out")], ids=["killed", "unanswered"])
def test_broken_at_any_call_the_next_try_completes(
    stack: Stack, after: bool, error: Callable[[], BaseException]
) -> None:
    if after:  # a call that never left is the same for layouts and people as for fields
        stack.choices = Choices(sales_profiles=("Standard User",), layouts=True)
    for dies_at in itertools.count(1):
        transport = stack.transport()
        transport.dies_at, transport.after, transport.error = dies_at, after, error()
        broken = True
        try:
            stack.run(transport)
            broken = transport.calls >= dies_at
        except (Killed, Unanswered, RetryLater):
            pass
        stack.run()
        assert stack.standin.missing(WANTED) == []
        assert stack.standin.twins() == []
        placed = ["gptweb_is_dql__c" in fields_on(tree) for tree in stack.standin.layouts().values()]
        assert all(placed) if after else not any(placed)
        if not broken:
            return
        stack.standin.reset_schema()


def test_two_at_a_time_make_nothing_twice(stack: Stack) -> None:
    first, _ = stack.stages().plan("first")
    second, _ = stack.stages().plan("second")

    class Overtaken(Breaking):
        """Right before the first write of one run, the whole other run happens."""

        done = False

        def call(self, method: str, path: str, **content: Any) -> Reply:
            if content.get("writes") and not self.done:
                self.done = True
                stack.stages().apply(second)
            return super().call(method, path, **content)

    login = FixedLogin(Session(stack.standin.integration_token(), stack.standin.url))
    stack.stages(Overtaken(login, stack.meter, sleep=lambda seconds: None)).apply(first)
    stack.stages().verify(first)
    assert stack.standin.twins() == []
    counts = stack.ledger.runs[first].counts
    assert counts["planned"] == counts["acknowledged"] + counts["superseded"]


def test_a_user_without_the_right_to_create_fields_is_told_which_and_where(stack: Stack) -> None:
    stack.standin.forbid("PermissionsCustomizeApplication", "PermissionsModifyAllData")
    before = stack.standin.state()
    with pytest.raises(Misconfigured, match=r"'Customize Application'.*Setup → Profiles"):
        stack.run()
    assert stack.standin.state() == before


def test_a_new_field_that_is_not_known_at_once_is_permitted_a_moment_later(stack: Stack) -> None:
    class Lagging(Breaking):
        """The first time, no permission row knows its new field."""

        lags = True

        def call(self, method: str, path: str, **content: Any) -> Reply:
            if path.endswith("/composite/sobjects") and self.lags:
                self.lags = False
                code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
                error = {"statusCode": code, "message": "Field Name: bad value", "fields": ["Field"]}
                answer = [{"success": False, "errors": [error]} for _ in content["json"]["records"]]
                return replace(super().call("GET", "/services/data", purpose="test"), body=answer)
            return super().call(method, path, **content)

    login = FixedLogin(Session(stack.standin.integration_token(), stack.standin.url))
    transport = Lagging(login, stack.meter, sleep=lambda seconds: None)
    assert stack.ledger.runs[stack.run(transport)].counts["acknowledged"] == 72
    assert not transport.lags


def test_verify_waits_a_moment_for_what_was_just_permitted(stack: Stack) -> None:
    run_id = stack.run()
    stack.standin.hide("Contact.Department")
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        stack.standin.permit("Contact.Department")

    org = SalesforceSchema(stack.transport(), sleep=sleep)
    Provisioning("salesforce_main", lambda run_id: org, MAPPINGS, stack.ledger).verify(run_id)
    assert pauses == [1.0]


def test_verify_names_what_stays_hidden(stack: Stack) -> None:
    run_id = stack.run()
    stack.standin.hide("Contact.Department")
    with pytest.raises(Misconfigured) as caught:
        stack.stages().verify(run_id)
    assert "Contact.Department is not visible to the integration user" in str(caught.value)
    assert "No such column 'Department'" in str(caught.value)
