"""The org: its tables, users, clock and counters, and the one place where a request's writes are made durable."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import RSAKey

from salesforce_standin import custom_fields, features, field_changes, ids, list_views, policy, virtual
from salesforce_standin.bulk.shelf import Shelf
from salesforce_standin.clock import Clock
from salesforce_standin.config import Settings
from salesforce_standin.cursors import Cursors
from salesforce_standin.faults import Faults
from salesforce_standin.limits import Meter
from salesforce_standin.logins import Rate
from salesforce_standin.oauth.apps import Apps
from salesforce_standin.oauth.codes import Codes
from salesforce_standin.permissions import GOVERNING, Access
from salesforce_standin.schema import SObject, standard_objects
from salesforce_standin.sessions import Sessions
from salesforce_standin.storage import Storage
from salesforce_standin.tables import Row, Table, Work


@dataclass(slots=True)
class Held:
    """An object whose changes no query shows yet: since when, and what the changed rows were before."""

    since: str
    before: dict[str, Row | None] = field(default_factory=dict)


@dataclass(slots=True)
class Org:
    """Everything that one stand-in holds."""

    settings: Settings
    storage: Storage
    clock: Clock = field(default_factory=Clock)
    sequence: ids.IdSequence = field(default_factory=ids.IdSequence)
    work: Work = field(default_factory=Work)
    objects: dict[str, SObject] = field(default_factory=standard_objects)
    tables: dict[str, Table] = field(default_factory=dict)
    random: random.Random = field(default_factory=random.Random)  # noqa: S311 - an order, no secret
    policy: policy.Policy = field(init=False)
    meter: Meter = field(init=False)
    sessions: Sessions = field(init=False)
    bulk: Shelf = field(init=False)
    cursors: Cursors = field(init=False)
    apps: Apps = field(init=False)
    codes: Codes = field(init=False)
    signing_key: RSAKey | None = None
    login_rate: Rate = field(default_factory=Rate)
    passwords: dict[str, str] = field(default_factory=dict)
    features: dict[str, Any] = field(default_factory=dict)
    field_changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    held: dict[str, Held] = field(default_factory=dict)
    # How deployments and retrievals went, by their ids, until the process ends.
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    # The access token that the request at hand came with.
    current_token: str = ""
    schema_changed_at: float = 0.0
    rows_written: int = 0
    _documents: dict[str, Any] = field(default_factory=dict)
    _access: dict[tuple[str, str], Access] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build the tables and load what is stored."""
        self.random.seed(self.settings.random_seed)
        self.clock.offset = self.storage.setting("clock_offset") or 0.0
        self.policy = policy.of(self.settings, self.storage.setting("policy"))
        self.meter = Meter(self.clock, self.policy, self.settings.random_seed)
        self.meter.load(self.storage.setting("calls") or [])
        self.sessions = Sessions(self.clock, self.policy, self.settings.org_id, self.session_seconds)
        self.sessions.load(self.storage.setting("sessions") or [])
        self.apps = Apps(self.settings, self.storage.setting("apps"))
        self.codes = Codes(self.clock, self.storage.setting("codes"))
        self.passwords = self.storage.setting("passwords") or {}
        self.tables = {name: Table(sobject) for name, sobject in self.objects.items()}
        self.schema_changed_at = self.storage.setting("schema_changed_at") or self.clock.now()
        for name, row in self.storage.records():
            self.sequence.saw(row["Id"])
            self.tables[name].put(row["Id"], row)
            if name == "CustomField":
                custom_fields.attach(self, row)
        virtual.define_entities(self)
        list_views.define(self)
        self.features = self.storage.setting("features") or {}
        features.apply(self, self.features)
        self.field_changes = self.storage.setting("field_changes") or {}
        field_changes.apply(self, self.field_changes)
        self.bulk = Shelf(self, self.settings.data)
        self.cursors = Cursors(self)

    def access(self, user_id: str, name: str) -> Access:
        """Return a user's view of an object (which must exist)."""
        key = (user_id, name)
        found = self._access.get(key)
        if found is None:
            found = self._access[key] = Access(self, user_id, self.tables[name])
        return found

    def object_named(self, name: str) -> SObject | None:
        """Return an object by its name in any case."""
        return self.objects.get(name) or next(
            (s for s in self.objects.values() if s.name.lower() == name.lower()), None
        )

    def sobject_of_id(self, id18: str) -> SObject | None:
        """Return the object whose key prefix an id has."""
        return next((s for s in self.objects.values() if s.prefix == id18[:3]), None)

    def put(self, table: Table, id18: str, row: Row | None) -> None:
        """Write a row as part of the request at hand."""
        held = self.held.get(table.sobject.name)
        if held is not None:
            held.before.setdefault(id18, table.rows.get(id18))
        self.work.put(table, id18, row)
        if table.sobject.name in GOVERNING:
            self.permissions_changed()

    def roll_back(self, mark: int = 0) -> None:
        """Take back the request's writes since a mark."""
        if any(table.sobject.name in GOVERNING for table in self.work.roll_back(mark)):
            custom_fields.reattach(self)
            self.permissions_changed()

    def permissions_changed(self) -> None:
        """Forget every user's view: somebody may now see more, or less."""
        self._access.clear()
        self.schema_changed_at = self.clock.now()
        self.remember("schema_changed_at", self.schema_changed_at)

    def remember(self, name: str, document: Any) -> None:
        """Store a named document with the request's commit; None forgets it."""
        self._documents[name] = document

    def session_seconds(self, user_id: str) -> float:
        """Return how long a user's session lives without use: as the profile says, else as the org does."""
        user = self.tables["User"].rows.get(user_id, {})
        profile = self.tables["Profile"].rows.get(user.get("ProfileId", ""), {})
        return float(profile.get("_session_seconds") or self.policy.session_seconds)

    def keep_sessions(self) -> None:
        """Store the tokens with the request's commit."""
        self.remember("sessions", self.sessions.dump())

    def commit(self) -> int:
        """Make the request's writes durable; return how many rows they were."""
        changes = self.work.changes()
        if changes or self._documents:
            if self.meter.dirty:
                self._documents["calls"] = self.meter.dump()
            self.storage.commit(changes, self._documents)
        self.work = Work()
        self._documents = {}
        self.rows_written += len(changes)
        return len(changes)

    def abandon(self) -> None:
        """Take back everything that the request wrote."""
        self.roll_back()
        self.work = Work()
        self._documents = {}

    def close(self) -> None:
        """Store the counters and let go of the files."""
        self.storage.commit([], {"calls": self.meter.dump(), "sessions": self.sessions.dump()})
        self.storage.close()
        self.bulk.close()

    def users(self) -> Iterable[Row]:
        """Return the users."""
        return self.tables["User"].rows.values()
