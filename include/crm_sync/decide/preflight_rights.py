"""The least rights that suffice, what can't be done without each, and whether the integration user has them: pure.

docs/permissions.md is the same table for people.  Sources: facts/salesforce.md 7; the Object Reference and the Tooling
and Metadata guides under PermissionSet, ObjectPermissions, CustomField, Layout ("Special Access Rules").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from crm_sync.decide.preflight_facts import Expectations, Facts, TypeFacts, Unknown
from crm_sync.decide.preflight_line import CheckLine, listed, not_known, ok, problem, warning
from crm_sync.decide.schema_diff import access_problems
from crm_sync.model import Object

__all__ = ["RIGHTS", "Right", "access_lines", "record_lines", "right_lines"]

Need = Literal["calls", "provisioning", "layouts"]


@dataclass(frozen=True, slots=True)
class Right:
    """A system permission: its name in the API (``Permissions…``), its label in Setup, what it is needed for.

    ``without`` completes the sentence "without it".  ``included``: the rights that are known to stand in for it.
    """

    name: str
    label: str
    need: Need
    without: str
    included: tuple[str, ...] = ()


RIGHTS: tuple[Right, ...] = (
    Right("ApiEnabled", "API Enabled", "calls", "Salesforce refuses every call"),
    Right(
        "ViewSetup",
        "View Setup and Configuration",
        "provisioning",
        "provisioning can't see which fields and permissions exist, and preflight sees no duplicate rules, validation "
        "rules, log-in policies and limits",
    ),
    Right(
        "CustomizeApplication",
        "Customize Application",
        "provisioning",
        "no field can be created",
    ),
    Right(
        "ManageProfilesPermissionsets",
        "Manage Profiles and Permission Sets",
        "provisioning",
        "no permission set can be made, so nobody sees the new fields",
        ("ManageUsers",),
    ),
    Right(
        "AssignPermissionSets",
        "Assign Permission Sets",
        "provisioning",
        "the permission set can't be assigned, to the integration user or to the sales people",
        ("ManageUsers",),
    ),
    Right(
        "ModifyMetadata",
        "Modify Metadata Through Metadata API Functions",
        "layouts",
        "the section 'GPTWeb Insights' can't be put on page layouts",
        ("ModifyAllData",),
    ),
)

# Org-wide defaults by what they open to everybody (SOAP API guide, security; Organization.Default…Access).
_READS, _EDITS = {"Read", "Edit", "ReadEditTransfer", "All"}, {"Edit", "ReadEditTransfer", "All"}
_AS_ACCOUNT = "ControlledByParent"
_SYSTEM = "System Permissions"
_PLACE = "Setup → Permission Sets → one of the integration user's (or Setup → Profiles → its profile)"


def right_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """Each right of the least set, except those that concern records."""
    pending = not expected.provisioned or bool(_unusable(expected, facts) or _lacking(expected, facts))
    for right in RIGHTS:
        if right.need == "layouts" and not expected.layouts:
            yield ok(
                f"right_{right.name}", f"'{right.label}'", "not needed: page layouts are left as they are"
            )
        else:
            yield _right_line(right, facts.rights, pending=pending)


def access_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """Read, create and edit of each object, and the fields, judged by describe as the integration user."""
    lacking = _lacking(expected, facts)
    for type_ in _objects(expected):
        check, title = f"access_{type_.lower()}", f"{type_}: read, create, edit"
        if type_ not in facts.types:
            yield problem(
                check,
                title,
                f"the integration user does not see {type_}",
                f"In {_PLACE} → Object Settings → {type_}, tick Read, Create and Edit, then run preflight again.",
            )
        elif type_ not in lacking:
            yield ok(check, title, "granted, as describe shows")
        else:
            yield _lent(check, title, f"{' and '.join(lacking[type_])} lacking", expected)
    yield _deletes_line(expected, facts)
    yield _fields_line(expected, facts)


def record_lines(expected: Expectations, facts: Facts) -> Iterator[CheckLine]:
    """Whether all records can be seen and edited, whoever owns them."""
    yield _reach_line(
        expected,
        facts,
        edit=False,
        without="no others are read, and a person among them may be created a second time",
    )
    yield _reach_line(
        expected, facts, edit=True, without="a change to any other is refused and its value parked"
    )


def _right_line(right: Right, rights: frozenset[str] | Unknown, *, pending: bool) -> CheckLine:
    check, title = f"right_{right.name}", f"'{right.label}'"
    if right.need == "calls" and (isinstance(rights, Unknown) or right.name in rights):
        return ok(check, title, "granted: the org answers calls")
    if isinstance(rights, Unknown):
        return not_known(check, title, rights, f"See {_PLACE} → {_SYSTEM} → '{right.label}'.")
    if granting := sorted(rights & {right.name, *right.included}):
        return ok(check, title, "granted" if right.name in rights else f"granted by {listed(granting)}")
    if not pending and right.need != "calls":
        return ok(check, title, "not granted, and not needed any more: everything is provisioned")
    return _missing(right, check, title, rights)


def _missing(right: Right, check: str, title: str, rights: frozenset[str]) -> CheckLine:
    evidence = f"not granted: without it {right.without}"
    remedy = f"In {_PLACE} → {_SYSTEM}, tick '{right.label}'."
    if right.need == "layouts":
        remedy += " Or set layouts to false, and add the fields to the layouts in Setup by hand."
    if right.name == "CustomizeApplication" and "ModifyAllData" in rights:
        # The product guide names Modify All Data for it; Salesforce's own guide names this one.
        return warning(check, title, "not granted, only 'Modify All Data' is", remedy)
    return problem(check, title, evidence, f"{remedy} Then run preflight again.")


def _deletes_line(expected: Expectations, facts: Facts) -> CheckLine:
    line = ("deletes", "Delete of archived records")
    closed = [type_ for type_, seen in facts.types.items() if not seen.deletable]
    if not expected.deletes:
        return ok(*line, "not needed: what is archived in GPTWeb is kept in Salesforce")
    if not closed:
        return ok(*line, "granted, as describe shows")
    return warning(
        *line,
        f"{listed(closed)}: not granted, so what is archived in GPTWeb stays there",
        f"In {_PLACE} → Object Settings → {listed(closed)}, tick Delete; or set our_archive to keep.",
    )


def _fields_line(expected: Expectations, facts: Facts) -> CheckLine:
    unusable = _unusable(expected, facts)
    if not unusable:
        return ok("fields", "Mapped fields", f"all {len(expected.wanted)} can be read and written")
    evidence = f"{len(unusable)} of {len(expected.wanted)} can't be used yet: {listed([name.partition(' ')[0] for name in unusable], 3)}"
    return _lent("fields", "Mapped fields", evidence, expected)


def _lent(check: str, title: str, evidence: str, expected: Expectations) -> CheckLine:
    """What provisioning makes or permits; where it did so once, somebody has taken it away."""
    if not expected.provisioned:
        return ok(check, title, f"{evidence}; provisioning sees to it")
    return warning(
        check, title, evidence, f"Run the DAG crm_provision__{expected.connection}: it restores it."
    )


def _objects(expected: Expectations) -> dict[str, Object]:
    return {field.type: field.object for field in expected.wanted}


def _lacking(expected: Expectations, facts: Facts) -> dict[str, list[str]]:
    """The rights that are missing on the objects that are seen, as far as they are wanted."""
    found: dict[str, list[str]] = {}
    for type_, ours in _objects(expected).items():
        seen = facts.types.get(type_, TypeFacts(True, True, True, {}))
        lacking = ["create"] * (ours in expected.creates and not seen.createable)
        lacking += ["edit"] * (not seen.updateable)
        if lacking:
            found[type_] = lacking
    return found


def _unusable(expected: Expectations, facts: Facts) -> tuple[str, ...]:
    seen = tuple(field for field in expected.wanted if field.type in facts.types)
    described = {
        (type_.lower(), name): field
        for type_, found in facts.types.items()
        for name, field in found.fields.items()
    }
    return access_problems(seen, described)


def _reach_line(expected: Expectations, facts: Facts, *, edit: bool, without: str) -> CheckLine:
    verb, right = ("edited", "Modify All") if edit else ("seen", "View All")
    check, title = f"records_{verb}", f"All records are {verb}"
    reasons = {type_: _reach(type_, facts, edit=edit) for type_ in _objects(expected) if type_ in facts.types}
    known = {type_: reason for type_, reason in reasons.items() if isinstance(reason, str)}
    closed = [type_ for type_, reason in reasons.items() if reason is None]
    if closed:
        return warning(
            check,
            title,
            f"{listed(closed)}: only those that the integration user owns or that are shared with it; {without}",
            f"In {_PLACE} → Object Settings → {listed(closed)}, tick '{right} Records' (or, for everything, "
            f"{_SYSTEM} → '{right} Data').",
        )
    unknown = [reason for reason in reasons.values() if isinstance(reason, Unknown)]
    if unknown:
        return not_known(check, title, unknown[0], f"See {_PLACE} → Object Settings → '{right} Records'.")
    return ok(check, title, "; ".join(f"{type_}: {reason}" for type_, reason in known.items()))


def _reach(type_: str, facts: Facts, *, edit: bool) -> str | Unknown | None:
    """What opens all records of a type; None if nothing does, Unknown if that can't be told."""
    rights, records, sharing = facts.rights, facts.record_rights, facts.sharing
    if not isinstance(rights, Unknown):
        wide = {"ModifyAllData": "'Modify All Data'"} | ({} if edit else {"ViewAllData": "'View All Data'"})
        if granted := [label for name, label in wide.items() if name in rights]:
            return granted[0]
    if not isinstance(records, Unknown) and (row := records.get(type_)):
        if row.modify_all:
            return "'Modify All Records'"
        if row.view_all and not edit:
            return "'View All Records'"
    if not isinstance(sharing, Unknown):
        access = sharing.get(type_, "None")
        if access == _AS_ACCOUNT:
            return _reach("Account", facts, edit=edit)
        if access in (_EDITS if edit else _READS):
            return f"org-wide default '{access}'"
    return next((fact for fact in (rights, records, sharing) if isinstance(fact, Unknown)), None)
