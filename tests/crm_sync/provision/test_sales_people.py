"""The sales people over a socket: who gets the read-only set, what they then see, and who can't be found."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crm_sync.decide.schema import Choices
from crm_sync.errors import IncompleteRead, Misconfigured
from crm_sync.stores.salesforce_schema_calls import Calls, Transport
from tests.crm_sync.provision.orgs import WANTED
from tests.crm_sync.provision.stack import Stack
from tests.crm_sync.provision.standin import start

FOR_PEOPLE = {f.name for f in WANTED if f.for_people}
NOT_FOR_PEOPLE = {"GPTWeb_Id__c", "GPTWeb_Sync_Marker__c"}


@pytest.fixture
def stack() -> Iterator[Stack]:
    with start() as standin:
        yield Stack(standin)


@pytest.fixture
def profile(stack: Stack) -> str:
    """A profile that knows nothing of our fields, as all profiles do."""
    name: str = stack.standin.query("SELECT Profile.Name FROM User WHERE Alias = 'admin'")[0]["Profile"][
        "Name"
    ]
    return name


def test_the_chosen_see_the_six_fields_read_only_and_no_service_field(stack: Stack, profile: str) -> None:
    stack.standin.hire("jo@sales.example", profile)
    stack.standin.hire("other@sales.example", profile)
    stack.choices = Choices(sales_users=("JO@sales.example",))
    stack.run()
    assert len(FOR_PEOPLE) == 6
    for type_ in ("Account", "Contact", "Lead"):
        seen = stack.standin.seen_by("jo@sales.example", type_)
        assert seen.keys() >= FOR_PEOPLE
        assert not NOT_FOR_PEOPLE & seen.keys()
        assert not any(seen[name]["updateable"] or seen[name]["createable"] for name in FOR_PEOPLE)
        assert not (FOR_PEOPLE | NOT_FOR_PEOPLE) & stack.standin.seen_by("other@sales.example", type_).keys()


def test_a_profile_means_its_active_users_and_again_plans_nothing(stack: Stack, profile: str) -> None:
    gone = stack.standin.hire("gone@sales.example", profile, active=False)
    ids = [stack.standin.hire(f"rep{n}@sales.example", profile) for n in range(3)]
    stack.choices = Choices(sales_users=(ids[0][:15],), sales_profiles=(profile.upper(),))
    stack.run()
    rows = stack.standin.query(
        "SELECT AssigneeId FROM PermissionSetAssignment WHERE PermissionSet.Name = 'GPTWeb_Insights'"
    )
    assigned = [row["AssigneeId"] for row in rows]
    assert set(ids) < set(assigned)
    assert gone not in assigned
    assert stack.ledger.runs[stack.run()].counts["planned"] == 0


def test_all_unknown_names_are_refused_at_once_and_nothing_is_changed(stack: Stack, profile: str) -> None:
    before = stack.standin.state()
    stack.choices = Choices(("no@body.example", "005000000000000"), (profile, "Sails", "O'Brien's"))
    with pytest.raises(Misconfigured) as caught:
        stack.run()
    for name in ("no@body.example", "005000000000000", "Sails", "O'Brien's"):
        assert name in str(caught.value)
    assert "Setting sales_users: found no user 'no@body.example' in the org" in str(caught.value)
    assert stack.standin.state() == before


def test_an_inactive_one_is_passed_over_and_named(stack: Stack, profile: str) -> None:
    stack.standin.hire("gone@sales.example", profile, active=False)
    stack.choices = Choices(("gone@sales.example",))
    _, report = stack.stages().plan("inactive")
    assert report.counts["assign_user"] == 0
    assert "gone@sales.example of sales_users is inactive and gets no assignment." in report.lines()


def test_two_hundred_and_one_take_two_calls_more(stack: Stack, profile: str) -> None:
    stack.choices = Choices(sales_profiles=(profile,))
    stack.run()
    for n in range(201):
        stack.standin.hire(f"rep{n}@sales.example", profile)
    stack.meter.booked.clear()
    assert stack.ledger.runs[stack.run()].counts["acknowledged"] == 201
    looks = 2 * 2 + 1  # plan and apply: set-up and people; verify
    assert len(stack.meter.booked) == looks + 2


class Paged:
    """Answers a composite with a first page, and the next address with the last."""

    def __init__(self, announced: int) -> None:
        self.announced = announced

    def call(self, method: str, path: str, **content: Any) -> Any:
        rows = [{"Id": "0Pa1"}] if path == "/next" else [{"Id": "0Pa0"}]
        return SimpleNamespace(body={"records": rows, "totalSize": self.announced, "done": path == "/next"})


def test_assignments_beyond_one_page_are_all_read_or_it_is_an_error() -> None:
    first = {"records": [{"Id": "0Pa0"}], "totalSize": 2, "done": False, "nextRecordsUrl": "/next"}
    found = Calls(cast("Transport", Paged(2))).all_rows({"httpStatusCode": 200, "body": first})
    assert [row["Id"] for row in found] == ["0Pa0", "0Pa1"]
    with pytest.raises(IncompleteRead, match="2 set-up rows arrived of 3 announced"):
        Calls(cast("Transport", Paged(3))).all_rows(
            {"httpStatusCode": 200, "body": {**first, "totalSize": 3}}
        )
