"""A provisioned stand-in org over a socket, our way into it, and people who work in it with a session of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import requests

from crm_sync.access.app import App
from crm_sync.access.login import MemoryLogin
from crm_sync.access.oauth import OAuthEndpoint, identity
from crm_sync.access.transport import MeteredSession
from crm_sync.mapping_files import load_mappings
from crm_sync.model import ApiUsage, Object, Value
from crm_sync.provision import Provisioning
from crm_sync.stores.salesforce import SalesforceStore
from crm_sync.stores.salesforce_schema import SalesforceSchema
from tests.crm_sync.provision.orgs import MemoryLedger
from tests.crm_sync.provision.standin import ADMIN, CLIENT, start

MAPPINGS = load_mappings("salesforce")


@dataclass
class CountingMeter:
    """Counts what is booked."""

    booked: list[str] = field(default_factory=list)

    def book(self, purpose: str) -> None:
        self.booked.append(purpose)

    def saw(self, at: datetime | None, usage: ApiUsage | None, *, exact: bool = False) -> None:
        pass

    def asks_limits(self) -> bool:
        return False


class SalesforcePeople:
    """The org's administrator, who works in it by REST; and the stand-in's own levers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {ADMIN}"

    def ask(self, method: str, path: str, **content: Any) -> Any:
        reply = self._session.request(method, self.url + path, timeout=30, **content)
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    def rest(self, method: str, path: str, **content: Any) -> Any:
        return self.ask(method, f"/services/data/v66.0{path}", **content)

    def creates(self, object: Object, **values: Value) -> str:
        return str(
            self.rest("POST", f"/sobjects/{MAPPINGS[object].theirs}", json=_named(object, values))["id"]
        )

    def edits(self, id: str, column: str, value: Value) -> None:
        object = next(o for o, prefix in PREFIXES.items() if id.startswith(prefix))
        self.rest("PATCH", f"/sobjects/{MAPPINGS[object].theirs}/{id}", json=_named(object, {column: value}))

    def deletes(self, id: str) -> None:
        object = next(o for o, prefix in PREFIXES.items() if id.startswith(prefix))
        self.rest("DELETE", f"/sobjects/{MAPPINGS[object].theirs}/{id}")

    def creates_many(self, object: Object, count: int) -> list[str]:
        made: list[str] = []
        for first in range(0, count, 200):
            records = [
                {"attributes": {"type": MAPPINGS[object].theirs}, "LastName": f"Many {n}"}
                for n in range(first, min(first + 200, count))
            ]
            made += [r["id"] for r in self.rest("POST", "/composite/sobjects", json={"records": records})]
        return made

    def empties(self, type_: str) -> None:
        """Nobody has ever been there: all records of an object are deleted, and gone from the recycle bin."""
        query = {"q": f"SELECT Id FROM {type_}"}  # a name in a test
        found = self.rest("GET", "/queryAll", params=query)
        records = list(found["records"])
        while not found["done"]:
            found = self.ask("GET", found["nextRecordsUrl"])
            records += found["records"]
        ids = [record["Id"] for record in records]
        for first in range(0, len(ids), 200):
            some = ids[first : first + 200]
            self.rest("DELETE", "/composite/sobjects", params={"ids": ",".join(some)})
            self.ask("POST", "/standin/records/purge", json={"ids": some})

    def merges(self, master: str, loser: str) -> None:
        self.ask("POST", "/standin/records/merge", json={"masterId": master, "loserIds": [loser]})

    def breaks(self, **fault: Any) -> None:
        """The next call that fits goes wrong; see salesforce_standin/faults.py."""
        self.ask("POST", "/standin/faults", json=fault)

    def mends(self) -> None:
        self.ask("DELETE", "/standin/faults")

    def calls(self) -> list[dict[str, Any]]:
        """What the org was asked since ``forgets``, our own requests here aside."""
        calls: Sequence[dict[str, Any]] = self.ask("GET", "/standin/calls")["calls"]
        return [call for call in calls if call["user"] != "admin@gptweb.example"]

    def forgets(self) -> None:
        self.ask("DELETE", "/standin/calls")


PREFIXES: dict[Object, str] = {"account": "001", "contact": "003", "lead": "00Q"}


@dataclass
class StandinOrg:
    """One org for a whole module of tests."""

    people: SalesforcePeople
    meter: CountingMeter
    session: MeteredSession

    def store(self, **settings: Any) -> SalesforceStore:
        return SalesforceStore(self.session, MAPPINGS, lambda: identity(self.session).user_id, **settings)


@contextmanager
def standin_org() -> Iterator[StandinOrg]:
    with start() as standin:
        meter = CountingMeter()
        endpoint = OAuthEndpoint(App(standin.url, CLIENT["client_id"], CLIENT["client_secret"]))
        login = MemoryLogin(lambda: endpoint.fetch().session)
        with MeteredSession(login, meter, sleep=lambda _seconds: None) as session:
            stages = Provisioning("test", lambda _run: SalesforceSchema(session), MAPPINGS, MemoryLedger())
            run_id, _report = stages.plan("provision")
            stages.apply(run_id)
            meter.booked.clear()
            yield StandinOrg(SalesforcePeople(standin.url), meter, session)


def _named(object: Object, values: dict[str, Value]) -> dict[str, Value]:
    return {MAPPINGS[object].by_ours[column].theirs: value for column, value in values.items()}
