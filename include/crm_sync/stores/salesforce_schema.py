"""A Salesforce org's schema over the metered transport: look at it, take a plan's steps, look as the integration user.

Looking costs one call, two when a custom field is missing, three when one is hidden; sales people who are chosen cost
one more, page layouts one and one more per ten of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from crm_sync.decide.schema import (
    PERMISSION_SET,
    SALES_SET,
    Choices,
    FoundField,
    FoundSales,
    FoundSchema,
    WantedField,
)
from crm_sync.decide.schema_diff import access_problems
from crm_sync.decide.schema_steps import Done, SchemaPlan
from crm_sync.stores import salesforce_schema_wire as wire
from crm_sync.stores.salesforce_layouts import Layouts
from crm_sync.stores.salesforce_metadata import MetadataApi
from crm_sync.stores.salesforce_people import look_up
from crm_sync.stores.salesforce_schema_calls import Calls, Results, Subrequest, Transport, get, query
from crm_sync.stores.salesforce_schema_steps import take

__all__ = ["SalesforceSchema"]

NOTHING_CHOSEN = Choices()
Key = tuple[str, str]
Fields = dict[Key, FoundField]

_SUBREQUESTS = 25
# Permissions can take seconds to show in describe (facts/salesforce.md 7.1); after half a minute it is no delay.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)


class SalesforceSchema:
    """The fields and permissions of one connection's org."""

    def __init__(
        self,
        transport: Transport,
        choices: Choices = NOTHING_CHOSEN,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._calls = Calls(transport)
        self._metadata = MetadataApi(transport)
        self._layouts = Layouts(self._metadata)
        self._choices = choices
        self._sleep = sleep
        self._user_id: str | None = None

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self._calls.made + self._metadata.made

    def look(self, wanted: Sequence[WantedField]) -> FoundSchema:
        """What the org has of what is wanted, hidden fields included."""
        types = _types(wanted)
        user = self._user()
        results = self._calls.composite([*_describes(types), *_set_up(types, user)])
        fields = _described(results, types)
        fields |= self._hidden(
            [f for f in wanted if _key(f) not in fields and f.name.lower().endswith("__c")]
        )
        sets = {row["Name"]: row["Id"] for row in wire.records(results["sets"])}
        assigned, rows = wire.records(results["assigned"]), wire.records(results["fields"])
        permission_set, sales_set = sets.get(PERMISSION_SET), sets.get(SALES_SET)
        return FoundSchema(
            user_id=user,
            types=_shown(results, types),
            fields=fields,
            permission_set=permission_set,
            grants=wire.grants(wire.records(results["objects"]), "SobjectType")
            | wire.grants((row for row in rows if row["ParentId"] == permission_set), "Field"),
            assigned=any(row["PermissionSetId"] == permission_set for row in assigned),
            may_create_fields=any(_may_create_fields(row) for row in assigned),
            sales=FoundSales(
                permission_set=sales_set,
                shown=frozenset(row["Field"].lower() for row in rows if row["ParentId"] == sales_set),
                assigned={row["AssigneeId"]: row["Id"] for row in self._calls.all_rows(results["sales"])},
                **look_up(self._calls, self._choices),
            ),
            layouts=self._layouts.look({f.type: f.object for f in wanted}) if self._choices.layouts else (),
        )

    def take(self, plan: SchemaPlan, found: FoundSchema) -> Iterator[Sequence[Done]]:
        """Take the steps, yielding after each call what it did."""
        if (yield from take(self._calls, plan, found, self._sleep)):
            yield from self._layouts.place([step for step in plan.steps if step.kind == "place_fields"])

    def problems(self, wanted: Sequence[WantedField]) -> Sequence[str]:
        """What the integration user can't read or write, looked at again until it can't be a delay any more."""
        found = self._see(wanted)
        for pause in _PAUSES:
            if not found:
                break
            self._sleep(pause)
            found = self._see(wanted)
        return found

    def _see(self, wanted: Sequence[WantedField]) -> Sequence[str]:
        """One call: describe as the integration user, and a harmless query of every field."""
        types = _types(wanted)
        queries = [
            query(f"query_{type_}", [f.name for f in wanted if f.type == type_], type_, "LIMIT 1")
            for type_ in types
        ]
        results = self._calls.composite([*_describes(types), *queries])
        fields = _described(results, types)
        found = list(access_problems(tuple(wanted), fields))
        for type_ in types:
            errors = wire.errors_of(results[f"query_{type_}"]["body"])
            found += [f"{type_}: {' '.join(message.split())} [{code}]" for code, message in errors]
        return found

    def _user(self) -> str:
        if self._user_id is None:
            self._user_id = str(self._calls.uncounted("/services/oauth2/userinfo")["user_id"])
        return self._user_id

    def _hidden(self, missing: Sequence[WantedField]) -> Fields:
        """Those of the missing custom fields that exist, but not for the integration user."""
        if not missing:
            return {}
        wanted = {_key(field): field.name for field in missing}
        names = sorted({field.name[:-3] for field in missing})
        keys = {
            row["Id"]: (row["TableEnumOrId"].lower(), f"{row['DeveloperName']}__c".lower())
            for row in self._calls.custom_fields(_types(missing), names)
        }
        hidden = [(id_, key) for id_, key in keys.items() if key in wanted]
        found: Fields = {}
        # Tooling shows a field's Metadata one row at a time; a composite asks for 25 of them in one call.
        for start in range(0, len(hidden), _SUBREQUESTS):
            group = hidden[start : start + _SUBREQUESTS]
            requests = [get(id_, f"tooling/sobjects/CustomField/{id_}") for id_, _ in group]
            results = self._calls.composite(requests, "/tooling")
            found |= {
                key: wire.from_metadata(wanted[key], results[id_]["body"]["Metadata"]) for id_, key in group
            }
        return found


def _key(field: WantedField) -> Key:
    return field.type.lower(), field.name.lower()


def _types(wanted: Sequence[WantedField]) -> list[str]:
    return list(dict.fromkeys(field.type for field in wanted))


def _describes(types: Sequence[str]) -> list[Subrequest]:
    return [get(f"describe_{type_}", f"sobjects/{type_}/describe") for type_ in types]


def _shown(results: Results, types: Sequence[str]) -> frozenset[str]:
    return frozenset(type_.lower() for type_ in types if results[f"describe_{type_}"]["httpStatusCode"] < 400)


def _described(results: Results, types: Sequence[str]) -> Fields:
    shown = _shown(results, types)
    return {
        (type_.lower(), field.name.lower()): field
        for type_ in types
        if type_.lower() in shown
        for field in wire.described(results[f"describe_{type_}"]["body"])
    }


def _set_up(types: Sequence[str], user: str) -> list[Subrequest]:
    both = wire.quoted((PERMISSION_SET, SALES_SET))
    of_ours = f"AND SobjectType IN {wire.quoted(types)}"
    rights = ("Id", "SobjectType", "PermissionsRead", "PermissionsEdit")
    system = ("PermissionSet.PermissionsCustomizeApplication", "PermissionSet.PermissionsModifyAllData")
    assignment = "PermissionSetAssignment"
    return [
        query("sets", ("Id", "Name"), "PermissionSet", f"WHERE Name IN {both} AND NamespacePrefix = null"),
        query(
            "objects",
            (*rights, "PermissionsCreate"),
            "ObjectPermissions",
            f"WHERE Parent.Name = '{PERMISSION_SET}' {of_ours}",
        ),
        query(
            "fields",
            (*rights, "Field", "ParentId"),
            "FieldPermissions",
            f"WHERE Parent.Name IN {both} {of_ours}",
        ),
        query("assigned", ("PermissionSetId", *system), assignment, f"WHERE AssigneeId = '{user}'"),
        query("sales", ("Id", "AssigneeId"), assignment, f"WHERE PermissionSet.Name = '{SALES_SET}'"),
    ]


def _may_create_fields(assignment: dict[str, Any]) -> bool:
    rights = assignment["PermissionSet"]
    return bool(rights["PermissionsCustomizeApplication"] or rights["PermissionsModifyAllData"])
