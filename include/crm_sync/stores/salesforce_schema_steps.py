"""Taking the steps of a schema plan in a Salesforce org: three calls for up to 25 new fields.

Permissions on what exists go first, all or nothing: what can't be permitted stops it while nothing is changed.  Then
come the new fields, then the permissions on those.  Whatever somebody else makes meanwhile counts as done by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from crm_sync.decide.schema import PERMISSION_SET, Done, FoundSchema, SchemaPlan, Step
from crm_sync.errors import RetryLater
from crm_sync.stores import salesforce_schema_wire as wire
from crm_sync.stores.salesforce_schema_calls import Calls, write
from crm_sync.stores.salesforce_schema_wire import DATA

__all__ = ["take"]

# A composite carries at most 25 subrequests, a collection at most 200 rows (facts/salesforce.md 3.3).
_SUBREQUESTS, _ROWS = 25, 200
# A new field may take seconds to be known everywhere (facts/salesforce.md 7.1).
_PAUSES = (1.0, 2.0, 4.0, 8.0)


def take(
    calls: Calls, plan: SchemaPlan, found: FoundSchema, sleep: Callable[[float], None]
) -> Iterator[Sequence[Done]]:
    """Take the steps, yielding after each call what it did; ends early where another look is needed first."""
    new = {(step.type, step.field) for step in plan.steps if step.kind == "create_field"}
    creations = [step for step in plan.steps if step.kind == "create_field"]
    late = [step for step in plan.steps if step.kind == "grant_field" and (step.type, step.field) in new]
    early = [step for step in plan.steps if step not in creations and step not in late]
    permission_set = found.permission_set or ""
    for group in _groups(early, _ROWS):
        done = _permit_at_once(calls, group, permission_set, found.user_id)
        yield done
        if any(each.existed for each in done):
            return
        permission_set = next(
            (d.their_id or "" for d in done if d.step.kind == "create_permission_set"), permission_set
        )
    for group in _groups(creations, _SUBREQUESTS):
        yield from _create(calls, group)
    for group in _groups(late, _ROWS):
        yield from _permit(calls, group, permission_set, found.user_id, sleep)


def _permit_at_once(calls: Calls, steps: Sequence[Step], permission_set: str, user: str) -> Sequence[Done]:
    """Permission set, object rows, rows of fields that exist and assignment: all of them or none."""
    creation = [step for step in steps if step.kind == "create_permission_set"]
    parts = {
        "new": ("POST", [step for step in steps if step not in creation and not step.row_id]),
        "more": ("PATCH", [step for step in steps if step.row_id]),
    }
    target = "@{made.id}" if creation else permission_set
    made = {"Name": PERMISSION_SET, "Label": wire.SET_LABEL}
    requests = [write("made", "POST", "sobjects/PermissionSet", made) for _ in creation]
    for name, (method, part) in parts.items():
        rows = [wire.row_body(step, target, user) for step in part]
        requests += (
            [write(name, method, "composite/sobjects", {"allOrNone": True, "records": rows})] if rows else []
        )
    results = calls.composite(requests, all_or_none=True, writes=True)
    answers: list[tuple[Step, Any]] = [(step, results["made"]["body"]) for step in creation]
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
    calls: Calls, steps: Sequence[Step], permission_set: str, user: str, sleep: Callable[[float], None]
) -> Iterator[Sequence[Done]]:
    """Permissions on fields that were created a moment ago: one that is not known yet is asked for again."""
    left = steps
    for pause in _PAUSES:
        rows = [wire.row_body(step, permission_set, user) for step in left]
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
        raise wire.refusal(*refused[0])


def _groups(steps: Sequence[Step], size: int) -> Iterator[Sequence[Step]]:
    return (steps[start : start + size] for start in range(0, len(steps), size))
