"""Preflight's answers on Salesforce's wire, as facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from crm_sync.decide.preflight_facts import (
    Allowance,
    DuplicateRule,
    LogInPolicy,
    Organization,
    RecordRights,
    Session,
    TypeFacts,
    Unknown,
    User,
    ValidationRule,
)
from crm_sync.decide.preflight_rights import RIGHTS as LEAST
from crm_sync.stores.salesforce_schema_wire import described, errors_of

__all__ = [
    "ORGANIZATION",
    "PROFILE",
    "RIGHTS",
    "SESSION",
    "SHARING",
    "USER",
    "allowance",
    "duplicate_rules",
    "fact",
    "log_in_policy",
    "only_row",
    "organization",
    "record_rights",
    "rights",
    "session",
    "sharing",
    "type_facts",
    "user",
    "validation_rules",
]

T = TypeVar("T")

_SHARING: Final = {
    "Account": "DefaultAccountAccess",
    "Contact": "DefaultContactAccess",
    "Lead": "DefaultLeadAccess",
}
ORGANIZATION: Final = ("OrganizationType", "IsSandbox", "InstanceName", "TrialExpirationDate")
SHARING: Final = tuple(_SHARING.values())
USER: Final = ("Username", "ProfileId")
PROFILE: Final = ("Profile.Name", "Profile.UserLicense.Name")
SESSION: Final = ("NumSecondsValid", "SourceIp", "LoginHistory.Application")
HIDDEN: Final = "not shown"
_PREFIX: Final = "Permissions"
RIGHTS: Final = tuple(
    f"{_PREFIX}{name}"
    for name in dict.fromkeys(
        [
            *(right.name for right in LEAST),
            *(name for right in LEAST for name in right.included),
            "ViewAllData",
            "ModifyAllData",
        ]
    )
)
_PLACE: Final = re.compile(r"ERROR at Row:\d+:Column:\d+")
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def fact(result: Mapping[str, Any], read: Callable[[Any], T]) -> T | Unknown:
    """What a subrequest tells; refused, cut off or of another shape it tells nothing, and why."""
    body = result["body"]
    if result["httpStatusCode"] >= 400:
        code, message = (errors_of(body) or [(f"HTTP {result['httpStatusCode']}", "no reason given")])[0]
        # A query error repeats the query, then comes its place, then a sentence, then advice for people who type names.
        said = " ".join(_PLACE.split(message)[-1].split()).partition(". ")[0]
        return Unknown(f"Salesforce does not show it to the integration user: {said} [{code}]")
    try:
        if "records" in body and len(body["records"]) != body["totalSize"]:
            return Unknown(f"{len(body['records'])} rows arrived of {body['totalSize']} announced")
        return read(body)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return Unknown("Salesforce's answer has another shape than its documentation says")


def only_row(body: Mapping[str, Any]) -> dict[str, Any]:
    """The one row of a query; IndexError if there is none."""
    row: dict[str, Any] = body["records"][0]
    return row


def organization(row: Mapping[str, Any]) -> Organization:
    """From Organization."""
    ends = row["TrialExpirationDate"]
    return Organization(
        edition=row["OrganizationType"],
        sandbox=row["IsSandbox"],
        instance=row["InstanceName"] or "an instance without a name",
        trial_ends=datetime.fromisoformat(ends) if ends else None,
    )


def sharing(row: Mapping[str, Any]) -> dict[str, str]:
    """From Organization: the org-wide defaults."""
    return {type_: row[column] for type_, column in _SHARING.items() if row[column]}


def user(row: Mapping[str, Any], profile: Mapping[str, Any] | Unknown) -> User:
    """From User, and from its profile and licence, which not every user is shown."""
    if isinstance(profile, Unknown):
        return User(row["Username"], HIDDEN, HIDDEN)
    return User(row["Username"], profile["Profile"]["Name"], profile["Profile"]["UserLicense"]["Name"])


def session(row: Mapping[str, Any]) -> Session:
    """From AuthSession, of which everybody sees his own."""
    application = (row["LoginHistory"] or {"Application": None})["Application"]
    return Session(
        timedelta(seconds=row["NumSecondsValid"]), row["SourceIp"], application or "an app without a name"
    )


def rights(row: Mapping[str, Any]) -> frozenset[str]:
    """From UserPermissionAccess: the names of what is granted."""
    return frozenset(name.removeprefix(_PREFIX) for name in RIGHTS if row[name])


def record_rights(body: Mapping[str, Any]) -> dict[str, RecordRights]:
    """From ObjectPermissions, merged over the user's permission sets."""
    found: dict[str, RecordRights] = {}
    for row in body["records"]:
        before = found.get(row["SobjectType"], RecordRights())
        found[row["SobjectType"]] = RecordRights(
            before.view_all or row["PermissionsViewAllRecords"],
            before.modify_all or row["PermissionsModifyAllRecords"],
        )
    return found


def duplicate_rules(body: Mapping[str, Any]) -> tuple[DuplicateRule, ...]:
    """From DuplicateRule."""
    return tuple(DuplicateRule(row["SobjectType"], row["MasterLabel"]) for row in body["records"])


def validation_rules(body: Mapping[str, Any]) -> tuple[ValidationRule, ...]:
    """From Tooling's ValidationRule."""
    return tuple(
        ValidationRule(
            row["EntityDefinition"]["QualifiedApiName"], row["ValidationName"], row["ErrorMessage"] or ""
        )
        for row in body["records"]
    )


def log_in_policy(row: Mapping[str, Any]) -> LogInPolicy:
    """From Tooling's Profile; hours are minutes since midnight there."""
    metadata = row["Metadata"]
    ranges = metadata.get("loginIpRanges") or []
    hours = metadata.get("loginHours") or {}
    return LogInPolicy(
        tuple((one["startAddress"], one["endAddress"]) for one in ranges),
        tuple(
            (day.capitalize(), _clock_time(hours[f"{day}Start"]), _clock_time(hours[f"{day}End"]))
            for day in _DAYS
            if hours.get(f"{day}Start") is not None
        ),
    )


def _clock_time(minutes: int | str) -> str:
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}"


def type_facts(body: Mapping[str, Any]) -> TypeFacts:
    """From describe (facts/salesforce.md 4.7)."""
    return TypeFacts(
        createable=body["createable"],
        updateable=body["updateable"],
        deletable=body["deletable"],
        fields={field.name.lower(): field for field in described(body)},
        required=tuple(
            field["name"]
            for field in body["fields"]
            if field["createable"] and not field["nillable"] and not field["defaultedOnCreate"]
        ),
        currencies=tuple(
            option["value"]
            for field in body["fields"]
            if field["name"] == "CurrencyIsoCode"
            for option in field["picklistValues"]
            if option["active"]
        ),
    )


def allowance(body: Mapping[str, Any], name: str) -> Allowance | Unknown:
    """From the limits."""
    try:
        return Allowance(body[name]["Max"], body[name]["Remaining"])
    except (KeyError, TypeError):
        return Unknown(f"Salesforce's limits lack {name}")
