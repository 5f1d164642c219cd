"""A stand-in org that a test can spoil as its administrator, and our way into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    """An org, its administrator, and our way into it; ``mend`` takes back what a test spoilt."""

    admin: Standin
    people: SalesforcePeople
    user_id: str
    profile_set: str
    meter: CountingMeter = field(default_factory=CountingMeter)
    secret: str = CLIENT["client_secret"]
    undo: list[Callable[[], Any]] = field(default_factory=list)

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
        self._patch("PermissionSet", self.profile_set, _taken(rights))

    def forbid_records(self, type_: str, *rights: str) -> None:
        """Take object permissions from the integration user's profile."""
        (row,) = self.admin.query(
            f"SELECT Id FROM ObjectPermissions WHERE ParentId = '{self.profile_set}' AND SobjectType = '{type_}'"
        )
        self._patch("ObjectPermissions", row["Id"], _taken(rights))

    def dismiss(self) -> None:
        """Make the integration user inactive."""
        self._patch("User", self.user_id, {"IsActive": False})

    def organization(self, **values: Any) -> None:
        """Change the org itself."""
        (row,) = self.admin.query(f"SELECT {', '.join(values)} FROM Organization")
        self._post("organization", values, {name: row[name] for name in values})

    def settings(self, **values: Any) -> None:
        """Change settings of the org."""
        before = self.people.ask("GET", "/standin/settings")
        self._post("settings", values, {name: before[name] for name in values})

    def features(self, **values: Any) -> None:
        """Switch features of the org."""
        before = self.people.ask("GET", "/standin/features")
        self._post("features", values, {name: before[name] for name in values})

    def profile(self, **policy: Any) -> None:
        """Change the log-in policy of the integration user's profile."""
        usual: dict[str, Any] = {"loginIpRanges": [], "loginHours": None}
        self._post("profiles", {"name": PROFILE, **policy}, {"name": PROFILE, **usual})

    def rule(self, kind: str, **values: Any) -> None:
        """Put a validation or duplicate rule in force."""
        made = self.people.ask("POST", f"/standin/{kind}-rules", json=values)["id"]
        self.undo.append(lambda: self.people.ask("DELETE", f"/standin/rules/{made}"))

    def block_app(self) -> None:
        """Block our app."""
        app = f"/standin/apps/{CLIENT['client_id']}"
        self.people.ask("PATCH", app, json={"blocked": True})
        self.undo.append(lambda: self.people.ask("PATCH", app, json={"blocked": False}))

    def used(self, calls: int) -> None:
        """Pretend that others made so many calls."""
        self._post("usage", {"used": calls}, {"used": 0})

    def clock(self, offset: float) -> None:
        """Put the org's clock ahead."""
        self._post("clock", {"offset": offset}, {"offset": 0})

    def require(self, type_: str, name: str) -> None:
        """Add a field without which no record is saved."""
        metadata = {"label": name, "type": "Text", "length": 20, "required": True}
        body = {"FullName": f"{type_}.{name}", "Metadata": metadata}
        made = self.admin.ask("POST", "/tooling/sobjects/CustomField", json=body)["id"]
        self.undo.append(lambda: self.admin.ask("DELETE", f"/tooling/sobjects/CustomField/{made}"))

    def breaks(self, **fault: Any) -> None:
        """The next call that fits goes wrong."""
        self.people.breaks(**fault)
        self.undo.append(self.people.mends)

    def mend(self) -> None:
        """Take back whatever was spoilt."""
        while self.undo:
            self.undo.pop()()
        self.secret = CLIENT["client_secret"]
        self.meter.booked.clear()

    def _patch(self, type_: str, id_: str, values: dict[str, bool]) -> None:
        path = f"/sobjects/{type_}/{id_}"
        before = self.admin.ask("GET", f"{path}?fields={','.join(values)}")
        self.admin.ask("PATCH", path, json=values)
        usual = {name: before[name] for name in values}
        self.undo.append(lambda: self.admin.ask("PATCH", path, json=usual))

    def _post(self, what: str, values: dict[str, Any], usual: dict[str, Any]) -> None:
        self.people.ask("POST", f"/standin/{what}", json=values)
        self.undo.append(lambda: self.people.ask("POST", f"/standin/{what}", json=usual))


def _taken(rights: Sequence[str]) -> dict[str, bool]:
    return {f"Permissions{right}": False for right in rights}


@contextmanager
def spoilable_org() -> Iterator[Org]:
    """A new org."""
    with start() as standin:
        admin = Standin(standin.url, ADMIN)
        yield Org(admin, SalesforcePeople(standin.url), standin.user_id(), standin.profile())
