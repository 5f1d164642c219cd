"""The types of the Metadata API: which rows are their components, and how those are read, written and deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree.ElementTree import Element

from salesforce_standin import layouts, metadata_fields, metadata_permission_sets
from salesforce_standin.errors import Fault, RowError
from salesforce_standin.permissions import GUARDED
from salesforce_standin.tables import Row

if TYPE_CHECKING:
    from salesforce_standin.org import Org

# (org, user id, full name, the component as it was sent)
Write = Callable[["Org", str, str, Element], None]

# Types that every org knows and of which this one has no component.
EMPTY = frozenset(
    {
        "ApexClass", "ApexComponent", "ApexPage", "ApexTrigger", "CompactLayout", "ConnectedApp", "CustomApplication",
        "CustomLabel", "CustomTab", "DuplicateRule", "FlexiPage", "Flow", "GlobalValueSet", "ListView", "MatchingRule",
        "QuickAction", "RecordType", "RemoteSiteSetting", "StaticResource", "ValidationRule", "WebLink", "Workflow",
    }
)  # fmt: skip
# The full names of standard profiles differ from what people see.
_PROFILES = {"System Administrator": "Admin", "Standard User": "Standard"}


def _not_writable(_org: Org, _user_id: str, full_name: str, *_component: Element) -> None:
    message = f"Components of this type can't be written: {full_name}"
    raise RowError(Fault("INVALID_OPERATION", message, ()))


@dataclass(frozen=True, slots=True)
class Kind:
    """One type."""

    directory: str
    suffix: str
    rows: Callable[[Org], Iterable[Row]]
    name: Callable[[Row], str]
    read: Callable[[Org, Row], str] = lambda _org, _row: ""
    create: Write = _not_writable
    update: Write = _not_writable
    delete: Callable[[Org, str, str], None] = _not_writable
    file: Callable[[str], str] = str
    children: tuple[str, ...] = ()
    top_level: bool = True

    def find(self, org: Org, full_name: str) -> Row | None:
        """Return the row of a component."""
        return next((row for row in self.rows(org) if self.name(row) == full_name), None)


def _objects(org: Org) -> list[Row]:
    return [{"Id": "", "FullName": name} for name in GUARDED if name in org.objects]


def _profiles(org: Org) -> Iterable[Row]:
    return org.tables["Profile"].rows.values()


def _profile_name(row: Row) -> str:
    return _PROFILES.get(row["Name"]) or quote(row["Name"], safe=" ")


KINDS: dict[str, Kind] = {
    "CustomField": Kind(
        directory="objects",
        suffix="object",
        rows=metadata_fields.rows,
        name=lambda row: str(row["FullName"]),
        read=metadata_fields.read,
        create=metadata_fields.create,
        update=metadata_fields.update,
        delete=metadata_fields.delete,
        file=lambda full_name: full_name.partition(".")[0],
        top_level=False,
    ),
    "CustomObject": Kind(
        directory="objects",
        suffix="object",
        rows=_objects,
        name=lambda row: str(row["FullName"]),
        children=("CustomField",),
    ),
    "Layout": Kind(
        directory="layouts",
        suffix="layout",
        rows=layouts.rows,
        name=lambda row: str(row["FullName"]),
        read=layouts.read,
        create=layouts.create,
        update=layouts.update,
        delete=layouts.delete,
    ),
    "PermissionSet": Kind(
        directory="permissionsets",
        suffix="permissionset",
        rows=metadata_permission_sets.rows,
        name=lambda row: str(row["Name"]),
        read=metadata_permission_sets.read,
        create=metadata_permission_sets.create,
        update=metadata_permission_sets.update,
        delete=metadata_permission_sets.delete,
    ),
    "Profile": Kind(directory="profiles", suffix="profile", rows=_profiles, name=_profile_name),
}
