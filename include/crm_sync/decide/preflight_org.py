"""The org around the integration user: edition, log-in policies, session, calls, storage, clock; pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address

from crm_sync.decide.preflight_facts import (
    Allowance,
    Expectations,
    Facts,
    LogInPolicy,
    Organization,
    Session,
    Unknown,
    User,
)
from crm_sync.decide.preflight_line import CheckLine, listed, not_known, ok, warning

__all__ = ["log_in_lines", "org_lines"]

_CLOCK = timedelta(seconds=30)
"""More than that is no jitter; a signed log-in (JWT) is refused from some minutes on (facts/salesforce.md 2.1)."""
_ADMINISTRATOR = "System Administrator"
_COMPANY = "Setup → Company Information"


def log_in_lines(facts: Facts) -> Iterator[CheckLine]:
    """The log-in, the app and the user; that these lines exist shows that app and policies let us in."""
    app = ("app", "Connected or external client app")
    if isinstance(facts.session, Unknown):
        yield ok(*app, f"it let us in to {facts.instance_url}")
    else:
        yield ok(*app, f"'{facts.session.application}' let us in to {facts.instance_url}")
    user = ("integration_user", "Integration user")
    if isinstance(facts.user, Unknown):
        yield not_known(*user, facts.user, "See Setup → Users.")
    elif facts.user.profile == _ADMINISTRATOR:
        yield warning(
            *user,
            f"{_words(facts.user)}: whoever gets hold of this user's token may do everything",
            f"In Setup → Profiles, clone '{_ADMINISTRATOR}' as 'GPTWeb Integration User', and assign it to a user of "
            "GPTWeb's own. docs/permissions.md lists the least that it needs.",
        )
    else:
        yield ok(*user, _words(facts.user))


def org_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """Everything else about the org."""
    yield from _kind(facts.organization)
    yield _addresses(facts.log_in, facts.session)
    yield _hours(facts.log_in)
    yield _session(expected.every, facts.session)
    yield _calls(expected, facts.calls)
    yield _storage(facts.storage)
    yield _clock(facts)


def _words(user: User) -> str:
    return f"{user.username}, profile '{user.profile}', licence '{user.licence}'"


def _kind(org: Organization | Unknown) -> Iterator[CheckLine]:
    edition, environment = ("edition", "Edition"), ("environment", "Sandbox or production")
    if isinstance(org, Unknown):
        yield not_known(*edition, org, f"See {_COMPANY} → Organization Edition.")
        yield not_known(*environment, org, f"See {_COMPANY} → Instance.")
        return
    if org.trial_ends:
        yield warning(
            *edition,
            f"{org.edition}, a trial that ends on {org.trial_ends:%Y-%m-%d}; the sync ends with it",
            "Buy the org before that day, or connect the org that will stay.",
        )
    else:
        yield ok(*edition, org.edition)
    if org.sandbox:
        yield ok(*environment, f"a sandbox, on {org.instance}; what is synced does not reach production")
    else:
        yield ok(*environment, f"not a sandbox, on {org.instance}")


def _addresses(policy: LogInPolicy | Unknown, session: Session | Unknown) -> CheckLine:
    line = ("ip_restriction", "Login IP ranges")
    where = "Setup → Profiles → the integration user's profile → Login IP Ranges"
    if isinstance(policy, Unknown):
        return not_known(
            *line, policy, f"See {where}; they have to contain the addresses of GPTWeb's workers."
        )
    if not policy.ip_ranges:
        return ok(*line, "the profile has none")
    ranges = listed([f"{first} to {last}" for first, last in policy.ip_ranges])
    if isinstance(session, Unknown):
        return not_known(
            *line,
            Unknown(
                f"only from {ranges}; from which address these calls came is not known: {session.reason}"
            ),
            f"Compare {where} with the addresses of GPTWeb's workers.",
        )
    if _inside(session.source_ip, policy.ip_ranges):
        return ok(*line, f"only from {ranges}; these calls came from {session.source_ip}")
    return warning(
        *line,
        f"only from {ranges}, but these calls came from {session.source_ip}",
        f"Add the addresses of all of GPTWeb's workers in {where}; or choose 'Relax IP restrictions' in the app's "
        "policies.",
    )


def _inside(address: str, ranges: tuple[tuple[str, str], ...]) -> bool:
    try:
        here = ip_address(address)
        return any(
            here.version == ip_address(first).version
            and int(ip_address(first)) <= int(here) <= int(ip_address(last))
            for first, last in ranges
        )
    except ValueError:  # Salesforce shows no address, but words, for calls that it makes itself
        return False


def _hours(policy: LogInPolicy | Unknown) -> CheckLine:
    line = ("login_hours", "Login hours")
    where = "Setup → Profiles → the integration user's profile → Login Hours"
    if isinstance(policy, Unknown):
        return not_known(*line, policy, f"See {where}; outside of them the sync stands still.")
    if not policy.hours:
        return ok(*line, "the profile has none")
    hours = listed([f"{day} {start} to {end}" for day, start, end in policy.hours])
    return warning(
        *line,
        f"only {hours}, in the org's time zone; outside of them the sync stands still",
        f"In {where}, clear all times.",
    )


def _session(every: timedelta, session: Session | Unknown) -> CheckLine:
    line = ("session_timeout", "Session time-out")
    where = "Setup → Session Settings → Timeout Value (or Session Settings of the user's profile)"
    if isinstance(session, Unknown):
        return not_known(*line, session, f"See {where}; it should be longer than {_minutes(every)}.")
    if session.lasts >= every:
        return ok(*line, f"{_minutes(session.lasts)}, and a sync every {_minutes(every)} keeps it alive")
    return warning(
        *line,
        f"{_minutes(session.lasts)}, but the sync comes every {_minutes(every)}: each run has to log in anew",
        f"In {where}, choose a longer one, or let the sync come more often.",
    )


def _calls(expected: Expectations, calls: Allowance | Unknown) -> CheckLine:
    line = ("api_allocation", "API calls of 24 hours")
    if isinstance(calls, Unknown):
        return not_known(*line, calls, f"See {_COMPANY} → API Requests, Last 24 Hours.")
    used = calls.limit - calls.left
    others = max(0, used - expected.spent)
    evidence = f"{used:,} of {calls.limit:,} used: {expected.spent:,} by GPTWeb, {others:,} by others"
    for_us = max(0, calls.limit - others)
    # What the org tells is minutes old (facts/salesforce.md 3.2): less than a hundredth says nothing.
    if for_us + calls.limit // 100 >= expected.daily_calls:
        return ok(*line, f"{evidence}; GPTWeb's budget of {expected.daily_calls:,} fits in")
    return warning(
        *line,
        f"{evidence}; that leaves {for_us:,} of GPTWeb's budget of {expected.daily_calls:,}",
        f"Set the budget to at most {for_us:,}, buy API calls, or see in {_COMPANY} and in the report 'API Usage Last 7 "
        "Days' who the others are.",
    )


def _storage(storage: Allowance | Unknown) -> CheckLine:
    line = ("storage", "Data storage")
    if isinstance(storage, Unknown):
        return not_known(*line, storage, "See Setup → Storage Usage.")
    evidence = f"{storage.left:,} of {storage.limit:,} MB free"
    if storage.left * 20 >= storage.limit:
        return ok(*line, evidence)
    return warning(
        *line,
        f"{evidence}; when it is full, Salesforce refuses every new record",
        "Delete records in Setup → Storage Usage, or buy data storage.",
    )


def _clock(facts: Facts) -> CheckLine:
    line = ("clock", "Clock offset")
    ahead, unsure = facts.clock.offset.total_seconds(), facts.clock.error.total_seconds()
    evidence = f"Salesforce is {ahead:+.1f} s from this machine, give or take {unsure:.1f} s"
    if abs(facts.clock.offset) <= _CLOCK + facts.clock.error:
        return ok(*line, evidence)
    return warning(
        *line,
        f"{evidence}; 'most recent wins' allows for it, but signed log-ins (JWT) will be refused",
        "Set this machine's clock by NTP.",
    )


def _minutes(duration: timedelta) -> str:
    minutes = duration.total_seconds() / 60
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:g} h"
