"""A stand-in org that a test can spoil as its administrator, and our way into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.decide.preflight_facts import Expectations
from crm_sync.decide.preflight_line import CheckLine
from crm_sync.preflight import Preflight, PreflightReport
from crm_sync.stores.salesforce_preflight import SalesforcePreflight
from tests.crm_sync.preflight.facts import EXPECTED, MemoryLedger
from tests.crm_sync.provision.standin import ADMIN, CLIENT, Standin, start
from tests.crm_sync.stores.standin import CountingMeter, SalesforcePeople

PROFILE = "GPTWeb Integration User"
TYPES = ("Account", "Contact", "Lead")
OBJECT_RIGHTS = ("Read", "Create", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")


@dataclass
class Org:
    """A new org, its administrator, and our way into it."""

    admin: Standin
    people: SalesforcePeople
    user_id: str
    profile_set: str
    meter: CountingMeter = field(default_factory=CountingMeter)
    secret: str = CLIENT["client_secret"]

    @contextmanager
    def session(self) -> Iterator[MeteredSession]:
        """We, as the integration user."""
        endpoint = OAuthEndpoint(App(self.admin.url, CLIENT["client_id"], self.secret))
        login = MemoryLogin(lambda: endpoint.fetch().session)
        with MeteredSession(login, self.meter, sleep=lambda _seconds: None) as session:
            yield session

    def look_by(self, session: MeteredSession) -> SalesforcePreflight:
        return SalesforcePreflight(session, identity(session), session.login.token().instance_url)

    def preflight(self, expected: Expectations = EXPECTED) -> PreflightReport:
        with self.session() as session:
            return Preflight(expected, lambda: self.look_by(session), MemoryLedger()).run()

    def line(self, check: str, expected: Expectations = EXPECTED) -> CheckLine:
        (found,) = [line for line in self.preflight(expected).checks if line.check == check]
        return found

    def forbid(self, *rights: str) -> None:
        """Take system permissions from the integration user's profile."""
        taken = {f"Permissions{right}": False for right in rights}
        self.admin.ask("PATCH", f"/sobjects/PermissionSet/{self.profile_set}", json=taken)

    def forbid_records(self, type_: str, *rights: str) -> None:
        """Take object permissions from the integration user's profile."""
        taken = {f"Permissions{right}": False for right in rights}
        (row,) = self.admin.query(
            f"SELECT Id FROM ObjectPermissions WHERE ParentId = '{self.profile_set}' AND SobjectType = '{type_}'"
        )
        self.admin.ask("PATCH", f"/sobjects/ObjectPermissions/{row['Id']}", json=taken)

    def organization(self, **values: Any) -> None:
        """Change the org itself."""
        self.people.ask("POST", "/standin/organization", json=values)

    def settings(self, **values: Any) -> None:
        """Change what an administrator would change in Setup."""
        self.people.ask("POST", "/standin/settings", json=values)

    def setup(self, what: str, **values: Any) -> None:
        """Make a rule, switch a feature, or change a profile's log-in policy."""
        self.people.ask("POST", f"/standin/{what}", json=values)


@contextmanager
def spoilable_org() -> Iterator[Org]:
    """A new org."""
    with start() as standin:
        admin = Standin(standin.url, ADMIN)
        yield Org(admin, SalesforcePeople(standin.url), standin.user_id(), standin.profile())
