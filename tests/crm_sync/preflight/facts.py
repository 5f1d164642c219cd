"""An org in which every check is ok, as literals, for tests to spoil in one place each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from crm_sync.decide.preflight import check
from crm_sync.decide.preflight_facts import (
    Allowance,
    Expectations,
    Facts,
    LogInPolicy,
    Organization,
    RecordRights,
    Session,
    TypeFacts,
    Unknown,
    User,
)
from crm_sync.decide.preflight_line import CheckLine
from crm_sync.decide.schema import FoundField
from crm_sync.decide.schema_diff import wanted_fields
from crm_sync.mapping_files import load_mappings
from crm_sync.model import ClockReading
from crm_sync.preflight import PreflightReport
from tests.crm_sync.provision.orgs import as_found

WANTED = wanted_fields(load_mappings("salesforce"))
TYPES = ("Account", "Contact", "Lead")
HIDDEN = Unknown("Salesforce does not show it")
EXPECTED = Expectations(
    connection="salesforce_main",
    wanted=WANTED,
    creates=frozenset({"account", "contact", "lead"}),
    every=timedelta(minutes=5),
    daily_calls=15_000,
    layouts=True,
)
PROVISIONED = replace(EXPECTED, provisioned=True)
LEAST = frozenset(
    {
        "ApiEnabled",
        "ViewSetup",
        "CustomizeApplication",
        "ManageProfilesPermissionsets",
        "AssignPermissionSets",
        "ModifyMetadata",
    }
)
REQUIRED = {"Account": ("Name",), "Contact": ("LastName",), "Lead": ("LastName", "Company")}


def type_facts(type_: str, **changes: Any) -> TypeFacts:
    """An object with everything that is mapped, and what every org requires."""
    fields = {f.name.lower(): as_found(f) for f in WANTED if f.type == type_}
    return replace(TypeFacts(True, True, True, fields, REQUIRED[type_]), **changes)


FACTS = Facts(
    instance_url="https://acme.my.salesforce.com",
    organization=Organization("Enterprise Edition", sandbox=False, instance="EU42"),
    sharing={"Account": "None", "Contact": "ControlledByParent", "Lead": "None"},
    user=User("gptweb@acme.example", "GPTWeb Integration User", "Salesforce Integration"),
    session=Session(timedelta(hours=2), "198.51.100.7", "GPTWeb"),
    rights=LEAST,
    record_rights=dict.fromkeys(TYPES, RecordRights(view_all=True, modify_all=True)),
    types={type_: type_facts(type_) for type_ in TYPES},
    duplicate_rules=(),
    validation_rules=(),
    log_in=LogInPolicy(),
    calls=Allowance(115_000, 114_000),
    storage=Allowance(10_240, 9_000),
    clock=ClockReading(timedelta(seconds=1), timedelta(seconds=0.6)),
)


def with_type(type_: str, **changes: Any) -> Facts:
    """The org with one object otherwise."""
    return replace(FACTS, types={**FACTS.types, type_: type_facts(type_, **changes)})


def without_type(type_: str) -> Facts:
    """The org with one object out of the user's sight."""
    return replace(FACTS, types={name: found for name, found in FACTS.types.items() if name != type_})


def with_field(type_: str, name: str, kind: str = "string") -> Facts:
    """The org with one more field."""
    fields = {**FACTS.types[type_].fields, name.lower(): FoundField(name, kind)}
    return with_type(type_, fields=fields)


def new_org() -> Facts:
    """The org before provisioning: none of GPTWeb's own fields."""
    ours = {(f.type, f.name.lower()) for f in WANTED if f.create}
    types = {
        type_: replace(
            found, fields={name: seen for name, seen in found.fields.items() if (type_, name) not in ours}
        )
        for type_, found in FACTS.types.items()
    }
    return replace(FACTS, types=types)


def line(name: str, facts: Facts = FACTS, expected: Expectations = EXPECTED) -> CheckLine:
    """The one line of a check."""
    (found,) = [each for each in check(expected, facts) if each.check == name]
    return found


@dataclass
class MemoryLedger:
    """Keeps reports in memory."""

    kept: list[PreflightReport] = field(default_factory=list)

    def keep(self, report: PreflightReport) -> None:
        self.kept.append(report)

    def newest(self, connection: str) -> PreflightReport | None:
        return self.kept[-1] if self.kept else None
