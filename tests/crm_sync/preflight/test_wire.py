"""Answers in the shapes of the Object Reference and of recorded replies, as facts; what is refused tells why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.decide.preflight_facts import (
    Allowance,
    DuplicateRule,
    LogInPolicy,
    Organization,
    RecordRights,
    Session,
    Unknown,
    User,
    ValidationRule,
)
from crm_sync.decide.preflight_rights import RIGHTS
from crm_sync.stores import salesforce_preflight_wire as wire


def answered(body: Any, status: int = 200) -> dict[str, Any]:
    """A subrequest's result."""
    return {"httpStatusCode": status, "body": body, "httpHeaders": {}, "referenceId": "x"}


def found(*rows: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """A query's body."""
    return {"totalSize": len(rows) if total is None else total, "done": True, "records": list(rows)}


def refused(code: str, message: str, status: int = 400) -> dict[str, Any]:
    """A subrequest that was refused."""
    return answered([{"errorCode": code, "message": message}], status)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            refused(
                "INVALID_TYPE",
                "\nSELECT MasterLabel FROM DuplicateRule WHERE IsActive = true\n                         ^\n"
                "ERROR at Row:1:Column:25\nsObject type 'DuplicateRule' is not supported. If you are attempting to use a "
                "custom object, be sure to append the '__c' after the entity name.",
            ),
            "sObject type 'DuplicateRule' is not supported [INVALID_TYPE]",
        ),
        (
            refused("INSUFFICIENT_ACCESS", "insufficient access rights on object id", 403),
            "insufficient access rights on object id [INSUFFICIENT_ACCESS]",
        ),
        (answered(None, 500), "no reason given [HTTP 500]"),
    ],
)
def test_a_refused_query_tells_why_and_nothing_else(result: dict[str, Any], reason: str) -> None:
    fact = wire.fact(result, lambda body: pytest.fail("nothing is to be read"))
    assert isinstance(fact, Unknown)
    assert fact.reason == f"Salesforce does not show it to the integration user: {reason}"


@pytest.mark.parametrize(
    "body",
    [found(), found({"Username": "a"}), found({"NumSecondsValid": "soon"}), {}, None, []],
    ids=["none", "fields", "type", "empty", "null", "list"],
)
def test_an_answer_of_another_shape_is_not_known(body: Any) -> None:
    assert isinstance(wire.fact(answered(body), lambda b: wire.session(wire.only_row(b))), Unknown)


def test_rows_that_were_announced_and_did_not_come_are_not_known() -> None:
    fact = wire.fact(
        answered(found({"SobjectType": "Lead", "MasterLabel": "x"}, total=2)), wire.duplicate_rules
    )
    assert fact == Unknown("1 rows arrived of 2 announced")


def test_the_organization() -> None:
    row = {
        "attributes": {"type": "Organization"},
        "OrganizationType": "Developer Edition",
        "IsSandbox": True,
        "InstanceName": "CS420",
        "TrialExpirationDate": None,
    }
    assert wire.organization(row) == Organization("Developer Edition", sandbox=True, instance="CS420")
    ends = wire.organization({**row, "TrialExpirationDate": "2026-12-24T00:00:00.000+0000"}).trial_ends
    assert ends == datetime(2026, 12, 24, tzinfo=UTC)


def test_org_wide_defaults() -> None:
    row = {
        "DefaultAccountAccess": "Edit",
        "DefaultContactAccess": "ControlledByParent",
        "DefaultLeadAccess": None,
    }
    assert wire.sharing(row) == {"Account": "Edit", "Contact": "ControlledByParent"}


def test_the_user_also_where_its_profile_is_not_shown() -> None:
    row = {"Username": "gptweb@acme.example", "ProfileId": "00e5g000000AbCdAAK"}
    profile = {"Profile": {"Name": "GPTWeb", "UserLicense": {"Name": "Salesforce Integration"}}}
    assert wire.user(row, profile) == User("gptweb@acme.example", "GPTWeb", "Salesforce Integration")
    assert wire.user(row, Unknown("hidden")) == User("gptweb@acme.example", "not shown", "not shown")


@pytest.mark.parametrize(
    ("history", "application"),
    [
        ({"Application": "GPTWeb"}, "GPTWeb"),
        ({"Application": None}, "an app without a name"),
        (None, "an app without a name"),
    ],
)
def test_the_session(history: dict[str, Any] | None, application: str) -> None:
    row = {"NumSecondsValid": 7200, "SourceIp": "198.51.100.7", "LoginHistory": history}
    assert wire.session(row) == Session(timedelta(hours=2), "198.51.100.7", application)


