"""What is planned for the sales people: literals in, steps and words out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crm_sync.decide.schema import FoundLayout, FoundSales, FoundSchema, Person
from crm_sync.decide.schema_diff import plan_schema
from crm_sync.decide.schema_steps import SchemaPlan
from tests.crm_sync.provision.orgs import WANTED, ready_org

ANN, BEN = Person("005A", "ann@sales.example"), Person("005B", "ben@sales.example")
SIX = tuple(f.name for f in WANTED if f.type == "Contact" and f.for_people)


def plan(**sales: Any) -> SchemaPlan:
    return plan_schema(WANTED, with_sales(**sales))


def with_sales(**changes: Any) -> FoundSchema:
    found = ready_org()
    return replace(found, sales=replace(found.sales, **changes))


def with_layout(*fields: str) -> FoundSchema:
    layout = FoundLayout(
        "contact", "Contact", "Contact-Contact %28Sales%29 Layout", frozenset(map(str.lower, fields))
    )
    return replace(ready_org(), layouts=(layout,))


def test_the_six_fields_of_the_guide_are_for_people_and_the_service_fields_are_not() -> None:
    assert SIX == (
        "GPTWeb_AI_Score__c",
        "GPTWeb_Is_DQL__c",
        "GPTWeb_Last_Visit__c",
        "GPTWeb_Visit_Count__c",
        "GPTWeb_Engagement_Level__c",
        "GPTWeb_Lead_Source__c",
    )


def test_the_set_shows_eighteen_fields_read_only() -> None:
    planned = plan_schema(WANTED, replace(ready_org(), sales=FoundSales()))
    assert [step.kind for step in planned.steps] == ["create_sales_set", *["show_field"] * 18]
    assert not any(step.edit for step in planned.steps if step.kind == "show_field")
    assert planned.steps[1].words == "permit read of Account.GPTWeb_AI_Score__c in GPTWeb_Insights"


def test_only_who_lacks_it_gets_the_assignment() -> None:
    planned = plan(chosen=(ANN, BEN), assigned={"005A": "0Pa1", "005Z": "0Pa2"})
    assert [step.words for step in planned.steps] == [
        "assign permission set GPTWeb_Insights to ben@sales.example"
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unknown_users": ("no@body.example",)}, "found no user 'no@body.example' in the org"),
        ({"unknown_profiles": ("Sails",)}, "found no profile 'Sails' in the org"),
    ],
)
def test_a_name_that_the_org_does_not_know_is_refused(changes: dict[str, Any], words: str) -> None:
    (refusal,) = plan(**changes).refusals
    assert words in refusal.words
    assert "take it out of the settings" in refusal.words


def test_inactive_people_get_nothing_but_a_note() -> None:
    planned = plan(chosen=(replace(ANN, active=False),))
    assert planned.steps == ()
    assert planned.notes == ("ann@sales.example of sales_users is inactive and gets no assignment.",)


def test_when_nobody_is_chosen_the_report_says_so() -> None:
    assert plan().notes[0].startswith("Nobody sees GPTWeb's fields yet")
    assert plan(assigned={"005Z": "0Pa"}).notes == ()


def test_a_layout_gets_the_fields_that_are_nowhere_on_it() -> None:
    (step,) = plan_schema(WANTED, with_layout(*SIX[2:])).steps
    assert (step.kind, step.target, step.fields) == (
        "place_fields",
        "Contact-Contact %28Sales%29 Layout",
        SIX[:2],
    )
    assert step.words == (
        "put GPTWeb_AI_Score__c, GPTWeb_Is_DQL__c into section 'GPTWeb Insights' of layout "
        "Contact-Contact (Sales) Layout"
    )
    assert plan_schema(WANTED, with_layout(*SIX)).steps == ()


def test_an_object_without_a_layout_is_noted_where_layouts_were_looked_at() -> None:
    assert (
        "Lead has no page layout that could show GPTWeb's fields." in plan_schema(WANTED, with_layout()).notes
    )
    assert not any("no page layout" in note for note in plan_schema(WANTED, ready_org()).notes)
