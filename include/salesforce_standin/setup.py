"""Set-up without a REST resource, under /standin: rules, features, the organization, log-in policies of profiles."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from salesforce_standin import features, field_changes, rules
from salesforce_standin.errors import ApiError, fail, not_found
from salesforce_standin.http_call import Call, Reply
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _wrong(message: str) -> ApiError:
    return fail(400, "INVALID_INPUT", message)


def add_validation_rule(org: Org, call: Call) -> Reply:
    """Put a validation rule in force: ``{"object", "name", "message", "field"?, "when"?, "active"?}``."""
    given = call.document()
    kind = _object(org, given)
    when = given.get("when") or {}
    for field, pattern in when.items():
        if field not in org.objects[kind].fields:
            raise _wrong(f"{kind} has no field {field!r}")
        _pattern(pattern)
    return Reply(201, {"id": keep(org, call, rules.VALIDATION, validation_row(kind, given, when))})


def validation_row(kind: str, given: dict[str, Any], when: dict[str, str]) -> Row:
    """Return the row of a validation rule."""
    name, message, active = str(given["name"]), str(given["message"]), bool(given.get("active", True))
    return {
        "ValidationName": name,
        "FullName": f"{kind}.{name}",
        "Active": active,
        "Description": given.get("description"),
        "EntityDefinitionId": kind,
        "ErrorDisplayField": given.get("field"),
        "ErrorMessage": message,
        "ManageableState": "unmanaged",
        "Metadata": {
            "active": active,
            "description": given.get("description"),
            "errorConditionFormula": given.get("formula", "true"),
            "errorDisplayField": given.get("field"),
            "errorMessage": message,
            "shouldEvaluateOnClient": None,
            "urls": None,
        },
        "_when": when,
    }


def add_duplicate_rule(org: Org, call: Call) -> Reply:
    """Put a duplicate rule in force: ``{"object", "name", "fields", "allow_save"?, "message"?, "active"?}``."""
    given = call.document()
    kind = _object(org, given)
    names = given.get("fields") or []
    unknown = [name for name in names if name not in org.objects[kind].fields]
    if unknown:
        raise _wrong(f"{kind} has no field {unknown[0]!r}")
    row = {
        "DeveloperName": str(given["name"]),
        "MasterLabel": str(given.get("label") or str(given["name"]).replace("_", " ")),
        "Language": "en_US",
        "SobjectType": kind,
        "SobjectSubtype": "None",
        "IsDeleted": False,
        "IsActive": bool(given.get("active", True)),
        "_fields": names,
        "_allow_save": bool(given.get("allow_save", True)),
        "_message": given.get("message"),
    }
    return Reply(201, {"id": keep(org, call, rules.DUPLICATE, row)})


def remove_rule(org: Org, call: Call) -> Reply:
    """Delete a validation or duplicate rule by its id."""
    id18 = call.path.rpartition("/")[2]
    for kind in (rules.VALIDATION, rules.DUPLICATE):
        if id18 in org.tables[kind].rows:
            org.put(org.tables[kind], id18, None)
            return Reply(204)
    raise not_found()


def _object(org: Org, given: dict[str, Any]) -> str:
    missing = [key for key in ("object", "name") if not given.get(key)]
    if missing or given["object"] not in org.objects or not org.objects[given["object"]].soft_deletes:
        raise _wrong("object must be Account, Contact or Lead, and name must be given")
    return str(given["object"])


def _pattern(text: Any) -> None:
    try:
        re.compile(text)
    except (re.error, TypeError) as error:
        raise _wrong(f"{text!r} is no regular expression: {error}") from None


def keep(org: Org, call: Call, kind: str, row: Row) -> str:
    """Store a new row of the set-up; return its id."""
    stamp, id18 = org.clock.stamp(), org.sequence.next(org.objects[kind].prefix)
    marks = {
        "CreatedDate": stamp, "CreatedById": call.user_id, "LastModifiedDate": stamp,
        "LastModifiedById": call.user_id, "SystemModstamp": stamp,
    }  # fmt: skip
    org.put(org.tables[kind], id18, {"Id": id18, **row, **marks})
    return id18


def change_organization(org: Org, call: Call) -> Reply:
    """Change fields of the Organization that no API changes, such as IsSandbox or DefaultAccountAccess."""
    table, given = org.tables["Organization"], call.document()
    unknown = [name for name in given if name not in table.sobject.fields or name == "Id"]
    if unknown:
        raise _wrong(f"Organization has no field {unknown[0]!r} to change")
    row = {**table.rows[org.settings.org_id], **given}
    org.put(table, row["Id"], row)
    return Reply(body={name: row.get(name) for name in given})


def change_profile(org: Org, call: Call) -> Reply:
    """Set a profile's log-in policy: ``{"name", "loginIpRanges"?, "loginHours"?, "sessionSeconds"?}``."""
    given = call.document()
    table = org.tables["Profile"]
    row = next((one for one in table.rows.values() if one["Name"] == given.get("name")), None)
    if row is None:
        raise _wrong(f"there is no profile {given.get('name')!r}")
    for one in given.get("loginIpRanges", []):
        try:
            ipaddress.ip_address(one["startAddress"]), ipaddress.ip_address(one["endAddress"])
        except (KeyError, TypeError, ValueError):
            raise _wrong(f"{one!r} is no range: startAddress and endAddress are addresses") from None
    hours = given.get("loginHours") or {}
    if hours.keys() - {day + edge for day in _DAYS for edge in ("Start", "End")}:
        raise _wrong("loginHours has keys like mondayStart and mondayEnd, in minutes of the day")
    settings = {
        "_login_ranges": "loginIpRanges",
        "_login_hours": "loginHours",
        "_session_seconds": "sessionSeconds",
    }
    changes = {key: given[name] for key, name in settings.items() if name in given}
    org.put(table, row["Id"], {**row, **changes})
    return Reply(body=profile_policy({**row, **changes}))


