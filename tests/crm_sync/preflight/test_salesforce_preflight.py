"""Preflight over a socket: the stand-in org, spoilt in one way at a time, and the line that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from crm_sync.errors import BudgetExhausted
from crm_sync.stores.salesforce_preflight import PURPOSE
from tests.crm_sync.preflight.facts import EXPECTED, PROVISIONED
from tests.crm_sync.preflight.org import OBJECT_RIGHTS, TYPES, Org, spoilable_org


@pytest.fixture(scope="module")
def one_org() -> Iterator[Org]:
    with spoilable_org() as org:
        yield org


@pytest.fixture
def org(one_org: Org) -> Iterator[Org]:
    yield one_org
    one_org.mend()


FEATURES = ("person_accounts", "state_country_picklists", "currencies")
WIDE = ("ModifyAllData", "ViewAllData")
SETUP_LINES = {"duplicate_rules", "ip_restriction", "login_hours", "storage"}


def test_a_new_org_is_known_completely_for_three_calls(org: Org) -> None:
    org.people.forgets()
    report = org.preflight()
    assert {line.check: line.evidence for line in report.checks if line.result == "not_known"} == {}
    assert {line.check: line.evidence for line in report.checks if line.result == "problem"} == {}
    assert report.counts["api_calls"] == 3
    assert org.meter.booked == [PURPOSE] * 3
    assert sum(call["counted"] for call in org.people.calls()) == 3
    lines = {line.check: line for line in report.checks}
    assert lines["edition"].evidence == "Developer Edition"
    user = "integration@gptweb.example, profile 'GPTWeb Integration User', licence 'Salesforce'"
    assert lines["integration_user"].evidence == user
    assert lines["records_edited"].result == "ok"
    assert lines["session_timeout"].evidence.startswith("2 h")
    assert lines["fields"].evidence.startswith("24 of 68 can't be used yet")
    report.raise_if_impossible()


# ------------------------------------------------------------------------------------------- getting in


def test_a_wrong_secret(org: Org) -> None:
    org.secret = "guessed"
    report = org.preflight()
    assert [(line.check, line.result) for line in report.checks] == [("app", "problem")]
    assert "copy both again from the external client app" in report.checks[0].remedy
    assert (report.api_calls, org.meter.booked) == (0, [])


def test_an_address_outside_of_the_ranges(org: Org) -> None:
    org.settings(login_ranges=["203.0.113.0/24"])
    (line,) = org.preflight().checks
    assert (line.check, line.result) == ("app", "problem")
    assert "ip restricted" in line.evidence
    assert "IP ranges" in line.remedy


def test_an_inactive_user(org: Org) -> None:
    org.dismiss()
    (line,) = org.preflight().checks
    assert line.result == "problem"
    assert "activate it" in line.remedy


def test_an_app_that_is_blocked_for_the_user(org: Org) -> None:
    org.block_app()
    (line,) = org.preflight().checks
    assert line.result == "problem"
    assert "assign its profile or a permission set to the app" in line.remedy


def test_a_user_without_the_api(org: Org) -> None:
    org.forbid("ApiEnabled")
    report = org.preflight()
    assert [(line.check, line.result) for line in report.checks] == [("right_ApiEnabled", "problem")]
    assert "API_CURRENTLY_DISABLED" in report.checks[0].evidence
    assert "API Enabled" in report.checks[0].remedy
    assert report.api_calls == 1


def test_an_org_without_the_api(org: Org) -> None:
    body = [{"errorCode": "API_DISABLED_FOR_ORG", "message": "API is not enabled for this Organization"}]
    org.breaks(action="reply", path="composite", status=403, reply=body)
    (line,) = org.preflight().checks
    assert (line.check, line.result) == ("right_ApiEnabled", "problem")
    assert "API add-on" in line.remedy


def test_used_up_calls_say_nothing_about_the_set_up(org: Org) -> None:
    org.used(15_000)
    with pytest.raises(BudgetExhausted):
        org.preflight()


# ----------------------------------------------------------------------------------------------- rights


@pytest.mark.parametrize(
    ("right", "also"),
    [
        ("CustomizeApplication", ()),
        ("ManageProfilesPermissionsets", ("ManageUsers",)),
        ("AssignPermissionSets", ("ManageUsers",)),
        ("ModifyMetadata", ()),
    ],
)
def test_a_missing_right_stops_provisioning(org: Org, right: str, also: tuple[str, ...]) -> None:
    org.forbid(*WIDE, right, *also)
    report = org.preflight()
    assert [line.check for line in report.checks if line.result == "problem"] == [f"right_{right}"]


def test_without_view_setup_less_is_known_and_nothing_breaks(org: Org) -> None:
    org.forbid(*WIDE, "ViewSetup")
    report = org.preflight()
    lines = {line.check: line for line in report.checks}
    assert lines["right_ViewSetup"].result == "problem"
    assert {check for check in SETUP_LINES if lines[check].result == "not_known"} == SETUP_LINES
    assert lines["api_allocation"].result == "ok"  # told by the header of the replies
    assert report.counts["api_calls"] == 3


def test_every_single_answer_may_be_refused(org: Org) -> None:
    refused = [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]
    org.breaks(action="reply", path="tooling/composite", status=403, reply=refused)
    org.breaks(action="reply", path="limits", status=403, reply=refused)
    lines = {line.check: line for line in org.preflight().checks}
    assert lines["validation_rules"].result == "not_known"
    assert lines["ip_restriction"].result == "not_known"
    assert lines["storage"].result == "not_known"


# ---------------------------------------------------------------------------------------------- records


def test_an_object_that_the_user_does_not_see(org: Org) -> None:
    org.forbid(*WIDE)
    org.forbid_records("Lead", *OBJECT_RIGHTS)
    assert org.line("access_lead").result == "problem"


def test_edit_that_was_taken_away(org: Org) -> None:
    org.forbid(*WIDE)
    org.forbid_records("Lead", "Edit", "Delete", "ModifyAllRecords")
    line = org.line("access_lead", PROVISIONED)
    assert (line.result, line.evidence) == ("warning", "edit lacking")


def test_private_records_are_warned_of(org: Org) -> None:
    org.forbid(*WIDE)
    org.organization(
        DefaultAccountAccess="None", DefaultContactAccess="ControlledByParent", DefaultLeadAccess="Read"
    )
    for type_ in TYPES:
        org.forbid_records(type_, "ModifyAllRecords", "ViewAllRecords")
    assert org.line("records_seen").evidence.startswith("Account, Contact: only those")
    assert org.line("records_edited").evidence.startswith("Account, Contact, Lead: only those")


# -------------------------------------------------------------------------------------------------- org


def test_a_sandbox_and_a_trial(org: Org) -> None:
    org.organization(
        IsSandbox=True, TrialExpirationDate="2026-12-24T00:00:00Z", OrganizationType="Enterprise Edition"
    )
    assert org.line("environment").evidence.startswith("a sandbox")
    assert "a trial that ends on 2026-12-24" in org.line("edition").evidence


def test_a_short_session(org: Org) -> None:
    org.settings(session_seconds=900)
    hourly = replace(EXPECTED, every=EXPECTED.every * 12)
    assert org.line("session_timeout").result == "ok"
    assert org.line("session_timeout", hourly).evidence.startswith("15 min, but the sync comes every 60 min")


def test_calls_of_others(org: Org) -> None:
    org.used(9_000)
    line = org.line("api_allocation")
    assert line.result == "warning"
    assert "3 by GPTWeb, 9,00" in line.evidence


def test_a_clock_that_is_off(org: Org) -> None:
    org.clock(120)
    line = org.line("clock")
    assert line.result == "warning"
    assert "NTP" in line.remedy


@pytest.mark.parametrize(
    ("last", "result", "words"),
    [("127.0.0.255", "ok", "these calls came from 127.0.0.1"), (None, "ok", "the profile has none")],
)
def test_login_ip_ranges_of_the_profile(org: Org, last: str | None, result: str, words: str) -> None:
    ranges = [{"startAddress": "127.0.0.1", "endAddress": last}] if last else []
    org.profile(loginIpRanges=ranges)
    line = org.line("ip_restriction")
    assert line.result == result
    assert words in line.evidence


def test_login_hours_of_the_profile(org: Org) -> None:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    hours = {f"{day}{edge}": at for day in days for edge, at in (("Start", 0), ("End", 1440))}
    org.profile(loginHours=hours)
    line = org.line("login_hours")
    assert line.result == "warning"
    assert "Monday 00:00 to 24:00" in line.evidence


# -------------------------------------------------------------------------- what refuses or alters records


def test_a_required_custom_field(org: Org) -> None:
    org.require("Contact", "Region__c")
    line = org.line("required_fields")
    assert line.result == "warning"
    assert line.evidence.startswith("Contact.Region__c: required, without a default")


def test_duplicate_and_validation_rules(org: Org) -> None:
    org.rule("duplicate", object="Contact", name="Same_Email", fields=["Email"], allow_save=False)
    org.rule("duplicate", object="Lead", name="Asleep", fields=["Email"], active=False)
    org.rule("validation", object="Lead", name="Phone_Needed", message="Enter a phone number.")
    duplicates, validation = org.line("duplicate_rules"), org.line("validation_rules")
    assert (duplicates.result, validation.result) == ("warning", "warning")
    assert "Contact: Same Email" in duplicates.evidence
    assert "Asleep" not in duplicates.evidence
    assert "Lead: Phone_Needed ('Enter a phone number.')" in validation.evidence


def test_features_that_alter_the_objects(org: Org) -> None:
    report = org.preflight()
    found = {line.check: line for line in report.checks}
    assert {found[name].evidence.partition(",")[0] for name in FEATURES} == {"off"}
    org.features(personAccounts=True, multiCurrency=["EUR", "USD"], stateAndCountryPicklists=True)
    found = {line.check: line for line in org.preflight().checks}
    assert {found[name].result for name in FEATURES} == {"warning"}
    assert found["currencies"].evidence.startswith("on (EUR, USD): amounts (Account.AnnualRevenue)")
    assert "Contact.MailingState" in found["state_country_picklists"].evidence
