"""Standard fields that an administrator made different: required, restricted to a picklist, shorter, renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salesforce_standin import fields
from salesforce_standin.fields import Field

if TYPE_CHECKING:
    from salesforce_standin.org import Org

_CHANGEABLE = frozenset(
    {
        "createable", "defaultedOnCreate", "digits", "inlineHelpText", "label", "length", "nillable", "picklistValues",
        "precision", "restrictedPicklist", "scale", "updateable",
    }
)  # fmt: skip


def check(org: Org, kind: str, name: str, changes: dict[str, Any]) -> None:
    """Raise ValueError for a change that can't be made."""
    if kind not in org.objects or name not in org.objects[kind].fields:
        raise ValueError(f"there is no field {kind}.{name}")
    if org.objects[kind].fields[name].custom:
        raise ValueError("custom fields are changed through the Tooling API")
    for key, value in changes.items():
        usual = fields.DEFAULTS.get(key)
        if key not in _CHANGEABLE or (usual is not None and type(value) is not type(usual)):
            raise ValueError(
                f"{key} must be one of {', '.join(sorted(_CHANGEABLE))}, with a value of its kind"
            )


def apply(org: Org, changes: dict[str, dict[str, Any]]) -> None:
    """Make the fields ``Contact.Phone`` and so on as the changes say."""
    for full_name, wanted in changes.items():
        kind, _, name = full_name.partition(".")
        sobject = org.objects[kind]
        values = dict(wanted)
        if "picklistValues" in values:
            values["picklistValues"] = fields.picklist([(value, False) for value in values["picklistValues"]])
        parts = sobject.fields[name].parts
        sobject.add(Field({**sobject.fields[name].attributes, **values}))
        sobject.fields[name].parts = parts