def profile_policy(profile: Row) -> dict[str, Any]:
    """Return a profile's log-in policy as its metadata shows it."""
    return {
        "loginIpRanges": [{"description": None, **one} for one in profile.get("_login_ranges") or []],
        "loginHours": profile.get("_login_hours"),
    }


def show_features(org: Org, _call: Call) -> Reply:
    """Show which features are on."""
    return Reply(body=features.NONE | org.features)


def change_features(org: Org, call: Call) -> Reply:
    """Switch features on or off; the descriptions follow at once."""
    try:
        features.check(call.document())
    except ValueError as error:
        raise _wrong(str(error)) from None
    org.features = org.features | call.document()
    features.apply(org, org.features)
    org.permissions_changed()
    org.remember("features", org.features)
    return show_features(org, call)


def change_field(org: Org, call: Call) -> Reply:
    """Make a standard field different: ``{"field": "Contact.Phone", "nillable": false}``."""
    changes = dict(call.document())
    full_name = str(changes.pop("field", ""))
    kind, _, name = full_name.partition(".")
    try:
        field_changes.check(org, kind, name, changes)
    except ValueError as error:
        raise _wrong(str(error)) from None
    org.field_changes = org.field_changes | {full_name: org.field_changes.get(full_name, {}) | changes}
    field_changes.apply(org, {full_name: changes})
    org.permissions_changed()
    org.remember("field_changes", org.field_changes)
    return Reply(body=org.objects[kind].fields[name].attributes)


RESOURCES: dict[str, Callable[[Org, Call], Reply]] = {
    "POST /validation-rules": add_validation_rule,
    "POST /duplicate-rules": add_duplicate_rule,
    "DELETE /rules/*": remove_rule,
    "POST /organization": change_organization,
    "POST /profiles": change_profile,
    "POST /fields": change_field,
    "GET /features": show_features,
    "POST /features": change_features,
}
