"""Who may log in, whatever the way: password, state of the user and the org, network, hour and rate."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_HOUR = 3600.0


class Refused(Exception):
    """A log-in that is not allowed: in the words of OAuth and with the exception code of SOAP."""

    def __init__(self, code: str, description: str, soap: str = "INVALID_LOGIN") -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.soap = soap


BAD_PASSWORD = Refused("invalid_grant", "authentication failure")


class Rate:
    """Log-ins of the last hour by user; a restart forgets them."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    def enter(self, user_id: str, now: float, most: int) -> bool:
        """Count a log-in, unless the user had too many in the last hour."""
        times = self._times.setdefault(user_id, deque())
        while times and times[0] <= now - _HOUR:
            times.popleft()
        if len(times) >= most:
            return False
        times.append(now)
        return True


def user_named(org: Org, username: str) -> Row | None:
    """Return a user by name, in any case."""
    wanted = username.strip().lower()
    return next((user for user in org.users() if user["Username"].lower() == wanted), None)


def with_password(org: Org, username: str, password: str) -> Row:
    """Return the user whose name and password these are."""
    user = user_named(org, username)
    if user is None or not _is_password(org, user, password):
        raise BAD_PASSWORD
    return user


def with_password_and_token(org: Org, username: str, password: str) -> Row:
    """Return the user of an API log-in, whose password may have the security token behind it."""
    token = org.settings.security_token
    if token and password.endswith(token):
        return with_password(org, username, password.removesuffix(token))
    return with_password(org, username, password)


def _is_password(org: Org, user: Row, given: str) -> bool:
    stored = org.passwords.get(user["Id"])
    if stored is None:
        return hmac.compare_digest(given.encode(), org.settings.password.encode())
    salt, _, digest = stored.partition(":")
    return hmac.compare_digest(_digest(salt, given), digest)


def set_password(org: Org, user_id: str, password: str) -> None:
    """Give a user a password of their own."""
    salt = secrets.token_hex(16)
    org.passwords[user_id] = f"{salt}:{_digest(salt, password)}"
    org.remember("passwords", org.passwords)


def _digest(salt: str, password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=salt.encode(), n=2**12, r=8, p=1).hex()


def admit(org: Org, user: Row, remote: str) -> None:
    """Let a known user in, or say why not (facts/salesforce.md 2.3)."""
    policy = org.policy
    if policy.org_locked:
        raise Refused("inactive_org", "organization is locked or suspended", "ORG_LOCKED")
    if not user.get("IsActive"):
        raise Refused("inactive_user", "user is inactive")
    profile = org.tables["Profile"].rows.get(user["ProfileId"], {})
    if not _is_in_ranges(remote, profile.get("_login_ranges") or []):
        raise Refused("invalid_grant", "ip restricted", "LOGIN_DURING_RESTRICTED_DOMAIN")
    if not _is_in_hours(org.clock.moment(), profile.get("_login_hours") or {}):
        raise Refused("invalid_grant", "IP restricted or invalid login hours", "LOGIN_DURING_RESTRICTED_TIME")
    if policy.login_ranges and not _is_inside(remote, policy.login_ranges):
        raise Refused("invalid_grant", "ip restricted", "LOGIN_DURING_RESTRICTED_DOMAIN")
    if policy.login_hours and not _is_open(org.clock.moment().hour, *policy.login_hours):
        raise Refused("invalid_grant", "IP restricted or invalid login hours", "LOGIN_DURING_RESTRICTED_TIME")
    if not org.login_rate.enter(user["Id"], org.clock.now(), policy.logins_per_hour):
        raise Refused("rate_limit_exceeded", "login rate exceeded", "LOGIN_RATE_EXCEEDED")


def _is_inside(remote: str, ranges: list[str]) -> bool:
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one) for one in ranges)


def _is_open(hour: int, first: int, last: int) -> bool:
    return first <= hour < last if first <= last else hour >= first or hour < last


def _is_in_ranges(remote: str, ranges: list[dict[str, str]]) -> bool:
    """Whether an address lies in one of a profile's ranges, if it has any."""
    if not ranges:
        return True
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return False
    edges = [(ipaddress.ip_address(r["startAddress"]), ipaddress.ip_address(r["endAddress"])) for r in ranges]
    return any(
        first.version == last.version == address.version and int(first) <= int(address) <= int(last)
        for first, last in edges
    )


def _is_in_hours(now: datetime, hours: dict[str, int]) -> bool:
    """Whether a profile's log-in hours, minutes of each day, are open; a day that they leave out is open."""
    day, minute = now.strftime("%A").lower(), now.hour * 60 + now.minute
    start, end = hours.get(day + "Start"), hours.get(day + "End")
    return start is None or end is None or int(start) <= minute < int(end)
