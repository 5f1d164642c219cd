"""What preflight looks at: the facts of an org, and what the connection expects of it; values only.

A fact that could not be found out is ``Unknown`` with the reason, so that every check can say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from crm_sync.decide.schema import FoundField, WantedField
from crm_sync.model import ClockReading, Object

__all__ = [
    "Allowance",
    "DuplicateRule",
    "Expectations",
    "Facts",
    "LogInPolicy",
    "Organization",
    "RecordRights",
    "Session",
    "TypeFacts",
    "Unknown",
    "User",
    "ValidationRule",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that could not be found out, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Organization:
    """The org."""

    edition: str
    sandbox: bool
    instance: str
    trial_ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class User:
    """The integration user."""

    username: str
    profile: str
    licence: str


@dataclass(frozen=True, slots=True)
class Session:
    """The session of these very calls, as the org sees it; ``application``: the label of our app."""

    lasts: timedelta
    source_ip: str
    application: str


@dataclass(frozen=True, slots=True)
class LogInPolicy:
    """What the profile says about log-ins: ranges as (first, last) address, hours as (day, from, to)."""

    ip_ranges: tuple[tuple[str, str], ...] = ()
    hours: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRights:
    """Whether the user's permission sets open all records of a type, whoever owns them."""

    view_all: bool = False
    modify_all: bool = False


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """An object as describe shows it to the integration user; field names in lower case.

    ``required``: the fields that a create has to fill (facts/salesforce.md 4.7).  ``currencies``: the active ones,
    none where the org has but one.
    """

    createable: bool
    updateable: bool
    deletable: bool
    fields: Mapping[str, FoundField]
    required: tuple[str, ...] = ()
    currencies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """An active duplicate rule; the API does not tell whether it blocks or only warns."""

    type: str
    label: str


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """An active validation rule with the message that it refuses records with."""

    type: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Allowance:
    """So much of something that the org has, and what is left of it."""

    limit: int
    left: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was found out; ``types`` lacks the objects that the integration user does not see.

    ``rights``: the user's system permissions, merged over profile and permission sets, by their names in the API.
    ``sharing``: the org-wide default of access to records by type, in the words of the API.
    """

    instance_url: str
    organization: Organization | Unknown
    sharing: Mapping[str, str] | Unknown
    user: User | Unknown
    session: Session | Unknown
    rights: frozenset[str] | Unknown
    record_rights: Mapping[str, RecordRights] | Unknown
    types: Mapping[str, TypeFacts]
    duplicate_rules: tuple[DuplicateRule, ...] | Unknown
    validation_rules: tuple[ValidationRule, ...] | Unknown
    log_in: LogInPolicy | Unknown
    calls: Allowance | Unknown
    storage: Allowance | Unknown
    clock: ClockReading


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the connection is going to do: its fields, what it creates in the CRM, how often it syncs, its budget.

    ``connection``: its name.  ``spent``: its own calls of the last 24 hours.  ``provisioned``: whether provisioning once
    came to its end.  ``layouts``: whether it changes page layouts.
    ``deletes``: whether what is archived in GPTWeb is deleted in the CRM.
    """

    connection: str
    wanted: tuple[WantedField, ...]
    creates: frozenset[Object]
    every: timedelta
    daily_calls: int
    spent: int = 0
    provisioned: bool = False
    layouts: bool = False
    deletes: bool = False
