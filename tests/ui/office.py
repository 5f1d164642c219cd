"""A connection at work, for stories with real runs: an org of its own, provisioned and synced by Airflow, once for all stories."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests
from playwright.sync_api import Locator, Page, expect

from tests.salesforce_standin.running import ADMIN_TOKEN, CLIENT_ID, CLIENT_SECRET, Client
from tests.salesforce_standin.running import Running as Org
from tests.ui.person import Person
from tests.ui.stack import Running, forget

T = TypeVar("T")
NAME = "office"
DAG = f"crm_sync__{NAME}"
PATIENCE = 180
"""Seconds that a state may take to come: a machine of CI may be busy with other tests."""
LONG = 1000 * PATIENCE
POOL = 40
"""People whom both sides know; each story takes some of its own."""
PEOPLE = """insert into gptweb.contacts (first_name, last_name, email, title, phone, department)
  select 'Ann', 'No ' || n, 'ann' || n || '@office.example', 'Clerk', '555 01' || n, 'Sales' from generate_series(1, %s) n"""


def until(what: str, look: Callable[[], T]) -> T:
    """Wait for a state; gives what was found."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)
    return found


@dataclass(frozen=True)
class Contact:
    """One person, as both sides hold them."""

    our_id: str
    their_id: str
    running: Running
    org: Client

    @property
    def short(self) -> str:
        """As tables name them."""
        return self.our_id[:8]

    def edit_ours(self, **values: str) -> None:
        """Somebody types in GPTWeb."""
        for column, value in values.items():
            self.running.rows(f"update gptweb.contacts set {column} = %s where id = %s", value, self.our_id)

    def edit_theirs(self, **values: str) -> None:
        """Somebody types in Salesforce."""
        reply = self.org.patch(f"/sobjects/Contact/{self.their_id}", values)
        assert reply.status_code == 204, reply.text

    def ours(self, column: str) -> Any:
        """What GPTWeb holds."""
        return self.running.rows(f"select {column} from gptweb.contacts where id = %s", self.our_id)[0][0]

    def theirs(self, field: str) -> Any:
        """What Salesforce holds."""
        return self.org.get(f"/sobjects/Contact/{self.their_id}").json()[field]


@dataclass
class Office:
    """The connection, its org, and its people."""

    running: Running
    base: str
    token: str
    spare: list[tuple[str, str]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)

    @property
    def org(self) -> Client:
        """The org as its sales administrator sees it."""
        return Client(self.base, ADMIN_TOKEN)

    def person(self) -> Contact:
        """One whom no other story knows."""
        return Contact(*self.spare.pop(), self.running, self.org)

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """Ask Airflow, or us, as the administrator's program."""
        reply = requests.request(
            method, f"{self.running.airflow}/{path}", json=content, timeout=30,
            headers={"Authorization": f"Bearer {self.token}"},
        )  # fmt: skip
        assert reply.ok, reply.text
        return reply.json() if reply.content else None

    def choose(self, **settings: object) -> None:
        """Change settings by the API."""
        self.ask("PATCH", f"crm-sync/api/v1/connections/{NAME}/settings", {"settings": settings})

    def pause(self) -> None:
        """Let it sync when somebody asks for it, and never by itself."""
        self.ask("POST", f"crm-sync/api/v1/connections/{NAME}/pause")

    def refuse(self, field: str, value: str, message: str) -> str:
        """An administrator of the org has it refuse contacts with this value; gives the rule's id."""
        rule = {
            "object": "Contact",
            "name": f"No_{field}",
            "message": message,
            "field": field,
            "when": {field: f"^{value}$"},
        }
        reply = self.org.post("/standin/validation-rules", rule)
        assert reply.status_code == 201, reply.text
        self.rules.append(reply.json()["id"])
        return self.rules[-1]

    def allow(self, rule: str) -> None:
        """Take one of these rules back."""
        reply = self.org.delete(f"/standin/rules/{rule}")
        assert reply.ok, reply.text
        self.rules.remove(rule)

    def run(self, admin: Person, button: str = "Run now") -> int:
        """Press it on the connection's page, follow the new run from its first moment, and see it end or ask; its number."""
        page = self.begin(admin, button)
        expect(state(page)).to_have_text(ENDED, timeout=LONG)
        return int(page.url.rpartition("/")[2])

    def begin(self, admin: Person, button: str = "Run now") -> Page:
        """Press it on the connection's page; the page of the run that begins."""
        before = self.newest()
        page = admin.go(f"connections/{NAME}")
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("status")).to_contain_text("was asked for")
        begun = page.get_by_role("table").get_by_role("link").first
        # The page shows it by itself.
        expect(begun).not_to_have_text(str(before), timeout=LONG)
        begun.click()
        page.wait_for_url("**/runs/*")
        return page

    def newest(self) -> int:
        """The number of the newest run."""
        return int(
            self.running.rows("select max(run_id) from crm_sync.run where connection = %s", NAME)[0][0]
        )

    def change(self, run_id: int, contact: Contact) -> list[tuple[Any, ...]]:
        """What the trail says that a run did to a person."""
        return self.running.rows(
            "select side, field, before, after, rule, outcome from crm_sync.audit_trail "
            "where run_id = %s and our_id = %s and outcome <> 'noted' order by side, field, outcome",
            run_id, contact.our_id,
        )  # fmt: skip

    def tidy(self) -> None:
        """Back to the settings of the beginning; what still runs or waits is given up."""
        for rule in list(self.rules):
            self.allow(rule)
        self.choose(**USUAL)
        self.pause()
        for run in self.ask("GET", f"api/v2/dags/~/dagRuns?state=running&state=queued&dag_ids={DAG}")[
            "dag_runs"
        ]:
            if run["dag_id"] in {DAG, f"crm_undo__{NAME}"}:
                where = f"api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"
                self.ask("PATCH", where, {"state": "failed"})


