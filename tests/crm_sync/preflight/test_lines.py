"""Every check with literals: what makes it ok, a warning, a problem, or not known, and what the line then says."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crm_sync.decide.preflight import calls_refused, check, log_in_refused
from crm_sync.decide.preflight_facts import (
    Allowance,
    DuplicateRule,
    Facts,
    LogInPolicy,
    Organization,
    RecordRights,
    Session,
    Unknown,
    User,
    ValidationRule,
)
from crm_sync.decide.preflight_line import listed
from crm_sync.decide.preflight_rights import RIGHTS, Right
from crm_sync.model import ClockReading
from tests.crm_sync.preflight.facts import (
    EXPECTED,
    FACTS,
    HIDDEN,
    LEAST,
    PROVISIONED,
    TYPES,
    line,
    new_org,
    with_field,
    with_type,
    without_type,
)

CHECKS = [
    "app", "integration_user",
    "right_ApiEnabled", "right_ViewSetup", "right_CustomizeApplication", "right_ManageProfilesPermissionsets",
    "right_AssignPermissionSets", "right_ModifyMetadata",
    "access_account", "access_contact", "access_lead", "deletes", "fields", "records_seen", "records_edited",
    "edition", "environment", "ip_restriction", "login_hours", "session_timeout", "api_allocation", "storage", "clock",
    "required_fields", "duplicate_rules", "validation_rules",
    "person_accounts", "state_country_picklists", "currencies",
]  # fmt: skip
DOCS = Path(__file__).parents[3] / "docs" / "permissions.md"


def test_the_least_rights_suffice_before_and_after_provisioning() -> None:
    for expected, facts in ((EXPECTED, new_org()), (PROVISIONED, FACTS)):
        lines = check(expected, facts)
        assert [each.check for each in lines] == CHECKS
        assert {each.result for each in lines} == {"ok"}
        assert {each.remedy for each in lines} == {""}


def test_whatever_is_not_known_no_check_is_left_out_and_none_is_a_problem() -> None:
    unknown = {f.name: HIDDEN for f in fields(Facts) if f.name not in ("instance_url", "types", "clock")}
    lines = check(EXPECTED, replace(FACTS, **unknown))  # type: ignore[arg-type]  # every Unknown fits
    assert [each.check for each in lines] == CHECKS
    assert {each.result for each in lines} == {"ok", "not_known"}
    for each in lines:
        if each.result == "not_known":
            assert (each.evidence, each.remedy[:3]) == (HIDDEN.reason, "See"), each.check


def test_whatever_is_amiss_has_a_remedy() -> None:
    spoilt = replace(
        with_type("Contact", required=("Region__c",)),
        rights=frozenset(),
        record_rights={},
        log_in=LogInPolicy((("192.0.2.1", "192.0.2.9"),), (("Monday", "08:00", "18:00"),)),
    )
    amiss = [each for each in check(EXPECTED, spoilt) if each.result != "ok"]
    assert len(amiss) >= 11
    for each in amiss:
        assert each.evidence, each.check
        assert each.remedy, each.check


# -------------------------------------------------------------------------------------- log-in and user


def test_a_refused_log_in_is_one_problem_with_the_remedy_of_its_message() -> None:
    (only,) = log_in_refused(
        "log-in at https://acme.example was refused: invalid_grant (ip restricted); check the app's policies"
    )
    assert (only.check, only.result) == ("app", "problem")
    assert only.evidence == "log-in at https://acme.example was refused: invalid_grant (ip restricted)"
    assert only.remedy == "check the app's policies"


def test_a_message_of_two_sentences_ends_with_the_remedy_too() -> None:
    (only,) = log_in_refused("Airflow connection 'main' lacks a; b. Enter it under Admin > Connections.")
    assert (only.evidence, only.remedy) == (
        "Airflow connection 'main' lacks a; b",
        "Enter it under Admin > Connections.",
    )


def test_a_remedy_may_have_a_semicolon_of_its_own() -> None:
    (only,) = calls_refused("403 API_DISABLED_FOR_ORG; buy the API add-on; ask the administrator")
    assert (only.evidence, only.remedy) == (
        "403 API_DISABLED_FOR_ORG",
        "buy the API add-on; ask the administrator",
    )


def test_a_message_without_a_remedy_still_gives_a_line_with_one() -> None:
    (only,) = log_in_refused("the vault is locked")
    assert only.evidence == "the vault is locked"
    assert only.remedy


def test_refused_calls_are_the_line_of_api_enabled() -> None:
    (only,) = calls_refused("403 API_CURRENTLY_DISABLED; give it the permission 'API Enabled'")
    assert (only.check, only.result, only.remedy) == (
        "right_ApiEnabled",
        "problem",
        "give it the permission 'API Enabled'",
    )


def test_the_app_is_named_where_the_session_tells_it() -> None:
    assert line("app").evidence == "'GPTWeb' let us in to https://acme.my.salesforce.com"
    unknown = line("app", replace(FACTS, session=HIDDEN))
    assert (unknown.result, unknown.evidence) == ("ok", "it let us in to https://acme.my.salesforce.com")


def test_a_profile_of_its_own_is_better_than_the_administrators() -> None:
    found = line(
        "integration_user", replace(FACTS, user=User("a@acme.example", "System Administrator", "Salesforce"))
    )
    assert found.result == "warning"
    assert "clone 'System Administrator'" in found.remedy


# ------------------------------------------------------------------------------------------------ rights


@pytest.mark.parametrize(
    "right", [right for right in RIGHTS if right.need == "provisioning"], ids=lambda r: r.name
)
def test_a_missing_right_says_what_cannot_be_done_without_it(right: Right) -> None:
    found = line(f"right_{right.name}", replace(new_org(), rights=LEAST - {right.name}))
    assert found.result == "problem"
    assert found.evidence == f"not granted: without it {right.without}"
    assert f"tick '{right.label}'" in found.remedy


@pytest.mark.parametrize("right", RIGHTS, ids=lambda r: r.name)
def test_after_provisioning_only_api_enabled_is_needed(right: Right) -> None:
    found = line(f"right_{right.name}", replace(FACTS, rights=LEAST - {right.name}), PROVISIONED)
    assert found.result == ("problem" if right.name == "ApiEnabled" else "ok")


@pytest.mark.parametrize(
    "right", [right for right in RIGHTS if right.need == "provisioning"], ids=lambda r: r.name
)
def test_a_field_that_vanished_makes_the_rights_needed_again(right: Right) -> None:
    facts = replace(new_org(), rights=LEAST - {right.name})
    assert line(f"right_{right.name}", facts, PROVISIONED).result == "problem"


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("ManageProfilesPermissionsets", "ManageUsers"),
        ("AssignPermissionSets", "ManageUsers"),
        ("ModifyMetadata", "ModifyAllData"),
    ],
)
def test_a_greater_right_includes_a_lesser(name: str, instead: str) -> None:
    found = line(f"right_{name}", replace(new_org(), rights=LEAST - {name} | {instead}))
    assert (found.result, found.evidence) == ("ok", f"granted by {instead}")


def test_layouts_can_be_changed_by_hand_so_their_right_is_needed_only_where_they_are_switched_on() -> None:
    found = line("right_ModifyMetadata", replace(new_org(), rights=LEAST - {"ModifyMetadata"}))
    assert found.result == "problem"
    assert "by hand" in found.remedy
    switched_off = replace(EXPECTED, layouts=False)
    assert (
        line(
            "right_ModifyMetadata", replace(new_org(), rights=LEAST - {"ModifyMetadata"}), switched_off
        ).result
        == "ok"
    )


def test_modify_all_data_alone_may_create_fields_or_not() -> None:
    rights = LEAST - {"CustomizeApplication"} | {"ModifyAllData"}
    assert line("right_CustomizeApplication", replace(new_org(), rights=rights)).result == "warning"


def test_the_table_for_people_names_every_right() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for label in [right.label for right in RIGHTS] + ["View All Data", "Modify All Data", "View All Records"]:
        assert label in text, label


# ----------------------------------------------------------------------------------- objects and fields


@pytest.mark.parametrize("type_", TYPES)
def test_an_object_out_of_sight_is_a_problem(type_: str) -> None:
    found = line(f"access_{type_.lower()}", without_type(type_))
    assert found.result == "problem"
    assert f"Object Settings → {type_}, tick Read, Create and Edit" in found.remedy


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({"createable": False}, "create lacking"),
        ({"updateable": False}, "edit lacking"),
        ({"createable": False, "updateable": False}, "create and edit lacking"),
    ],
)
def test_what_provisioning_permits_is_no_problem_before_it_and_a_warning_after(
    changes: dict[str, bool], evidence: str
) -> None:
    facts = with_type("Contact", **changes)
    before, after = line("access_contact", facts), line("access_contact", facts, PROVISIONED)
    assert (before.result, before.evidence) == ("ok", f"{evidence}; provisioning sees to it")
    assert (after.result, after.evidence) == ("warning", evidence)
    assert "crm_provision__salesforce_main" in after.remedy


def test_no_right_to_create_is_missed_where_nothing_is_created() -> None:
    expected = replace(PROVISIONED, creates=frozenset({"account", "lead"}))
    assert line("access_contact", with_type("Contact", createable=False), expected).result == "ok"


def test_delete_is_needed_only_where_archived_records_are_deleted() -> None:
    facts = with_type("Lead", deletable=False)
    assert line("deletes", facts).result == "ok"
    found = line("deletes", facts, replace(EXPECTED, deletes=True))
    assert (found.result, found.evidence[:5]) == ("warning", "Lead:")
    assert line("deletes", FACTS, replace(EXPECTED, deletes=True)).result == "ok"


def test_missing_fields_are_counted_and_made_by_provisioning() -> None:
    before, after = line("fields", new_org()), line("fields", new_org(), PROVISIONED)
    assert before.result == "ok"
    assert before.evidence.startswith("24 of 68 can't be used yet: Account.GPTWeb_Id__c, ")
    assert after.result == "warning"


# ----------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize("check_", ["records_seen", "records_edited"])
def test_sharing_hides_records(check_: str) -> None:
    found = line(check_, replace(FACTS, record_rights={}))
    assert found.result == "warning"
    assert found.evidence.startswith("Account, Contact, Lead: only those that the integration user owns")
    assert ("View All Records" in found.remedy) == (check_ == "records_seen")


@pytest.mark.parametrize(
    ("facts", "seen", "edited"),
    [
        ({"rights": LEAST | {"ViewAllData"}}, "ok", "warning"),
        ({"rights": LEAST | {"ModifyAllData"}}, "ok", "ok"),
        ({"record_rights": dict.fromkeys(TYPES, RecordRights(view_all=True))}, "ok", "warning"),
        ({"record_rights": dict.fromkeys(TYPES, RecordRights(modify_all=True))}, "ok", "ok"),
        ({"sharing": dict.fromkeys(TYPES, "Read")}, "ok", "warning"),
        ({"sharing": dict.fromkeys(TYPES, "Edit")}, "ok", "ok"),
        (
            {"sharing": {"Account": "Edit", "Contact": "ControlledByParent", "Lead": "ReadEditTransfer"}},
            "ok",
            "ok",
        ),
        ({"sharing": {"Account": "Read", "Contact": "ControlledByParent", "Lead": "Read"}}, "ok", "warning"),
        ({"sharing": {"Account": "None", "Contact": "Edit", "Lead": "Edit"}}, "warning", "warning"),
        ({"record_rights": HIDDEN}, "not_known", "not_known"),
        ({"record_rights": HIDDEN, "sharing": dict.fromkeys(TYPES, "Edit")}, "ok", "ok"),
        ({"sharing": HIDDEN}, "not_known", "not_known"),
    ],
)
def test_what_opens_all_records(facts: dict, seen: str, edited: str) -> None:
    org = replace(replace(FACTS, record_rights={}), **facts)
    assert (line("records_seen", org).result, line("records_edited", org).result) == (seen, edited)


def test_only_the_closed_objects_are_named() -> None:
    rights = {"Contact": RecordRights(view_all=True), "Account": RecordRights(view_all=True)}
    assert line("records_seen", replace(FACTS, record_rights=rights)).evidence.startswith("Lead: only those")


# --------------------------------------------------------------------------------------------------- org


def test_a_trial_ends() -> None:
    org = Organization("Enterprise Edition", False, "EU42", datetime(2026, 12, 24, tzinfo=UTC))
    found = line("edition", replace(FACTS, organization=org))
    assert found.result == "warning"
    assert "2026-12-24" in found.evidence


def test_a_sandbox_is_called_one() -> None:
    org = replace(FACTS, organization=Organization("Developer Edition", True, "CS420"))
    assert line("environment", org).evidence.startswith("a sandbox, on CS420")
    assert line("environment").evidence == "not a sandbox, on EU42"


@pytest.mark.parametrize(
    ("source", "ranges", "result"),
    [
        ("198.51.100.7", (("198.51.100.0", "198.51.100.255"),), "ok"),
        ("198.51.100.7", (("192.0.2.0", "192.0.2.9"), ("198.51.100.7", "198.51.100.7")), "ok"),
        ("198.51.100.7", (("198.51.100.8", "198.51.100.9"),), "warning"),
        ("198.51.100.7", (("2001:db8::", "2001:db8::ffff"),), "warning"),
        ("2001:db8::7", (("2001:db8::", "2001:db8::ffff"),), "ok"),
        ("::c633:6407", (("198.51.100.0", "198.51.100.255"),), "warning"),  # the same number, another address
        ("Salesforce.com IP", (("198.51.100.8", "198.51.100.9"),), "warning"),
    ],
)
def test_login_ip_ranges(source: str, ranges: tuple, result: str) -> None:
    session = Session(timedelta(hours=2), source, "GPTWeb")
    found = line("ip_restriction", replace(FACTS, session=session, log_in=LogInPolicy(ranges)))
    assert found.result == result
    assert ranges[0][0] in found.evidence
    assert source in found.evidence


def test_ranges_without_an_own_address_to_compare_are_shown() -> None:
    found = line(
        "ip_restriction", replace(FACTS, session=HIDDEN, log_in=LogInPolicy((("192.0.2.1", "192.0.2.9"),)))
    )
    assert found.result == "not_known"
    assert "192.0.2.1 to 192.0.2.9" in found.evidence


def test_login_hours_stop_the_sync() -> None:
    found = line("login_hours", replace(FACTS, log_in=LogInPolicy(hours=(("Monday", "08:00", "18:00"),))))
    assert found.result == "warning"
    assert "only Monday 08:00 to 18:00" in found.evidence


@pytest.mark.parametrize(
    ("lasts", "every", "result"),
    [(15, 5, "ok"), (15, 15, "ok"), (15, 60, "warning"), (120, 60, "ok")],
)
def test_the_session_should_outlast_the_frequency(lasts: int, every: int, result: str) -> None:
    facts = replace(FACTS, session=Session(timedelta(minutes=lasts), "198.51.100.7", "GPTWeb"))
    found = line("session_timeout", facts, replace(EXPECTED, every=timedelta(minutes=every)))
    assert found.result == result
    assert found.evidence.startswith(f"{lasts} min" if lasts < 120 else "2 h")


@pytest.mark.parametrize(
    ("limit", "left", "spent", "result", "words"),
    [
        (115_000, 100_000, 5_000, "ok", "15,000 of 115,000 used: 5,000 by GPTWeb, 10,000 by others"),
        (115_000, 10_000, 0, "warning", "that leaves 10,000 of GPTWeb's budget of 15,000"),
        (15_000, 14_990, 3, "ok", "10 of 15,000 used: 3 by GPTWeb, 7 by others"),
        (15_000, 9_000, 6_000, "ok", "6,000 of 15,000 used: 6,000 by GPTWeb, 0 by others"),
        (15_000, 9_000, 7_000, "ok", "0 by others"),
        (15_000, 9_000, 0, "warning", "6,000 by others; that leaves 9,000"),
        (5_000, 5_000, 0, "warning", "that leaves 5,000"),
    ],
)
def test_the_orgs_calls_and_how_much_of_them_others_use(
    limit: int, left: int, spent: int, result: str, words: str
) -> None:
    found = line(
        "api_allocation", replace(FACTS, calls=Allowance(limit, left)), replace(EXPECTED, spent=spent)
    )
    assert found.result == result
    assert words in found.evidence


@pytest.mark.parametrize(("left", "result"), [(512, "ok"), (511, "warning"), (0, "warning")])
def test_storage_runs_out(left: int, result: str) -> None:
    assert line("storage", replace(FACTS, storage=Allowance(10_240, left))).result == result


@pytest.mark.parametrize(
    ("offset", "error", "result"),
    [
        (0, 0.5, "ok"),
        (30, 0.5, "ok"),
        (-30, 0.5, "ok"),
        (31, 0.5, "warning"),
        (-31, 0.5, "warning"),
        (31, 5, "ok"),
    ],
)
def test_the_clock(offset: float, error: float, result: str) -> None:
    reading = ClockReading(timedelta(seconds=offset), timedelta(seconds=error))
    assert line("clock", replace(FACTS, clock=reading)).result == result


# ------------------------------------------------------------------------------- what refuses our records


def test_a_required_field_that_nothing_fills_refuses_every_create() -> None:
    facts = with_type("Contact", required=("LastName", "Region__c"))
    found = line("required_fields", facts)
    assert found.result == "warning"
    assert found.evidence.startswith("Contact.Region__c: required")
    creates_none = replace(EXPECTED, creates=frozenset({"account"}))
    assert line("required_fields", facts, creates_none).result == "ok"


def test_a_field_that_only_travels_in_fills_nothing() -> None:
    incoming = tuple(replace(f, writable=f.name != "Company") for f in EXPECTED.wanted)
    found = line("required_fields", FACTS, replace(EXPECTED, wanted=incoming))
    assert found.evidence.startswith("Lead.Company: required")


def test_duplicate_rules_matter_where_records_are_created() -> None:
    facts = replace(FACTS, duplicate_rules=(DuplicateRule("Contact", "Standard Contact Duplicate Rule"),))
    found = line("duplicate_rules", facts)
    assert found.result == "warning"
    assert "Contact: Standard Contact Duplicate Rule" in found.evidence
    assert line("duplicate_rules", facts, replace(EXPECTED, creates=frozenset({"lead"}))).result == "ok"


def test_validation_rules_are_listed_with_their_messages() -> None:
    facts = replace(
        FACTS, validation_rules=(ValidationRule("Lead", "Phone_needed", "Enter a phone number."),)
    )
    found = line("validation_rules", facts)
    assert found.result == "warning"
    assert "Lead: Phone_needed ('Enter a phone number.')" in found.evidence


# ---------------------------------------------------------------------------------------------- features


def test_person_accounts() -> None:
    assert line("person_accounts", with_field("Account", "IsPersonAccount", "boolean")).result == "warning"
    assert line("person_accounts", without_type("Account")).result == "ok"


@pytest.mark.parametrize(
    ("type_", "code", "field"),
    [
        ("Contact", "MailingStateCode", "MailingState"),
        ("Account", "BillingCountryCode", "BillingCountry"),
        ("Lead", "StateCode", "State"),
    ],
)
def test_state_and_country_picklists(type_: str, code: str, field: str) -> None:
    found = line("state_country_picklists", with_field(type_, code, "picklist"))
    assert found.result == "warning"
    assert f"on: {type_}.{field} take" in found.evidence


def test_several_currencies_matter_where_amounts_are_mapped() -> None:
    fields_ = {**FACTS.types["Account"].fields}
    plain = with_type("Account", fields=fields_, currencies=("EUR", "USD"))
    assert line("currencies", plain).evidence == "on (EUR, USD), but no amount is mapped"
    fields_["annualrevenue"] = replace(fields_["annualrevenue"], type="currency")
    found = line("currencies", with_type("Account", fields=fields_, currencies=("EUR", "USD")))
    assert found.result == "warning"
    assert "amounts (Account.AnnualRevenue) travel as bare numbers" in found.evidence


def test_long_lists_are_cut() -> None:
    assert listed(list("abc")) == "a, b, c"
    assert listed(list("abcdef"), 4) == "a, b, c, d and 2 more"
    assert isinstance(HIDDEN, Unknown)
