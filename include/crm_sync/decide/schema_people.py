"""What the sales people need to see GPTWeb's fields: a read-only permission set, its assignments, page layouts: pure.

Fields made by API are invisible to everybody, administrators included, until a permission set shows them
(facts/salesforce.md 7.1); and what is permitted is still on no page until a layout has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from crm_sync.decide.schema import SALES_SET, FoundSchema, WantedField
from crm_sync.decide.schema_steps import Refusal, Step

__all__ = ["people_notes", "people_steps"]


def people_steps(wanted: tuple[WantedField, ...], found: FoundSchema) -> Iterator[Step | Refusal]:
    """What is missing for the sales people, and the names in the settings that the org does not know."""
    shown = [field for field in wanted if field.for_people and field.type.lower() in found.types]
    if found.sales.permission_set is None:
        yield Step("create_sales_set")
    for field in shown:
        if f"{field.type}.{field.name}".lower() not in found.sales.shown:
            yield Step("show_field", field.object, field.type, field.name, field.column, edit=False)
    yield from _assignments(found)
    for layout in found.layouts:
        names = [field.name for field in shown if field.type == layout.type]
        missing = tuple(name for name in names if name.lower() not in layout.fields)
        if missing:
            yield Step(
                "place_fields",
                layout.object,
                layout.type,
                target=layout.full_name,
                label=layout.label,
                fields=missing,
            )


def people_notes(wanted: tuple[WantedField, ...], found: FoundSchema) -> tuple[str, ...]:
    """What nobody has to mend at once, in words."""
    notes = [
        f"{person.username} of sales_users is inactive and gets no assignment."
        for person in found.sales.chosen
        if not person.active
    ]
    if not found.sales.chosen and not found.sales.assigned:
        notes.append(
            f"Nobody sees GPTWeb's fields yet: choose sales_users or sales_profiles in the connection's settings, "
            f"or assign permission set {SALES_SET} in Setup."
        )
    with_layout = {layout.type for layout in found.layouts}
    if with_layout:
        notes += [
            f"{type_} has no page layout that could show GPTWeb's fields."
            for type_ in sorted({field.type for field in wanted} - with_layout)
        ]
    return tuple(notes)


def _assignments(found: FoundSchema) -> Iterator[Step | Refusal]:
    sales = found.sales
    for person in sales.chosen:
        if person.active and person.id not in sales.assigned:
            yield Step("assign_user", target=person.id, label=person.username)
    for name in sales.unknown_users:
        yield _unknown(
            "sales_users", name, "user", "Write the username as Setup → Users shows it, or the user's id"
        )
    for name in sales.unknown_profiles:
        yield _unknown(
            "sales_profiles", name, "profile", "Write the profile's name as Setup → Profiles shows it"
        )


def _unknown(setting: str, name: str, kind: str, remedy: str) -> Refusal:
    return Refusal(
        object=None,
        column="",
        where=f"Setting {setting}",
        found=f"no {kind} {name!r} in the org",
        wanted=f"a {kind} to assign permission set {SALES_SET} to",
        remedy=f"{remedy}, or take it out of the settings; then run provisioning again",
    )
