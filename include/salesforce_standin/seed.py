"""A new org: its organization, profiles, users with their permissions, and layouts; and records from a seed file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salesforce_standin import ids, layouts
from salesforce_standin.permission_rules import assign
from salesforce_standin.permissions import GUARDED
from salesforce_standin.records import Writer
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_RIGHTS = (
    "ApiEnabled", "AssignPermissionSets", "BulkApiHardDelete", "ConvertLeads", "CustomizeApplication",
    "ManageProfilesPermissionsets", "ManageUsers", "ModifyAllData", "ModifyMetadata", "TransferAnyLead", "ViewAllData", "ViewSetup",
)  # fmt: skip
# Sales people, and whether they are still active.
_SALES_PEOPLE = {"Anna": True, "Ben": True, "Carl": False}
_OBJECT_RIGHTS = ("Create", "Delete", "Edit", "ModifyAllRecords", "Read", "ViewAllRecords")


def found(org: Org) -> None:
    """Create what every org has, once; complete an org that an earlier stand-in made."""
    if org.tables["Organization"].rows:
        _complete(org)
        return
    _licences(org)
    admin_id, integration_id = org.sequence.next("005"), org.sequence.next("005")
    _put(
        org,
        "Organization",
        admin_id,
        Id=org.settings.org_id,
        Name="GPTWeb Demo",
        Country="US",
        PrimaryContact="Sales Administrator",
        FiscalYearStartMonth=1,
        OrganizationType="Developer Edition",
        InstanceName="STD1",
    )
    admin_profile = _profile(org, admin_id, "System Administrator", "X00eAdministrator")
    integration_profile = _profile(org, admin_id, "GPTWeb Integration User", "X00eGPTWebIntegrationUser")
    _user(org, admin_id, admin_profile, org.settings.username, "Sales", "Administrator", "admin")
    _user(
        org,
        integration_id,
        integration_profile,
        org.settings.integration_username,
        "GPTWeb",
        "Integration",
        "gptweb",
    )
    sales_profile = _profile(
        org,
        admin_id,
        "Standard User",
        "X00eStandardUser",
        ("ApiEnabled",),
        ("Create", "Delete", "Edit", "Read"),
    )
    for first, is_active in _SALES_PEOPLE.items():
        username = f"{first.lower()}.sales@example.com"
        _user(
            org,
            org.sequence.next("005"),
            sales_profile,
            username,
            first,
            "Sales",
            first.lower(),
            IsActive=is_active,
        )
    layouts.found(org, admin_id)
    org.permissions_changed()


def _licences(org: Org) -> None:
    """Create the licences of users; the first one is everybody's."""
    for name, key, total in (("Salesforce", "SFDC", 10), ("Salesforce Integration", "SFDC_INTEGRATION", 5)):
        _put(
            org, "UserLicense", "", Name=name, MasterLabel=name, LicenseDefinitionKey=key, Status="Active",
            TotalLicenses=total, UsedLicenses=4 if key == "SFDC" else 0,
        )  # fmt: skip


def _complete(org: Org) -> None:
    """Give an older org the licences, rights and defaults that came later."""
    if org.tables["UserLicense"].rows:
        return
    _licences(org)
    licence = next(iter(org.tables["UserLicense"].rows))
    added: dict[str, Callable[[Row], Row]] = {
        "Organization": lambda row: {**org.objects["Organization"].defaults, **row},
        "Profile": lambda row: {**row, "UserLicenseId": licence},
        "PermissionSet": lambda row: {
            **row,
            "PermissionsManageProfilesPermissionsets": bool(row.get("PermissionsManageUsers")),
        },
    }
    for name, complete in added.items():
        for row in list(org.tables[name].rows.values()):
            org.put(org.tables[name], row["Id"], complete(row))


def _put(org: Org, name: str, author: str, **values: Any) -> str:
    """Store a row as it is: the rules for clients don't bind the platform."""
    table, stamp = org.tables[name], org.clock.stamp()
    mark = {
        "CreatedDate": stamp, "CreatedById": author, "LastModifiedDate": stamp, "LastModifiedById": author,
        "SystemModstamp": stamp,
    }  # fmt: skip
    id18 = values.get("Id") or org.sequence.next(table.sobject.prefix)
    row = {"Id": id18, **table.sobject.defaults, **values}
    row.update((key, value) for key, value in mark.items() if key in table.sobject.fields)
    org.put(table, id18, row)
    return str(id18)


def _profile(
    org: Org,
    author: str,
    name: str,
    set_name: str,
    system_rights: tuple[str, ...] = _RIGHTS,
    object_rights: tuple[str, ...] = _OBJECT_RIGHTS,
) -> str:
    """Create a profile with the permission set that it owns, which holds all of its permissions."""
    licence = next(iter(org.tables["UserLicense"].rows))
    rights = {"Permissions" + right: True for right in system_rights}
    known = {key: value for key, value in rights.items() if key in org.objects["Profile"].fields}
    profile = _put(org, "Profile", author, Name=name, UserLicenseId=licence, **known)
    owned = _put(
        org, "PermissionSet", author, Name=set_name, Label=set_name, ProfileId=profile, IsOwnedByProfile=True,
        IsCustom=False, Type="Profile", **rights,
    )  # fmt: skip
    for kind in GUARDED:
        allowed = {"Permissions" + right: True for right in object_rights}
        _put(org, "ObjectPermissions", author, ParentId=owned, SobjectType=kind, **allowed)
        for field in org.objects[kind].fields.values():
            compound = field.attributes["compoundFieldName"]
            if field.permissionable and not (compound and compound != field.name):
                edits = bool(field.parts) or field.createable or field.updateable
                _put(
                    org, "FieldPermissions", author, ParentId=owned, SobjectType=kind, Field=f"{kind}.{field.name}",
                    PermissionsRead=True, PermissionsEdit=edits,
                )  # fmt: skip
    return profile


def _user(
    org: Org, id18: str, profile: str, username: str, first: str, last: str, alias: str, **more: Any
) -> None:
    values = {"IsActive": True, "ProfileId": profile, **more}
    _put(
        org, "User", id18, Id=id18, Username=username, Email=username, FirstName=first, LastName=last,
        Name=f"{first} {last}", Alias=alias, **values,
    )  # fmt: skip
    for owned in org.tables["PermissionSet"].rows.values():
        if owned.get("ProfileId") == profile:
            assign(org, id18, owned["Id"])


def plant(org: Org, path: Path) -> None:
    """Create the records of a seed file, as the sales administrator.

    The file is a list of records, or {"records": [...]}; each has ``attributes.type`` and, where others refer to it,
    ``attributes.referenceId``; a value "@name" of a reference field means the record of that name.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    admin = next(user["Id"] for user in org.users() if user["Username"] == org.settings.username)
    writer = Writer(org, admin)
    known: dict[str, str] = {}
    for record in document["records"] if isinstance(document, dict) else document:
        attributes = record["attributes"]
        values = {key: _named(value, known) for key, value in record.items() if key != "attributes"}
        outcome = writer.insert(attributes["type"], values)
        if attributes.get("referenceId") and outcome.id:
            known[attributes["referenceId"]] = outcome.id


def _named(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("@") and value[1:] in known:
        return ids.normalise(known[value[1:]])
    return value
