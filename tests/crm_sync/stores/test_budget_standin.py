"""The budget against an org over a real socket, every call booked in a real ledger: failure cases 17 and 18."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from crm_sync.access.transport import MeteredSession
from crm_sync.errors import BudgetExhausted, CallCapReached, RetryLater
from crm_sync.ledger import runs, settings
from crm_sync.ledger.database import Database
from crm_sync.ledger.spending import LedgerMeter
from crm_sync.model import ChangedSince
from crm_sync.stores.salesforce import SalesforceStore
from crm_sync.stores.salesforce_soql import statements
from tests.crm_sync.stores.standin import MAPPINGS, StandinOrg, standin_org

NAME = "salesforce_main"
CONTACTS = [ChangedSince("contact")]


@pytest.fixture(scope="module")
def org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        org.people.creates_many("contact", 201)
        yield org


class Ours:
    """One run's way to the org, booked in the ledger."""

    def __init__(self, org: StandinOrg, database: Database) -> None:
        self.org = org
        self.database = database
        with database.transaction() as tx:
            settings.connect(tx, NAME, "salesforce", {})
            self.run_id = runs.insert(tx, NAME, "sync", "test", {})
        meter = LedgerMeter(database, NAME, self.run_id, "sync")
        self.session = MeteredSession(org.session.login, meter, connection=NAME, sleep=lambda _seconds: None)
        self.store = SalesforceStore(self.session, MAPPINGS, lambda: "005000000000001AAA", page_size=200)

    def read(self) -> int:
        return sum(len(page.images) for page in self.store.read(CONTACTS))

    def asks(self) -> None:
        self.session.call("GET", "/services/data/v66.0/sobjects", purpose="sync")

    def choose(self, **chosen: object) -> None:
        with self.database.transaction() as tx:
            settings.change_settings(tx, NAME, chosen)

    def booked(self) -> int:
        with self.database.transaction() as tx:
            return int(tx.one("select count(*) from crm_sync.spending where run_id = %s", (self.run_id,)))

    def looks_again(self) -> None:
        with self.database.transaction() as tx:
            tx.run("update crm_sync.allocation set look_at = clock_timestamp()")


@pytest.fixture
def ours(org: StandinOrg, database_url: str) -> Iterator[Ours]:
    database = Database(database_url)
    uses(org, 0)
    org.people.forgets()
    yield Ours(org, database)
    org.people.mends()
    uses(org, 0)
    database.close()


def uses(org: StandinOrg, calls: int) -> None:
    """Other applications of the org use so many of its 15,000 calls."""
    org.people.ask("POST", "/standin/usage", json={"used": calls})


def test_17_the_days_calls_of_the_org_used_up_are_a_pause_and_no_success(ours: Ours, org: StandinOrg) -> None:
    uses(org, 15_000)
    with pytest.raises(BudgetExhausted, match="by us and all other applications"):
        ours.read()
    served = len(org.people.calls())
    for _ in range(3):
        with pytest.raises(BudgetExhausted, match="the org has 0 of its 15,000 calls"):
            ours.read()
    assert len(org.people.calls()) == served, "nothing is sent while there is no room"
    ours.looks_again()
    with pytest.raises(BudgetExhausted):
        ours.read()
    uses(org, 0)
    ours.looks_again()
    assert ours.read() == 201, "the read begins again and nothing is missing"


def test_17_too_many_calls_at_once_have_the_same_code_and_are_only_a_short_delay(
    ours: Ours, org: StandinOrg
) -> None:
    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    reply = [{"message": text, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    org.people.breaks(action="reply", path="/composite$", status=403, reply=reply)
    with pytest.raises(RetryLater) as later:
        ours.read()
    assert later.value.after < timedelta(minutes=1)
    assert ours.read() == 201


def test_18_a_page_that_leads_to_itself_is_stopped_by_the_cap(ours: Ours, org: StandinOrg) -> None:
    ours.choose(object_calls=10)
    soql = statements(CONTACTS[0], MAPPINGS["contact"])[0]
    found = org.session.call("GET", "/services/data/v66.0/queryAll", params={"q": soql}, purpose="test").body
    page: dict[str, Any] = {
        "totalSize": 201,
        "done": False,
        "nextRecordsUrl": "/services/data/v66.0/query/01gLOOP-200",
        "records": found["records"][:1],
    }
    org.people.breaks(action="reply", method="GET", path="/query/01g", status=200, reply=page, count=1_000)
    with pytest.raises(
        CallCapReached, match=r"has made 10 calls for 'sync contact'.*look at crm_sync.spending"
    ):
        ours.read()
    assert ours.booked() == 11
    with pytest.raises(CallCapReached):
        ours.read()
    assert ours.booked() == 12, "one call for the first pages of all objects, and none for the next"


def test_the_orgs_other_users_keep_their_reserve_whatever_the_header_says(
    ours: Ours, org: StandinOrg
) -> None:
    """The header is off by up to ten; near the reserve the org is asked for its exact figure, once in five minutes."""
    uses(org, 13_480)
    sent, stopped = calls_until_stopped(ours)
    assert re.search(r"1,\d{3} of its 15,000 calls.* 1,500 are kept for its other users", stopped)
    assert 13_480 + sent <= 13_500 + 25 + 10 + 1, "the margin, the jitter, and the call that showed it"
    asked = [call["path"] for call in org.people.calls() if call["path"].endswith("/limits")]
    assert len(asked) == 1
    uses(org, 13_000)
    ours.looks_again()
    ours.asks()


def calls_until_stopped(ours: Ours) -> tuple[int, str]:
    for sent in range(200):
        try:
            ours.asks()
        except BudgetExhausted as stopped:
            return sent, str(stopped)
    raise AssertionError("nothing stopped them")
