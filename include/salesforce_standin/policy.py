"""What an administrator can change while the org runs: session length, log-in rules, allowances, pace of bulk jobs."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from salesforce_standin.config import Settings


@dataclass(slots=True)
class Policy:
    """The org's switches; each has the name under which ``/standin/settings`` shows it."""

    session_seconds: int = 7200
    daily_limit: int = 15_000
    # Paying orgs may go beyond the limit for a while; a Developer Edition may not (facts/salesforce.md 3.1).
    limit_overrun: int = 0
    # Requests that take at least so many seconds are long; with so many long ones at work, others are refused.
    long_request_seconds: int = 20
    concurrent_requests: int = 5
    # The most calls by which Sforce-Limit-Info lags behind; 0 makes it exact.
    limit_lag: int = 10
    # The oldest grant of a user and app makes room for one more; 0 keeps them all.
    grants_per_user: int = 5
    logins_per_hour: int = 3600
    # Networks ("203.0.113.0/24") from which people and apps may log in; none means any.
    login_ranges: list[str] = field(default_factory=list)
    # [from, to): hours of the day, GMT; none means always.
    login_hours: list[int] = field(default_factory=list)
    org_locked: bool = False
    # New orgs have SOAP's login() off (facts/salesforce.md 2.4); old ones still serve it.
    soap_login: bool = True
    # The same of OAuth's user-name-and-password flow.
    password_flow: bool = True
    # How long a bulk job spends in each state at least.
    bulk_milliseconds: int = 100
    # The most rows that all ingest batches together have written in a second; 0 sets no pace.
    bulk_rows_per_second: int = 0
    # Batches of both bulk APIs in any 24 hours: one per 10,000 rows of a job of Bulk API 2.0.
    bulk_batches: int = 15_000
    changed: dict[str, Any] = field(default_factory=dict)

    def show(self) -> dict[str, Any]:
        """Return every switch by name."""
        return {name: value for name, value in asdict(self).items() if name != "changed"}

    def change(self, wanted: dict[str, Any]) -> None:
        """Set some switches, or raise ValueError for what makes no sense; then nothing is changed."""
        known = {one.name for one in fields(self)} - {"changed"}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"{name!r} is no setting: there are {', '.join(sorted(known))}")
            if type(value) is not type(getattr(self, name)):
                raise ValueError(f"{name} must be {_kind(getattr(self, name))}")
            if type(value) is int and value < 0:
                raise ValueError(f"{name} must be 0 or more")
        _check_ranges(wanted.get("login_ranges", []))
        hours = wanted.get("login_hours", [])
        if hours and not (len(hours) == 2 and all(type(hour) is int and 0 <= hour <= 24 for hour in hours)):
            raise ValueError("login_hours must be [] or two hours of the day, like [8, 18]")
        for name, value in wanted.items():
            setattr(self, name, value)
        self.changed.update(wanted)


def of(settings: Settings, changed: dict[str, Any] | None) -> Policy:
    """Return the switches as the command line sets them, with what was changed while the org ran."""
    made = Policy(
        session_seconds=settings.session_seconds,
        daily_limit=settings.daily_limit,
        bulk_milliseconds=settings.bulk_milliseconds,
        bulk_rows_per_second=settings.bulk_rows_per_second,
    )
    made.change(changed or {})
    return made


def _kind(value: Any) -> str:
    return {bool: "true or false", int: "a whole number"}.get(type(value), "a list")


def _check_ranges(ranges: list[str]) -> None:
    for one in ranges:
        try:
            ipaddress.ip_network(one)
        except ValueError:
            raise ValueError(f"{one!r} in login_ranges is no network like 203.0.113.0/24") from None
