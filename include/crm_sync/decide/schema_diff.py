"""The difference between the schema that the mappings want and the one the CRM has, as a plan: pure.

Wider than wanted is fine.  What exists as something else is refused, never altered: it may hold somebody's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from crm_sync.decide.mapping import FieldSpec, FieldType, ObjectMapping
from crm_sync.decide.schema import FoundField, FoundSchema, WantedField
from crm_sync.decide.schema_people import people_notes, people_steps
from crm_sync.decide.schema_steps import STEP_ORDER, Refusal, SchemaPlan, Step, spell
from crm_sync.model import OBJECTS, Object

__all__ = ["access_problems", "field_problem", "plan_schema", "wanted_fields"]

# How describe spells the types that provisioning creates, and which of its types a mapping type can carry.
_DESCRIBED = {"Number": "double", "Checkbox": "boolean", "DateTime": "datetime", "Text": "string"}
_NUMBERS = {"double", "int", "long", "currency", "percent"}
_CARRIES: dict[FieldType, set[str]] = {
    "number": _NUMBERS,
    "boolean": {"boolean"},
    "datetime": {"datetime"},
    "reference": {"reference"},
    "choices": {"multipicklist"},
}
_NOT_TEXT = {*_NUMBERS, "boolean", "datetime", "reference", "address", "location", "base64", "multipicklist"}

# Every user sees these and no permission can be granted for them (facts/salesforce.md 4.7, permissionable=false).
_ALWAYS_SHOWN = {
    "id",
    "lastname",
    "firstname",
    "salutation",
    "name",
    "ownerid",
    "company",
    "status",
    "isdeleted",
}
# The parts of an address are permitted together, under the name of the whole: so profiles list them.
_ADDRESS_PART = re.compile(
    r"(Billing|Shipping|Mailing|Other|)(Street|City|State|PostalCode|Country)", re.IGNORECASE
)

_READ_ONLY = (
    "a field that can be written",
    "No permission makes this field writable: set `direction: in` in the mapping file, or map another field",
)
_MAY_NOT_CREATE = Refusal(
    object=None,
    column="",
    where="Integration user",
    found="neither 'Customize Application' nor 'Modify All Data'",
    wanted="the right to create custom fields",
    remedy="In Setup → Profiles → the integration user's profile → System Permissions, tick both (the guide's profile "
    "is a clone of System Administrator), then run provisioning again",
)


def wanted_fields(mappings: Mapping[Object, ObjectMapping]) -> tuple[WantedField, ...]:
    """Every field that the sync reads or writes, the service fields among them."""
    wanted: list[WantedField] = []
    for name in (name for name in OBJECTS if name in mappings):
        mapping = mappings[name]
        wanted += [
            WantedField(name, mapping.theirs, service.theirs, service.theirs, "text", True, service.create)
            for service in (mapping.key, mapping.marker)
        ]
        wanted += [
            WantedField(name, mapping.theirs, f.theirs, f.ours, f.type, f.direction != "in", f.create)
            for f in mapping.fields
        ]
    return tuple(wanted)


def plan_schema(wanted: tuple[WantedField, ...], found: FoundSchema) -> SchemaPlan:
    """The steps from what was found to what is wanted; the same for the same two, in any order."""
    decided = list(_set_up(wanted, found))
    for field in wanted:
        if field.type.lower() in found.types:
            decided += _field(field, found)
    decided += people_steps(wanted, found)
    # Parts of one address share a permission: the one that may edit, sorted last, counts.
    steps = {s.key: s for s in sorted((s for s in decided if isinstance(s, Step)), key=lambda s: s.edit)}
    refusals = {refusal.words: refusal for refusal in decided if isinstance(refusal, Refusal)}
    if not found.may_create_fields and any(step.kind == "create_field" for step in steps.values()):
        refusals[_MAY_NOT_CREATE.words] = _MAY_NOT_CREATE
    return SchemaPlan(
        steps=tuple(sorted(steps.values(), key=_rank)),
        refusals=tuple(sorted(refusals.values(), key=lambda refusal: refusal.words)),
        notes=people_notes(wanted, found),
    )


def access_problems(
    wanted: tuple[WantedField, ...], described: Mapping[tuple[str, str], FoundField]
) -> tuple[str, ...]:
    """What the integration user still can't do, judged by describe as that user: cheapest and authoritative."""
    problems = []
    for field in wanted:
        seen = described.get((field.type.lower(), field.name.lower()))
        if seen is None:
            problems.append(f"{field.type}.{field.name} is not visible to the integration user")
        elif field.writable and not (seen.createable and seen.updateable):
            problems.append(f"{field.type}.{field.name} is read-only for the integration user")
    return tuple(problems)


def field_problem(field: WantedField, seen: FoundField | None) -> str | None:
    """Why this field can't be the counterpart of ours, judged by describe, and what to do; None if it can."""
    where = f"{field.type}.{field.name}"
    if seen is None:
        return None if field.create else (
            f"{where}: the integration user sees no such field; choose another, create it in Setup, or let provisioning "
            "make it (`create:`)"
        )  # fmt: skip
    if wrong := _difference(field, seen):
        wanted, remedy = wrong
        return f"{where}: found {_spell_found(seen)}, wanted {wanted}. {remedy}"
    return None