def test_rights_are_named_without_their_prefix_and_all_of_the_table_are_asked_for() -> None:
    row = {**dict.fromkeys(wire.RIGHTS, False), "PermissionsApiEnabled": True, "PermissionsViewSetup": True}
    assert wire.rights(row) == {"ApiEnabled", "ViewSetup"}
    assert {f"Permissions{right.name}" for right in RIGHTS} < set(wire.RIGHTS)
    assert len(wire.RIGHTS) == len(set(wire.RIGHTS)) == 9


def test_rights_on_records_add_up_over_permission_sets() -> None:
    rows = [
        {"SobjectType": "Contact", "PermissionsViewAllRecords": True, "PermissionsModifyAllRecords": False},
        {"SobjectType": "Contact", "PermissionsViewAllRecords": False, "PermissionsModifyAllRecords": True},
        {"SobjectType": "Lead", "PermissionsViewAllRecords": False, "PermissionsModifyAllRecords": False},
    ]
    assert wire.record_rights(found(*rows)) == {"Contact": RecordRights(True, True), "Lead": RecordRights()}


def test_rules() -> None:
    duplicate = {"SobjectType": "Lead", "MasterLabel": "Standard Lead Duplicate Rule"}
    assert wire.duplicate_rules(found(duplicate)) == (DuplicateRule("Lead", "Standard Lead Duplicate Rule"),)
    rule = {"ValidationName": "Phone", "ErrorMessage": None, "EntityDefinition": {"QualifiedApiName": "Lead"}}
    assert wire.validation_rules(found(rule)) == (ValidationRule("Lead", "Phone", ""),)


@pytest.mark.parametrize(
    ("metadata", "policy"),
    [
        ({}, LogInPolicy()),
        ({"loginIpRanges": None, "loginHours": None}, LogInPolicy()),
        ({"loginIpRanges": [], "loginHours": {}}, LogInPolicy()),
        (
            {
                "loginIpRanges": [
                    {"description": None, "startAddress": "192.0.2.1", "endAddress": "192.0.2.9"}
                ]
            },
            LogInPolicy((("192.0.2.1", "192.0.2.9"),)),
        ),
        (
            {
                "loginHours": {
                    "mondayStart": 480,
                    "mondayEnd": "1080",
                    "tuesdayStart": None,
                    "tuesdayEnd": None,
                }
            },
            LogInPolicy(hours=(("Monday", "08:00", "18:00"),)),
        ),
    ],
)
def test_the_log_in_policy(metadata: dict[str, Any], policy: LogInPolicy) -> None:
    assert wire.log_in_policy({"Name": "GPTWeb", "Metadata": metadata}) == policy


def described(name: str, **attributes: Any) -> dict[str, Any]:
    """A field as describe shows it."""
    usual = {
        "type": "string", "length": 80, "precision": 0, "scale": 0, "externalId": False, "unique": False,
        "calculated": False, "autoNumber": False, "createable": True, "updateable": True, "permissionable": True,
        "nillable": True, "defaultedOnCreate": False, "picklistValues": [],
    }  # fmt: skip
    return {**usual, "name": name, **attributes}


def test_an_object_with_what_a_create_has_to_fill() -> None:
    currencies = [
        {"value": "EUR", "active": True},
        {"value": "DEM", "active": False},
        {"value": "USD", "active": True},
    ]
    facts = wire.type_facts(
        {
            "createable": True,
            "updateable": False,
            "deletable": True,
            "fields": [
                described("LastName", nillable=False),
                described("Region__c", nillable=False),
                described("OwnerId", nillable=False, defaultedOnCreate=True),
                described("CreatedDate", nillable=False, createable=False),
                described("CurrencyIsoCode", type="picklist", picklistValues=currencies),
            ],
        }
    )
    assert (facts.createable, facts.updateable, facts.deletable) == (True, False, True)
    assert facts.required == ("LastName", "Region__c")
    assert facts.currencies == ("EUR", "USD")
    assert facts.fields.keys() == {"lastname", "region__c", "ownerid", "createddate", "currencyisocode"}


def test_limits() -> None:
    body = {"DailyApiRequests": {"Max": 15_000, "Remaining": 14_998}}
    assert wire.allowance(body, "DailyApiRequests") == Allowance(15_000, 14_998)
    assert wire.allowance(body, "DataStorageMB") == Unknown("Salesforce's limits lack DataStorageMB")
