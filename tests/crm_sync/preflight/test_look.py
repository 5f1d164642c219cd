"""What preflight asks, and what it makes of answers that the stand-in never gives: a transport of literals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import unquote_plus

import pytest

from crm_sync.access.oauth import Identity
from crm_sync.access.transport import Reply
from crm_sync.decide.preflight_facts import Allowance, Unknown
from crm_sync.errors import Misconfigured, RetryLater
from crm_sync.stores.salesforce_preflight import PURPOSE, SalesforcePreflight
from crm_sync.stores.salesforce_schema_calls import Transport

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
REFUSED = (400, [{"errorCode": "INVALID_TYPE", "message": "not supported"}])
DESCRIBED = (200, {"createable": True, "updateable": True, "deletable": True, "fields": []})


@dataclass
class Literals:
    """Refuses every question but those in ``answers``, by reference id; ``limits`` is a body or an error."""

    answers: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    limits: Any = field(default_factory=lambda: Misconfigured("403; tick it"))
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    subrequests: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, path: str, *, purpose: str, json: Any = None, **_more: Any) -> Reply:
        self.asked.append((method, path, purpose))
        if path.endswith("/limits"):
            if isinstance(self.limits, Exception):
                raise self.limits
            return self._reply(self.limits)
        self.subrequests += json["compositeRequest"]
        answers = [
            (one["referenceId"], *self._answer(one["referenceId"])) for one in json["compositeRequest"]
        ]
        results = [
            {"referenceId": name, "httpStatusCode": status, "body": body, "httpHeaders": {}}
            for name, status, body in answers
        ]
        return self._reply({"compositeResponse": results})

    def _answer(self, name: str) -> tuple[int, Any]:
        return self.answers.get(name) or (DESCRIBED if name.startswith("describe_") else REFUSED)

    def _reply(self, body: Any) -> Reply:
        headers = {"Sforce-Limit-Info": "api-usage=40/1000"}
        return Reply(200, headers, body, NOON, NOON - timedelta(seconds=1), timedelta(seconds=2))


def looked(transport: Literals) -> Any:
    who = Identity(user_id="0055g000000AbCdAAK", organization_id="00D5g000000AbCdEAK")
    asked = cast("Transport", transport)  # preflight calls, and leaves its other half alone
    return SalesforcePreflight(asked, who, "https://acme.my.salesforce.com").look(["Account", "Lead"])


def test_it_asks_three_calls_with_at_most_five_queries_each() -> None:
    transport = Literals({"user": (200, {"Username": "a@acme.example", "ProfileId": "00e5g000000AbCdAAK"})})
    looked(transport)
    assert [path.rpartition("v66.0")[2] for _, path, _ in transport.asked] == [
        "/composite",
        "/tooling/composite",
        "/limits",
    ]
    assert {purpose for _, _, purpose in transport.asked} == {PURPOSE}
    assert {one["method"] for one in transport.subrequests} == {"GET"}
    queries = [one["url"] for one in transport.subrequests if "/query/" in one["url"]]
    assert sum("/tooling/" not in url for url in queries) == 5
    assert all("'00" not in unquote_plus(url) or "IN ('00" in unquote_plus(url) for url in queries)


def test_when_everything_is_refused_nothing_is_known_but_what_the_replies_themselves_tell() -> None:
    facts = looked(Literals())
    for name in ("organization", "sharing", "user", "session", "rights", "record_rights", "duplicate_rules"):
        assert isinstance(getattr(facts, name), Unknown), name
    assert isinstance(facts.validation_rules, Unknown)
    assert facts.log_in == Unknown("the integration user's profile is not known")
    assert facts.calls == Allowance(1000, 960)
    assert facts.storage == Unknown("403; tick it")
    assert facts.clock.offset == timedelta(seconds=0.5)
    assert facts.clock.error == timedelta(seconds=1.5)


@pytest.mark.parametrize("profile", [None, ""])
def test_a_user_whose_profile_is_not_shown_is_not_asked_for_it(profile: str | None) -> None:
    transport = Literals({"user": (200, {"Username": "a@acme.example", "ProfileId": profile})})
    facts = looked(transport)
    assert facts.user.username == "a@acme.example"
    assert isinstance(facts.log_in, Unknown)
    assert not [one for one in transport.subrequests if "/Profile/" in one["url"]]


@pytest.mark.parametrize("status", [403, 404])
def test_an_object_that_is_not_described_is_not_seen(status: int) -> None:
    transport = Literals({"describe_Lead": (status, [{"errorCode": "NOT_FOUND", "message": "no"}])})
    assert looked(transport).types.keys() == {"Account"}


def test_trouble_in_the_org_is_no_missing_object() -> None:
    body = [{"errorCode": "UNKNOWN_EXCEPTION", "message": "An unexpected error occurred."}]
    with pytest.raises(RetryLater, match="describe of Lead"):
        looked(Literals({"describe_Lead": (500, body)}))


def test_the_org_tells_its_limits_itself_where_it_may() -> None:
    limits = {
        "DailyApiRequests": {"Max": 1000, "Remaining": 900},
        "DataStorageMB": {"Max": 5, "Remaining": 4},
    }
    facts = looked(Literals(limits=limits))
    assert (facts.calls, facts.storage) == (Allowance(1000, 900), Allowance(5, 4))


def test_a_call_that_may_be_repeated_is() -> None:
    with pytest.raises(RetryLater):
        looked(Literals(limits=RetryLater("busy")))