def _rank(step: Step) -> tuple[int, int, str, str]:
    # Accounts come first: permission on Contact presupposes permission on Account.
    place = OBJECTS.index(step.object) if step.object else -1
    return STEP_ORDER.index(step.kind), place, step.field, step.target


def _set_up(wanted: tuple[WantedField, ...], found: FoundSchema) -> Iterator[Step | Refusal]:
    if found.permission_set is None:
        yield Step("create_permission_set")
    if not found.assigned:
        yield Step("assign", target=found.user_id)
    for ours, type_ in sorted({(field.object, field.type) for field in wanted}):
        grant = found.grants.get(type_.lower())
        if grant is None or not grant.rights >= {"read", "create", "edit"}:
            yield Step("grant_object", ours, type_, row_id=grant.id if grant else None)
        if type_.lower() not in found.types:
            yield Refusal(
                object=ours,
                column="",
                where=type_,
                found="no such object for the integration user",
                wanted="read, create and edit",
                remedy=f"In Setup → Profiles → the integration user's profile → Object Settings → {type_}, tick Read, "
                "Create and Edit, then run provisioning again",
            )


def _field(field: WantedField, found: FoundSchema) -> Iterator[Step | Refusal]:
    seen = found.fields.get((field.type.lower(), field.name.lower()))
    if seen is None and field.create:
        yield Step("create_field", field.object, field.type, field.name, field.column, field.create)
        yield from _grant(field, field.name, found)
    elif seen is None:
        yield from _unseen(field, found)
    elif wrong := _difference(field, seen):
        yield Refusal(field.object, field.column, f"{field.type}.{field.name}", _spell_found(seen), *wrong)
    elif field.create or not seen.visible or (field.writable and not (seen.createable and seen.updateable)):
        if seen.permissionable:
            yield from _grant(field, seen.name, found)
        elif not (seen.createable and seen.updateable):
            yield Refusal(field.object, field.column, f"{field.type}.{field.name}", "read-only", *_READ_ONLY)


def _unseen(field: WantedField, found: FoundSchema) -> Iterator[Step | Refusal]:
    """A field that provisioning does not create and that neither describe nor Tooling knows."""
    custom = field.name.lower().endswith("__c")
    if custom or field.name.lower() in _ALWAYS_SHOWN:
        yield Refusal(
            object=field.object,
            column=field.column,
            where=f"{field.type}.{field.name}",
            found="no such field",
            wanted=f"the counterpart of {field.column}",
            remedy="Correct `theirs:` in the mapping file"
            + (", create the field in Setup, or give its block a `create:`" if custom else ""),
        )
        return
    part = _ADDRESS_PART.fullmatch(field.name)
    yield from _grant(field, f"{part[1]}Address" if part else field.name, found)


def _grant(field: WantedField, name: str, found: FoundSchema) -> Iterator[Step]:
    # A row that already allows everything is left alone, even if describe lags behind it: verify is the judge.
    grant = found.grants.get(f"{field.type}.{name}".lower())
    if grant is None or not grant.rights >= {"read", *(["edit"] * field.writable)}:
        row_id = grant.id if grant else None
        yield Step(
            "grant_field", field.object, field.type, name, field.column, edit=field.writable, row_id=row_id
        )


def _difference(field: WantedField, seen: FoundField) -> tuple[str, str] | None:
    """What is wanted instead and what to do, or None if the field will do."""
    if field.create is None:
        fits = (
            seen.type in _CARRIES[field.carries] if field.carries in _CARRIES else seen.type not in _NOT_TEXT
        )
        if not fits:
            return f"a field that carries {field.carries}", "Correct `type:` or `theirs:` in the mapping file"
        return _READ_ONLY if field.writable and seen.calculated else None
    setup = f"In Setup → Object Manager → {field.type} → Fields & Relationships → {field.name}"
    if seen.calculated or seen.type != _DESCRIBED[field.create.type]:
        other = "rename or delete the field (it is not GPTWeb's), or map another name in the mapping file"
        return spell(field.create), f"{setup}: {other}, then run provisioning again"
    if not _wide_enough(field.create, seen):
        return spell(field.create), f"{setup}: make it at least this wide, then run provisioning again"
    if (field.create.external_id and not seen.external_id) or (field.create.unique and not seen.unique):
        return spell(field.create), f"{setup}: tick External ID and Unique, then run provisioning again"
    return None


def _wide_enough(spec: FieldSpec, seen: FoundField) -> bool:
    if spec.type == "Text":
        return seen.length >= (spec.length or 0)
    if spec.type == "Number":
        whole = (spec.precision or 0) - (spec.scale or 0)
        return seen.scale >= (spec.scale or 0) and seen.precision - seen.scale >= whole
    return True


def _spell_found(seen: FoundField) -> str:
    kind = {described: ours for ours, described in _DESCRIBED.items()}.get(seen.type, seen.type)
    size = {"Number": f"({seen.precision}, {seen.scale})", "Text": f"({seen.length}"}.get(kind, "")
    if kind == "Text":
        size += ", external id" * seen.external_id + ", unique" * seen.unique + ")"
    return f"{kind}{size}" + " (formula)" * seen.calculated
