"""Taking provisioning back: list what it made ─► a person approves that very list ─► remove it, and nothing else.

For whoever joins it to the rest::

    removal = Removal("salesforce_main", org_of, ledger)
    run_id, report = removal.plan(dag_run_id, dry_run=False)   # reads only; opens the run
    request = removal.request(run_id)                          # what to ask the person; None: nothing to ask
    report = removal.apply(run_id, approved=request.digest)    # any other digest, or "": ends cleanly as refused

Approved is the list that ``plan`` stored: of it is removed what is still there, so a stage may be repeated at any time.
Before the first step the connection stops being provisioned: no sync begins on fields that are about to go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from crm_sync.decide.schema_made import Made
from crm_sync.decide.schema_removal import FoundOurs, RemovalPlan, Removing, plan_removal, with_it
from crm_sync.errors import Misconfigured
from crm_sync.model import OBJECTS, Outcome
from crm_sync.provision_ledger import (
    REMOVAL,
    ProvisionLedger,
    RunState,
    TrailLine,
    counts_of,
    found_done,
    not_taken,
    open_lines,
)

__all__ = ["OrgToClear", "Removal", "RemovalReport", "Request"]

_UNDO = "undo_"  # before the kind of the step that is taken back: the rule of its lines in the trail


class OrgToClear(Protocol):
    """The CRM's schema: ``stores.salesforce_removal.SalesforceRemoval``."""

    @property
    def calls(self) -> int:
        """How many API calls were made."""
        ...

    def look(self, made: Sequence[Made]) -> FoundOurs:
        """What the org still has of what was made."""
        ...

    def remove(self, plan: RemovalPlan) -> Iterator[Sequence[Removing]]:
        """Take the steps, yielding after each call what is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a person is asked to approve."""

    connection: str
    digest: str
    lines: tuple[str, ...]

    @property
    def markdown(self) -> str:
        """The list for a page."""
        listed = "\n".join(f"- {line}" for line in self.lines)
        return (
            f"GPTWeb made these things in the CRM of connection **{self.connection}**. They are removed if you approve, "
            f"and nothing else is (plan `{self.digest}`):\n\n{listed}\n\nFrom then on the connection is not "
            "provisioned any more, and its sync has no schedule."
        )