USUAL = {
    "frequency": "hourly", "direction": "bidirectional", "conflict_policy": "most_recent", "reconcile": "never",
    "create_leads": True,
    "approve_creations_above": 5_000, "approve_share_above": 0.3, "approve_share_from": 10,
}  # fmt: skip
ENDED = re.compile(r"^(succeeded|succeeded with parked|failed|refused|waiting approval)$")


def state(page: Page) -> Locator:
    """What the page of a run says of its state."""
    return page.locator("dt", has_text=re.compile("^State$")).locator("xpath=following-sibling::dd[1]")


@contextmanager
def working(running: Running) -> Iterator[Office]:
    """Make it: an org, people on our side, the connection, its provisioning, its first sync; it syncs when asked to."""
    org = Org("--seed", "none")
    office = Office(running, org.base, running.token("admin"))
    try:
        running.rows(PEOPLE, POOL)
        office.ask("POST", "crm-sync/api/v1/connections", {
            "name": NAME, "grant": "client_credentials", "instance_url": org.base, "consumer_key": CLIENT_ID,
            "consumer_secret": CLIENT_SECRET,
        })  # fmt: skip
        office.choose(**USUAL)
        _trigger(office, f"crm_provision__{NAME}")
        until("the first sync", lambda: running.rows(FIRST, NAME))
        office.pause()
        office.spare.extend(running.rows(KNOWN, NAME))
        yield office
    finally:
        forget(running, [NAME])
        office.ask("DELETE", f"api/v2/connections/{NAME}")
        running.rows("delete from gptweb.contacts where email like '%%@office.example'")
        org.stop()


FIRST = "select 1 from crm_sync.run where connection = %s and kind = 'sync' and state = 'succeeded'"
KNOWN = """select c.id::text, l.their_id from gptweb.contacts c join crm_sync.link l on l.our_id = c.id
  where l.connection = %s and l.object = 'contact' and c.email like '%%@office.example' order by c.email desc"""


def _trigger(office: Office, dag: str) -> None:
    def known() -> bool:
        dags = office.ask("GET", f"api/v2/dags?dag_id_pattern={dag}")["dags"]
        return bool(dags)

    until(f"the DAG {dag}", known)
    office.ask("POST", f"api/v2/dags/{dag}/dagRuns", {"logical_date": None})
