"""Every class of difference between the wanted schema and the org's, with literals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from crm_sync.decide.schema import FoundSchema, Grant
from crm_sync.decide.schema_diff import access_problems, plan_schema
from crm_sync.decide.schema_steps import SchemaPlan
from crm_sync.errors import Misconfigured
from tests.crm_sync.provision.orgs import (
    MAPPINGS,
    WANTED,
    new_org,
    ready_org,
    with_field,
    without_field,
    without_grant,
)


def plan(found: FoundSchema) -> SchemaPlan:
    return plan_schema(WANTED, found)


def keys(found: FoundSchema) -> list[str]:
    return [step.key for step in plan(found).steps]


def refusal(found: FoundSchema) -> str:
    (only,) = plan(found).refusals
    return only.words


def test_a_new_org_gets_eight_fields_on_each_object_and_the_permissions_on_them() -> None:
    counts = plan(new_org()).counts
    assert counts == {
        "create_permission_set": 1,
        "create_sales_set": 1,
        "grant_object": 3,
        "assign": 1,
        "create_field": 24,
        "grant_field": 24,
        "show_field": 18,
        "assign_user": 0,
        "place_fields": 0,
        "refused": 0,
    }


def test_the_fields_are_those_of_the_guide() -> None:
    words = [
        step.words for step in plan(new_org()).steps if step.kind == "create_field" and step.type == "Lead"
    ]
    assert words == [
        "create field Lead.GPTWeb_AI_Score__c as Number(18, 2)",
        "create field Lead.GPTWeb_Engagement_Level__c as Text(255)",
        "create field Lead.GPTWeb_Id__c as Text(36, external id, unique)",
        "create field Lead.GPTWeb_Is_DQL__c as Checkbox",
        "create field Lead.GPTWeb_Last_Visit__c as DateTime",
        "create field Lead.GPTWeb_Lead_Source__c as Text(255)",
        "create field Lead.GPTWeb_Sync_Marker__c as Text(36)",
        "create field Lead.GPTWeb_Visit_Count__c as Number(18, 0)",
    ]


def test_steps_go_in_the_order_in_which_they_can_be_taken() -> None:
    kinds = [step.kind for step in plan(new_org()).steps]
    order = [
        "create_permission_set",
        "create_sales_set",
        "grant_object",
        "assign",
        "create_field",
        "grant_field",
    ]
    assert kinds == sorted(kinds, key=[*order, "show_field"].index)
    assert [s.type for s in plan(new_org()).steps if s.kind == "grant_object"] == [
        "Account",
        "Contact",
        "Lead",
    ]


def test_an_org_that_has_everything_gets_an_empty_plan() -> None:
    assert plan(ready_org()) == SchemaPlan()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            replace(ready_org(), permission_set=None, assigned=False),
            ["create_permission_set", "assign 005000000000001AAA"],
        ),
        (replace(ready_org(), assigned=False), ["assign 005000000000001AAA"]),
        (without_grant(ready_org(), "lead"), ["grant_object Lead"]),
        (without_grant(ready_org(), "Lead.GPTWeb_Id__c"), ["grant_field Lead.GPTWeb_Id__c"]),
        (
            without_grant(without_field(ready_org(), "Lead", "GPTWeb_Id__c"), "Lead.GPTWeb_Id__c"),
            ["create_field Lead.GPTWeb_Id__c", "grant_field Lead.GPTWeb_Id__c"],
        ),
    ],
)
def test_only_what_is_missing_is_planned(found: FoundSchema, expected: list[str]) -> None:
    assert keys(found) == expected


def test_a_row_that_permits_too_little_is_changed_not_made_twice() -> None:
    found = ready_org()
    grants = {**found.grants, "lead": Grant("110A", frozenset({"read"}))}
    (step,) = plan(replace(found, grants=grants)).steps
    assert (step.kind, step.row_id) == ("grant_object", "110A")


def test_a_field_that_exists_but_is_hidden_is_permitted_not_created() -> None:
    found = without_grant(ready_org(), "Contact.GPTWeb_AI_Score__c")
    found = with_field(
        found, "Contact", "GPTWeb_AI_Score__c", visible=False, createable=False, updateable=False
    )
    assert keys(found) == ["grant_field Contact.GPTWeb_AI_Score__c"]


@pytest.mark.parametrize(
    ("name", "changes", "found", "wanted", "remedy"),
    [
        ("GPTWeb_AI_Score__c", {"type": "string", "length": 80}, "Text(80)", "Number(18, 2)", "rename or delete"),
        ("GPTWeb_AI_Score__c", {"precision": 18, "scale": 0}, "Number(18, 0)", "Number(18, 2)", "at least this wide"),
        ("GPTWeb_AI_Score__c", {"precision": 5}, "Number(5, 2)", "Number(18, 2)", "at least this wide"),
        ("GPTWeb_AI_Score__c", {"type": "currency"}, "currency", "Number(18, 2)", "rename or delete"),
        ("GPTWeb_AI_Score__c", {"calculated": True}, "Number(18, 2) (formula)", "Number(18, 2)", "rename or delete"),
        ("GPTWeb_Is_DQL__c", {"type": "picklist"}, "picklist", "Checkbox", "rename or delete"),
        ("GPTWeb_Last_Visit__c", {"type": "date"}, "date", "DateTime", "rename or delete"),
        ("GPTWeb_Id__c", {"length": 18}, "Text(18, external id, unique)", "Text(36, external id, unique)", "wide"),
        ("GPTWeb_Id__c", {"external_id": False}, "Text(36, unique)", "Text(36, external id, unique)", "tick External ID"),
        ("GPTWeb_Id__c", {"unique": False}, "Text(36, external id)", "Text(36, external id, unique)", "and Unique"),
    ],
)  # fmt: skip
def test_what_exists_as_something_else_is_refused_in_plain_words(
    name: str, changes: dict[str, object], found: str, wanted: str, remedy: str
) -> None:
    words = refusal(with_field(ready_org(), "Contact", name, **changes))
    assert words.startswith(
        f"Contact.{name}: found {found}, wanted {wanted}. In Setup → Object Manager → Contact"
    )
    assert remedy in words
    assert "run provisioning again" in words


def test_a_hidden_field_of_another_type_is_refused_too() -> None:
    found = with_field(ready_org(), "Lead", "GPTWeb_Is_DQL__c", type="string", length=10, visible=False)
    assert refusal(found).startswith("Lead.GPTWeb_Is_DQL__c: found Text(10), wanted Checkbox")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("GPTWeb_Sync_Marker__c", {"length": 255, "unique": True}),
        ("GPTWeb_Visit_Count__c", {"scale": 0, "precision": 18, "external_id": True}),
        ("GPTWeb_Engagement_Level__c", {"external_id": True}),
    ],
)
def test_wider_than_wanted_is_fine(name: str, changes: dict[str, object]) -> None:
    assert not plan(with_field(ready_org(), "Account", name, **changes)).refusals


def test_names_know_no_case() -> None:
    found = ready_org()
    renamed = with_field(found, "Lead", "gptweb_id__C", name="GPTWEB_Id__c")
    assert plan(renamed) == SchemaPlan()


def test_a_standard_field_that_is_hidden_is_permitted() -> None:
    assert keys(without_field(ready_org(), "Contact", "Department")) == ["grant_field Contact.Department"]


def test_a_standard_field_that_is_read_only_is_permitted() -> None:
    found = with_field(ready_org(), "Account", "Industry", updateable=False)
    assert keys(found) == ["grant_field Account.Industry"]


@pytest.mark.parametrize(
    ("type_", "parts", "whole"),
    [
        ("Contact", ("MailingStreet", "MailingCity"), "MailingAddress"),
        ("Account", ("BillingState",), "BillingAddress"),
        ("Lead", ("Street", "PostalCode", "Country"), "Address"),
    ],
)
def test_the_parts_of_an_address_are_permitted_together(
    type_: str, parts: tuple[str, ...], whole: str
) -> None:
    found = ready_org()
    for part in parts:
        found = without_field(found, type_, part)
    assert keys(found) == [f"grant_field {type_}.{whole}"]


def test_a_field_that_everybody_sees_but_is_not_there_is_refused() -> None:
    assert "Lead.Company: found no such field" in refusal(without_field(ready_org(), "Lead", "Company"))


def test_a_read_only_field_that_no_permission_opens_is_refused() -> None:
    found = with_field(
        ready_org(), "Lead", "Status", permissionable=False, updateable=False, createable=False
    )
    assert "set `direction: in` in the mapping file" in refusal(found)


def test_a_mapped_custom_field_that_is_not_there_is_refused() -> None:
    wanted = tuple(replace(f, name="Fax_Number__c") if f.name == "MobilePhone" else f for f in WANTED)
    (only,) = plan_schema(wanted, ready_org()).refusals
    assert "give its block a `create:`" in only.words


def test_a_mapping_of_the_wrong_type_is_refused() -> None:
    found = with_field(ready_org(), "Account", "NumberOfEmployees", type="string")
    assert "Correct `type:` or `theirs:`" in refusal(found)


def test_a_multi_select_picklist_is_mapped_as_choices() -> None:
    """As a text its order would count, and the org keeps an order of its own."""
    found = with_field(ready_org(), "Account", "Industry", type="multipicklist")
    assert "a field that carries text" in refusal(found)


def test_an_object_that_the_user_does_not_see_is_refused_alone() -> None:
    found = ready_org()
    fields = {k: f for k, f in found.fields.items() if k[0] != "lead"}
    words = refusal(replace(found, types=found.types - {"lead"}, fields=fields))
    assert words.startswith("Lead: found no such object for the integration user")


def test_a_user_that_may_not_create_fields_is_refused_before_anything_is_tried() -> None:
    words = refusal(replace(new_org(), may_create_fields=False))
    assert "'Customize Application'" in words
    assert "Setup → Profiles" in words
    assert not plan(replace(ready_org(), may_create_fields=False)).refusals


def test_all_refusals_are_raised_at_once() -> None:
    found = with_field(ready_org(), "Lead", "GPTWeb_Is_DQL__c", type="string")
    found = with_field(found, "Contact", "GPTWeb_Id__c", unique=False)
    with pytest.raises(Misconfigured) as caught:
        plan(found).raise_if_refused()
    assert str(caught.value).startswith(
        "Provisioning is refused, nothing was changed:\n- Contact.GPTWeb_Id__c"
    )
    assert "\n- Lead.GPTWeb_Is_DQL__c" in str(caught.value)


def test_the_plan_is_a_value() -> None:
    one, other = plan(new_org()), plan_schema(tuple(reversed(WANTED)), new_org())
    assert one == other
    assert hash(one) == hash(other)
    assert one.digest == other.digest
    assert one.digest != plan(replace(new_org(), assigned=True)).digest
    assert json.loads(json.dumps(one.as_json()))["steps"][0]["kind"] == "create_permission_set"
    assert list(one.lines()) == [*(step.words for step in one.steps), *one.notes]


def test_access_problems_name_the_field_and_what_is_wrong() -> None:
    found = with_field(without_field(ready_org(), "Lead", "City"), "Account", "Phone", createable=False)
    assert access_problems(WANTED, found.fields) == (
        "Account.Phone is read-only for the integration user",
        "Lead.City is not visible to the integration user",
    )


def test_every_mapped_field_is_wanted() -> None:
    assert len(WANTED) == sum(len(mapping.fields) + 2 for mapping in MAPPINGS.values())
