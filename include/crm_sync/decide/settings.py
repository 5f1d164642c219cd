"""What a person chooses per connection: each choice with its default, checked where it enters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crm_sync.decide.alerts import AlertTarget
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.mapping_changes import MappingChanges
from crm_sync.decide.schema import Choices
from crm_sync.decide.scope import ObjectScope
from crm_sync.decide.scope import problems as scope_problems
from crm_sync.decide.volume import LargePushes
from crm_sync.errors import Misconfigured
from crm_sync.model import OBJECTS, ConflictPolicy, Direction, Heal, Object, OurArchive, TheirDelete

__all__ = ["MINUTES", "Frequency", "Reconcile", "Settings", "check_scope", "parse", "refuse"]

Frequency = Literal["realtime", "5min", "15min", "hourly"]
Reconcile = Literal["nightly", "weekly", "never"]
MINUTES: dict[Frequency, int] = {"realtime": 1, "5min": 5, "15min": 15, "hourly": 60}

_USER_ID = re.compile(r"005[A-Za-z0-9]{12}([A-Za-z0-9]{3})?")


def _user(name: str) -> str:
    if "@" not in name and not _USER_ID.fullmatch(name):
        raise ValueError(
            "is neither a username (name@domain, as Setup → Users shows it) nor a user's id (005…)"
        )
    return name


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
UserName = Annotated[Name, AfterValidator(_user)]


class Settings(BaseModel):
    """What a person may choose per connection; the defaults are the product guide's recommendations.

    ``reconcile``: how often both sides are compared completely; ``heal``: what that heals.  ``owner_id``: owner of records made in the CRM (blank: the integration user).  ``daily_calls``: the promise of
    the guide.  ``org_reserve``: the part of the org's own calls that is left to its other users.  ``run_calls``,
    ``object_calls``: calls of one run, in all and for one object, beyond which something must be wrong.
    ``look_seconds``: how often a paused run looks whether it may go on.  ``their_delete``: a record deleted in the CRM is
    archived in GPTWeb, or kept; ``our_archive``: one deleted in GPTWeb is kept in the CRM, or put into its recycle bin.
    ``lag_seconds``: how long a record may show up late; ``lease_seconds``: how long a run may hold a link
    while it writes; ``late_commit_seconds``: how long after its time-out a write may still commit there.
    ``sales_users`` (usernames or ids) and ``sales_profiles`` (all active users of them): who is to see GPTWeb's fields;
    ``large_pushes``: whether many changes go to the CRM by a bulk job: ``auto`` where that halves the calls.
    ``layouts``: whether provisioning puts them on the page layouts.  ``scope``: which records are made on the other side;
    ``mapping``: the fields that this connection maps otherwise than the mapping files.
    ``alerts``: who is told when the connection's state changes; ``stall_minutes``: how long no sync may succeed, or a
    change may wait, before it counts as stalled (three times the frequency at least).
    ``approve_creations_above``: a first sync that would make more of them waits for a person; None: never.
    ``approve_share_above``: so does a plan that overwrites or deletes more than this share of an object's linked records
    on one side, from ``approve_share_from`` linked ones on; None: never.  ``approve_hours``: how long a plan waits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frequency: Frequency = "5min"
    reconcile: Reconcile = "nightly"
    heal: Heal = "none"
    direction: Direction = "bidirectional"
    conflict_policy: ConflictPolicy = "most_recent"
    create_accounts: bool = True
    create_contacts: bool = True
    create_leads: bool = True
    their_delete: TheirDelete = "archive"
    our_archive: OurArchive = "keep"
    owner_id: str | None = None
    batch_size: int = Field(default=500, ge=1, le=500)
    large_pushes: LargePushes = "auto"
    daily_calls: int = Field(default=15_000, ge=1)
    org_reserve: float = Field(default=0.1, ge=0, lt=1)
    run_calls: int = Field(default=5_000, ge=1)
    object_calls: int = Field(default=3_000, ge=1)
    look_seconds: int = Field(default=60, ge=1)
    lag_seconds: int = Field(default=600, ge=0)
    lease_seconds: int = Field(default=180, ge=10)
    late_commit_seconds: int = Field(default=600, ge=0)
    sales_users: tuple[UserName, ...] = Field(default=(), max_length=200)
    sales_profiles: tuple[Name, ...] = Field(default=(), max_length=50)
    layouts: bool = True
    scope: dict[Object, ObjectScope] = Field(default_factory=dict)
    mapping: dict[Object, MappingChanges] = Field(default_factory=dict)
    alerts: tuple[AlertTarget, ...] = Field(default=(), max_length=10)
    stall_minutes: int = Field(default=60, ge=5)
    approve_creations_above: int | None = Field(default=5_000, ge=0)
    approve_share_above: float | None = Field(default=0.3, ge=0, le=1)
    approve_share_from: int = Field(default=10, ge=1)
    approve_hours: int = Field(default=24, ge=1, le=30)

    def creates(self, object: Object) -> bool:
        """Whether records of this object may be created, on either side."""
        return bool(getattr(self, f"create_{object}s"))

    def scope_of(self, object: Object) -> ObjectScope:
        """Which records of this object are made on the other side; without conditions all of them."""
        return self.scope.get(object, ObjectScope())

    @property
    def provisioning(self) -> Choices:
        """What the settings choose for provisioning."""
        return Choices(self.sales_users, self.sales_profiles, layouts=self.layouts)

    @property
    def created(self) -> tuple[Object, ...]:
        """The objects of which records may be created."""
        return tuple(object for object in OBJECTS if self.creates(object))

    @property
    def patience(self) -> timedelta:
        """How long nothing may happen before people are told."""
        return timedelta(minutes=max(self.stall_minutes, 3 * MINUTES[self.frequency]))

    @property
    def lag(self) -> timedelta:
        """How long a record of theirs may stay invisible after its stamp."""
        return timedelta(seconds=self.lag_seconds)

    @property
    def lease(self) -> timedelta:
        """How long a claim on a link lasts."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def late_commit(self) -> timedelta:
        """How long after a lease's end an unanswered write may still commit."""
        return timedelta(seconds=self.late_commit_seconds)


def parse(name: str, data: dict[str, object]) -> Settings:
    """Check settings; every problem of them is reported at once."""
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))}: {e['msg']} (given: {e['input']!r})" for e in error.errors()
        ]
        raise Misconfigured(f"settings of connection {name!r}: " + "; ".join(lines)) from None


def check_scope(name: str, settings: Settings, mappings: Mapping[Object, ObjectMapping]) -> None:
    """The scope speaks of mapped fields, in values that suit them; every problem is reported at once."""
    refuse(name, scope_problems(settings.scope, mappings))


def refuse(name: str, problems: Sequence[str]) -> None:
    """Problems of a connection's settings, if there are any, as one error."""
    if problems:
        raise Misconfigured(f"settings of connection {name!r}: " + "; ".join(problems))
