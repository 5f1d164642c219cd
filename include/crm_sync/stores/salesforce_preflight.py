"""What preflight asks of a Salesforce org: three calls, and what is refused there is an Unknown, never a crash.

One composite (describe of the objects, the organization, the user, the session, rights, duplicate rules), one of
Tooling (validation rules, the profile's log-in policy), and the limits.  The objects and fields are those of the
Object Reference and of the Tooling guide, v66; which of them need 'View Setup and Configuration' stands there too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote_plus

from crm_sync.access.oauth import Identity
from crm_sync.access.replies import call_error
from crm_sync.access.reply import Reply, api_usage
from crm_sync.decide.preflight_facts import Allowance, Facts, TypeFacts, Unknown
from crm_sync.errors import Misconfigured, SessionExpired
from crm_sync.model import ClockReading
from crm_sync.stores import salesforce_preflight_wire as wire
from crm_sync.stores.salesforce_schema_calls import (
    Calls,
    Results,
    Subrequest,
    Transport,
    composite_body,
    get,
    query,
    results_of,
    soql,
)
from crm_sync.stores.salesforce_schema_wire import DATA, quoted

__all__ = ["PURPOSE", "SalesforcePreflight"]

T = TypeVar("T")

PURPOSE = "preflight"
SERVER_TROUBLE = 500
_GRAIN = timedelta(seconds=1)
"""Of the Date header."""


class SalesforcePreflight:
    """The facts of the org at ``instance_url``; ``identity``: whose session it is."""

    def __init__(self, transport: Transport, identity: Identity, instance_url: str) -> None:
        self._calls = Calls(transport, PURPOSE)
        self._identity = identity
        self._instance_url = instance_url

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self._calls.made

    def look(self, types: Sequence[str]) -> Facts:
        """Everything that can be found out; the whole call refused (no API access) is raised."""
        requests = [*_rows(types, self._identity), *_questions(types, self._identity)]
        first = self._calls.reply("POST", f"{DATA}/composite", json=composite_body(requests))
        results = results_of(first)
        user = wire.fact(results["user"], dict)
        profile = wire.fact(results["profile"], wire.only_row)
        tooling = self._tooling(types, user)
        limits = self._limits(first)
        return Facts(
            instance_url=self._instance_url,
            organization=wire.fact(results["organization"], wire.organization),
            sharing=wire.fact(results["sharing"], wire.sharing),
            user=wire.fact(results["user"], lambda row: wire.user(row, profile)),
            session=wire.fact(results["session"], lambda body: wire.session(wire.only_row(body))),
            rights=wire.fact(results["rights"], lambda body: wire.rights(wire.only_row(body))),
            record_rights=wire.fact(results["records"], wire.record_rights),
            types=_described(results, types),
            duplicate_rules=wire.fact(results["duplicates"], wire.duplicate_rules),
            validation_rules=_from(tooling, "validation", wire.validation_rules),
            log_in=_from(tooling, "profile", wire.log_in_policy),
            calls=limits[0],
            storage=limits[1],
            clock=_clock(first),
        )

    def _tooling(self, types: Sequence[str], user: dict[str, Any] | Unknown) -> Results | Unknown:
        """Validation rules and the profile; of these two no other API tells."""
        names = ("ValidationName", "ErrorMessage", "EntityDefinition.QualifiedApiName")
        chosen = f"WHERE Active = true AND EntityDefinition.QualifiedApiName IN {quoted(types)}"
        rules = soql(names, "ValidationRule", chosen, "ORDER BY ValidationName")
        requests = [get("validation", f"tooling/query/?q={quote_plus(rules)}")]
        if not isinstance(user, Unknown) and user.get("ProfileId"):
            requests.append(get("profile", f"tooling/sobjects/Profile/{user['ProfileId']}"))
        return _unless_refused(lambda: self._calls.composite(requests, "/tooling"))

    def _limits(self, first: Reply) -> tuple[Allowance | Unknown, Allowance | Unknown]:
        """Calls and storage; what a user without 'View Setup and Configuration' sees of them is in every reply's header."""
        found = _unless_refused(lambda: self._calls.call("GET", f"{DATA}/limits"))
        if not isinstance(found, Unknown):
            return wire.allowance(found, "DailyApiRequests"), wire.allowance(found, "DataStorageMB")
        usage = api_usage(first.headers)
        return Allowance(usage.limit, usage.limit - usage.used) if usage else found, found


def _rows(types: Sequence[str], identity: Identity) -> list[Subrequest]:
    """What is read by name or id: of queries a composite takes but five."""
    organization = f"sobjects/Organization/{identity.organization_id}"
    return [
        *(get(f"describe_{type_}", f"sobjects/{type_}/describe") for type_ in types),
        get("organization", f"{organization}?fields={','.join(wire.ORGANIZATION)}"),
        get("sharing", f"{organization}?fields={','.join(wire.SHARING)}"),
        get("user", f"sobjects/User/{identity.user_id}?fields={','.join(wire.USER)}"),
    ]


def _questions(types: Sequence[str], identity: Identity) -> list[Subrequest]:
    user = quoted([identity.user_id])
    sets = soql(("PermissionSetId",), "PermissionSetAssignment", f"WHERE AssigneeId IN {user}")
    return [
        query("profile", wire.PROFILE, "User", f"WHERE Id IN {user}"),
        # The caller's rights as they are in effect, over all that is assigned; it needs no right itself.
        query("rights", wire.RIGHTS, "UserPermissionAccess", "LIMIT 1"),
        query(
            "session",
            wire.SESSION,
            "AuthSession",
            "WHERE IsCurrent = true ORDER BY LastModifiedDate DESC LIMIT 1",
        ),
        query(
            "records",
            ("SobjectType", "PermissionsViewAllRecords", "PermissionsModifyAllRecords"),
            "ObjectPermissions",
            f"WHERE SobjectType IN {quoted(types)} AND ParentId IN ({sets})",
        ),
        query(
            "duplicates",
            ("SobjectType", "MasterLabel"),
            "DuplicateRule",
            f"WHERE IsActive = true AND SobjectType IN {quoted(types)} ORDER BY SobjectType, MasterLabel",
        ),
    ]


def _described(results: Results, types: Sequence[str]) -> dict[str, TypeFacts]:
    """The objects that the user sees; trouble in the org says nothing about that, and is asked again later."""
    found = {}
    for type_ in types:
        status, body = (results[f"describe_{type_}"][part] for part in ("httpStatusCode", "body"))
        if status < 400:
            found[type_] = wire.type_facts(body)
        elif status >= SERVER_TROUBLE:
            raise call_error(status, body, writes=False, what=f"describe of {type_}", connection="")
    return found


def _from(results: Results | Unknown, name: str, read: Callable[[Any], T]) -> T | Unknown:
    if isinstance(results, Unknown):
        return results
    if name not in results:
        return Unknown("the integration user's profile is not known")
    return wire.fact(results[name], read)


def _unless_refused(ask: Callable[[], T]) -> T | Unknown:
    try:
        return ask()
    except (Misconfigured, SessionExpired) as error:
        return Unknown(str(error))


def _clock(reply: Reply) -> ClockReading:
    """The server's Date lies somewhere in the call, and somewhere in its second."""
    middle = reply.sent_at + reply.took / 2
    return ClockReading(reply.server_date + _GRAIN / 2 - middle, (reply.took + _GRAIN) / 2)
