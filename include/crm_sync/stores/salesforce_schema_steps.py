"""Taking the steps of a schema plan in a Salesforce org: three calls for up to 25 new fields.

Permissions on what exists go first, all or nothing: what can't be permitted stops it while nothing is changed.  Then
come the new fields, then the permissions on those, then the sales people's assignments.  Whatever somebody else makes meanwhile counts as done by them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from crm_sync.decide.schema import FoundSchema
from crm_sync.decide.schema_steps import Done, SchemaPlan, Step
from crm_sync.errors import Misconfigured, RetryLater, SyncError
from crm_sync.stores import salesforce_schema_wire as wire
from crm_sync.stores.salesforce_schema_calls import Calls, write
from crm_sync.stores.salesforce_schema_wire import DATA, Targets

__all__ = ["take"]

# A composite carries at most 25 subrequests, a collection at most 200 rows (facts/salesforce.md 3.3).
_SUBREQUESTS, _ROWS = 25, 200
# A new field may take seconds to be known everywhere (facts/salesforce.md 7.1).
_PAUSES = (1.0, 2.0, 4.0, 8.0)


def take(
    calls: Calls, plan: SchemaPlan, found: FoundSchema, sleep: Callable[[float], None]
) -> Generator[Sequence[Done], None, bool]:
    """Take the steps but those on layouts, yielding after each call what it did.

    Returns whether that was all; False where another look is needed first.
    """
    new = {(step.type, step.field) for step in plan.steps if step.kind == "create_field"}
    creations = [step for step in plan.steps if step.kind == "create_field"]
    late = [s for s in plan.steps if s.kind in {"grant_field", "show_field"} and (s.type, s.field) in new]
    people = [step for step in plan.steps if step.kind == "assign_user"]
    others = ("create_field", "assign_user", "place_fields")
    early = [step for step in plan.steps if step.kind not in others and step not in late]
    targets = Targets(found.permission_set or "", found.sales.permission_set or "", found.user_id)
    for group in _groups(early, _ROWS):
        done = _permit_at_once(calls, group, targets)
        yield done
        if any(each.existed for each in done):
            return False
        made = {each.step.kind: each.their_id or "" for each in done}
        targets = replace(
            targets,
            main=made.get("create_permission_set", targets.main),
            sales=made.get("create_sales_set", targets.sales),
        )
    for group in _groups(creations, _SUBREQUESTS):
        yield from _create(calls, group)
    for group in _groups(late, _ROWS):
        yield from _permit(calls, group, targets, sleep)
    yield from _assign(calls, people, targets)
    return True


def _permit_at_once(calls: Calls, steps: Sequence[Step], targets: Targets) -> Sequence[Done]:
    """Permission sets, object rows, rows of fields that exist and assignment: all of them or none."""
    creations = [step for step in steps if step.kind in wire.SETS]
    references = {step.kind: f"@{{{step.kind}.id}}" for step in creations}
    targets = replace(
        targets,
        main=references.get("create_permission_set", targets.main),
        sales=references.get("create_sales_set", targets.sales),
    )
    parts = {
        "new": ("POST", [step for step in steps if step not in creations and not step.row_id]),
        "more": ("PATCH", [step for step in steps if step.row_id]),
    }
    requests = [write(s.kind, "POST", "sobjects/PermissionSet", wire.SETS[s.kind]) for s in creations]
    for name, (method, part) in parts.items():
        rows = [wire.row_body(step, targets) for step in part]
        requests += (
            [write(name, method, "composite/sobjects", {"allOrNone": True, "records": rows})] if rows else []
        )
    results = calls.composite(requests, all_or_none=True, writes=True)
    answers: list[tuple[Step, Any]] = [(step, results[step.kind]["body"]) for step in creations]
    for name, (_, part) in parts.items():
        answers += _by_row(part, results[name]["body"]) if part else []
    errors = [(step, wire.errors_of(answer)) for step, answer in answers]
    if wire.already_there([error for _, each in errors for error in each]):
        return [Done(step, existed=True) for step in steps]
    for step, each in errors:
        if wire.is_cause(each):
            raise wire.refusal(each, step)
    if any(each for _, each in errors):
        raise RetryLater(
            "Salesforce rolled the permissions back and gave no reason; the stage may be repeated"
        )
    return [Done(step, answer.get("id")) for step, answer in answers]


def _create(calls: Calls, steps: Sequence[Step]) -> Iterator[Sequence[Done]]:
    names = {f"{step.type}_{step.field}": step for step in steps}
    requests = [
        write(name, "POST", "tooling/sobjects/CustomField", wire.field_body(step))
        for name, step in names.items()
    ]
    results = calls.composite(requests, "/tooling", writes=True)
    yield from _sorted_out([(step, results[name]["body"]) for name, step in names.items()])


def _permit(
    calls: Calls, steps: Sequence[Step], targets: Targets, sleep: Callable[[float], None]
) -> Iterator[Sequence[Done]]:
    """Permissions on fields that were created a moment ago: one that is not known yet is asked for again."""
    left = steps
    for pause in _PAUSES:
        rows = [wire.row_body(step, targets) for step in left]
        body = calls.call(
            "POST", f"{DATA}/composite/sobjects", json={"allOrNone": False, "records": rows}, writes=True
        )
        answers = _by_row(left, body)
        left = [step for step, answer in answers if wire.is_unknown_field(wire.errors_of(answer))]
        yield from _sorted_out([(step, answer) for step, answer in answers if step not in left])
        if not left:
            return
        sleep(pause)
    names = ", ".join(f"{step.type}.{step.field}" for step in left)
    raise RetryLater(f"Salesforce does not know its new fields yet: {names}; the stage may be repeated")


def _assign(calls: Calls, steps: Sequence[Step], targets: Targets) -> Iterator[Sequence[Done]]:
    """Assignments of the sales set: one that is refused keeps nobody else from theirs; all refusals come at the end."""
    refused = []
    for group in _groups(steps, _ROWS):
        rows = [wire.row_body(step, targets) for step in group]
        body = calls.call(
            "POST", f"{DATA}/composite/sobjects", json={"allOrNone": False, "records": rows}, writes=True
        )
        try:
            yield from _sorted_out(_by_row(group, body))
        except Misconfigured as error:
            refused.append(str(error))
    if refused:
        raise Misconfigured("\n".join(refused))


def _by_row(steps: Sequence[Step], body: Any) -> list[tuple[Step, Any]]:
    # A collection that was refused as a whole answers with one list of errors for all its rows.
    whole = len(body) != len(steps) or any("errorCode" in row for row in body)
    return [(step, body if whole else body[place]) for place, step in enumerate(steps)]


def _sorted_out(answers: Sequence[tuple[Step, Any]]) -> Iterator[Sequence[Done]]:
    """What was done, first; then the error of the first step that was refused, if any was."""
    done, refused = [], []
    for step, answer in answers:
        errors = wire.errors_of(answer)
        if not errors:
            done.append(Done(step, answer.get("id")))
        elif wire.already_there(errors):
            done.append(Done(step, existed=True))
        else:
            refused.append((errors, step))
    yield done
    if refused:
        raise _together([wire.refusal(*each) for each in refused])


def _together(errors: Sequence[SyncError]) -> SyncError:
    """One error for several: what a person has to mend, all at once; else the first, which may pass."""
    lasting = [error for error in errors if isinstance(error, Misconfigured)]
    return Misconfigured("\n".join(map(str, lasting))) if len(lasting) > 1 else (lasting or errors)[0]


def _groups(steps: Sequence[Step], size: int) -> Iterator[Sequence[Step]]:
    return (steps[start : start + size] for start in range(0, len(steps), size))
