"""Which fields and permissions the CRM must have, and what it has: values.

Wanted comes from the mapping files and the settings; found is describe as the integration user, plus the rows of the
set-up objects.  ``decide.schema_diff`` makes the plan of the two, whose steps are ``decide.schema_steps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from crm_sync.decide.mapping import FieldSpec, FieldType
from crm_sync.model import Object

__all__ = [
    "PERMISSION_SET",
    "SALES_SET",
    "SECTION",
    "Choices",
    "FoundField",
    "FoundLayout",
    "FoundSales",
    "FoundSchema",
    "Grant",
    "Person",
    "WantedField",
]

PERMISSION_SET = "GPTWeb_CRM_Sync"
"""For the integration user: every field that the sync uses."""
SALES_SET = "GPTWeb_Insights"
"""For the sales people: the fields of the product guide, read only, and never a service field."""
SECTION = "GPTWeb Insights"
"""The section of a page layout that holds those fields."""


@dataclass(frozen=True, slots=True)
class WantedField:
    """A field that the sync uses: ``column`` is ours (the service fields carry their own name)."""

    object: Object
    type: str
    name: str
    column: str
    carries: FieldType
    writable: bool
    create: FieldSpec | None

    @property
    def for_people(self) -> bool:
        """Whether sales people are to see it: the fields that provisioning makes, the service fields apart."""
        return self.create is not None and self.column != self.name


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose for one connection; nothing chosen, nothing done.

    ``sales_users``: usernames or ids; ``sales_profiles``: names of profiles, meaning all their active users.
    """

    sales_users: tuple[str, ...] = ()
    sales_profiles: tuple[str, ...] = ()
    layouts: bool = False


@dataclass(frozen=True, slots=True)
class FoundField:
    """A field as the org has it, in the words of describe; ``visible`` is whether the integration user sees it."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    external_id: bool = False
    unique: bool = False
    calculated: bool = False
    createable: bool = False
    updateable: bool = False
    permissionable: bool = True
    visible: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission row of our set and what it allows: read, create, edit."""

    id: str
    rights: frozenset[str]


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the CRM."""

    id: str
    username: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class FoundSales:
    """What the org has for the sales people.

    ``shown``: the fields that the sales set lets read, as ``type.field`` in lower case; ``chosen``: the people of the
    settings, ``unknown``: the names there that the org does not know; ``assigned``: the assignment of each user.
    """

    permission_set: str | None = None
    shown: frozenset[str] = frozenset()
    chosen: tuple[Person, ...] = ()
    unknown_users: tuple[str, ...] = ()
    unknown_profiles: tuple[str, ...] = ()
    assigned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundLayout:
    """A page layout by its full name, which spells specials as %xx, and the fields anywhere on it, in lower case."""

    object: Object
    type: str
    full_name: str
    fields: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The layout as Setup names it, after its object."""
        return unquote(self.full_name)


@dataclass(frozen=True, slots=True)
class FoundSchema:
    """What the org has; names as keys are in lower case, because Salesforce names know no case.

    ``fields``: (type, field) of everything that describe shows or Tooling knows; ``types``: what describe showed.
    ``grants``: the rows of our permission set, field rows under ``type.field``, object rows under ``type``.
    """

    user_id: str
    types: frozenset[str]
    fields: Mapping[tuple[str, str], FoundField]
    permission_set: str | None = None
    grants: Mapping[str, Grant] = field(default_factory=dict)
    assigned: bool = False
    may_create_fields: bool = True
    sales: FoundSales = FoundSales()
    layouts: tuple[FoundLayout, ...] = ()