@dataclass(frozen=True, slots=True)
class RemovalReport:
    """One stage: the lines for the task log, the numbers for machines."""

    connection: str
    said: tuple[str, ...]
    removed: int = 0
    planned: int = 0
    api_calls: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Numbers by name."""
        return {"planned": self.planned, "removed": self.removed, "api_calls": self.api_calls}

    def lines(self) -> list[str]:
        """Sentences for the task log."""
        return [f"Removal from {self.connection}", *self.said, f"API calls of this stage: {self.api_calls}."]


class Removal:
    """The stages for one connection; ``org_of`` makes the org whose calls are booked to a run."""

    def __init__(self, connection: str, org_of: Callable[[int], OrgToClear], ledger: ProvisionLedger) -> None:
        self._connection = connection
        self._org_of = org_of
        self._ledger = ledger

    def plan(self, dag_run_id: str, *, dry_run: bool = False) -> tuple[int, RemovalReport]:
        """Open the run and list what there is to remove; nothing is changed."""
        run_id = self._ledger.running(self._connection, dag_run_id)
        if run_id is None:
            run_id = self._ledger.open(self._connection, dag_run_id)
        org = self._org_of(run_id)
        made = self._ledger.made(self._connection)
        plan = plan_removal(made, org.look(made))
        self._end_open_lines(run_id)  # of an earlier try of this stage: approved is the newest list alone
        said = (*plan.lines(), f"{len(plan.steps)} things to remove, plan {plan.digest}.")
        if dry_run or not plan.steps:
            self._ledger.record(
                run_id, [_line(step, "superseded", "dry run, not taken") for step in plan.steps]
            )
            self._close(
                run_id, "succeeded", "dry run: nothing was removed" if dry_run else "nothing to remove"
            )
        else:
            listed = {"digest": plan.digest, "lines": list(plan.lines())}
            request = TrailLine("permission_set", None, REMOVAL, "noted", said[-1], after=listed)
            self._ledger.record(run_id, [*(_line(step, "noted") for step in plan.steps), request])
            self._ledger.await_approval(
                run_id, f"{said[-1]} Approve it under Browse → Required Actions in Airflow"
            )
        return run_id, RemovalReport(self._connection, said, planned=len(plan.steps), api_calls=org.calls)

    def request(self, run_id: int) -> Request | None:
        """The list that a person has to approve, the newest of the run; None when there is nothing to ask."""
        asked = [line for line in self._ledger.recorded(run_id) if line.rule == REMOVAL and line.after]
        if not asked:
            return None
        return Request(self._connection, asked[-1].after["digest"], tuple(asked[-1].after["lines"]))

    def apply(self, run_id: int, approved: str, by: str = "somebody") -> RemovalReport:
        """Remove what is left of the approved list; without that approval, end as refused."""
        request = self.request(run_id)
        if request is None:
            return RemovalReport(self._connection, ("Nothing to remove.",))
        if approved != request.digest:
            return self._refuse(run_id, request, approved, by)
        words = f"removal {request.digest} approved by {by}"
        recorded = self._ledger.recorded(run_id)
        if open_lines(recorded):
            self._ledger.record(run_id, [TrailLine("permission_set", None, REMOVAL, "noted", words)])
            self._ledger.mark_removed(self._connection)
        elif _was_ended(recorded):
            ended = "This removal has ended; trigger another one for what is left."
            return RemovalReport(self._connection, (ended,), planned=len(request.lines))
        org = self._org_of(run_id)
        made = self._ledger.made(self._connection)
        plan = plan_removal(made, org.look(made))
        steps = self._left_of_approved(run_id, plan)
        try:
            for group in org.remove(RemovalPlan(steps)):
                lines = [_line(step, "acknowledged", "done") for step in group]
                gone = [each for step in group for each in with_it(step.made, made)]
                self._ledger.removed(run_id, lines, gone)
        except Misconfigured as error:
            self._close(run_id, "failed", str(error))
            raise
        self._forget_what_is_gone(run_id, made, plan, steps)
        count = sum(line.outcome == "acknowledged" for line in self._ledger.recorded(run_id))
        self._close(run_id, "succeeded", f"{words}; {count} things are gone")
        said = (*(f"done: {step.words}" for step in steps), *(f"stays: {kept}" for _, kept in plan.kept))
        return RemovalReport(self._connection, said, count, len(request.lines), org.calls)

    def _refuse(self, run_id: int, request: Request, approved: str, by: str) -> RemovalReport:
        words = f"removal {request.digest} was not approved by {by}; nothing was removed"
        if approved:
            words = (
                f"approved was plan {approved}, but this run planned {request.digest}; nothing was removed"
            )
        self._ledger.record(run_id, [TrailLine("permission_set", None, REMOVAL, "noted", words)])
        self._close(run_id, "refused", words)
        return RemovalReport(self._connection, (words,), planned=len(request.lines))

    def _left_of_approved(self, run_id: int, plan: RemovalPlan) -> tuple[Removing, ...]:
        """The approved steps that are left; one that is not needed any more was taken without our seeing the reply."""
        listed = open_lines(self._ledger.recorded(run_id))
        left = {_line(step, "noted").key for step in plan.steps}
        stays = {made.name for made, _ in plan.kept}
        gone = [line for line in listed if line.key not in left and line.field not in stays]
        if gone:
            self._ledger.record(run_id, [found_done(line) for line in gone])
        keys = {line.key for line in listed}
        return tuple(step for step in plan.steps if _line(step, "noted").key in keys)

    def _forget_what_is_gone(
        self, run_id: int, made: Sequence[Made], plan: RemovalPlan, taken: Sequence[Removing]
    ) -> None:
        """What was made and is neither there any more nor left on purpose is not ours to look after."""
        left = [step.made for step in plan.steps if step not in taken] + [kept for kept, _ in plan.kept]
        stays = {each.key for one in left for each in with_it(one, made)}
        self._ledger.removed(run_id, [], [each for each in made if each.key not in stays])

    def _end_open_lines(self, run_id: int) -> None:
        left = [not_taken(line) for line in open_lines(self._ledger.recorded(run_id))]
        if left:
            self._ledger.record(run_id, left)

    def _close(self, run_id: int, state: RunState, message: str) -> None:
        self._end_open_lines(run_id)
        self._ledger.close(run_id, state, counts_of(self._ledger.recorded(run_id)), message)


def _was_ended(lines: Sequence[TrailLine]) -> bool:
    """Whether steps of the list were given up, because it was refused or failed; else all of it was done."""
    last = {line.key: line for line in lines if line.rule.startswith(_UNDO)}
    return any(line.outcome == "superseded" for line in last.values())


def _line(step: Removing, outcome: Outcome, said: str = "planned") -> TrailLine:
    made = step.made
    type_ = re.split(r"[.-]", made.name)[0].lower()
    before = list(step.fields or made.details) or made.label
    return TrailLine(
        object=type_ if type_ in OBJECTS else "permission_set",
        field=made.name,
        rule=f"{_UNDO}{made.kind}",
        outcome=outcome,
        detail=f"{said}: {step.words}",
        before=before,
        after=before if outcome == "superseded" else None,
        their_id=step.their_id or None,
    )
