"""Provisioning: wanted schema ─► diff ─► plan ─► check ─► apply ─► verify, the sync's own idea over fields.

For whoever joins it to the rest, the three stages (each may be repeated alone, at any time)::

    provisioning = Provisioning("salesforce_main", org_of, load_mappings("salesforce"), ledger)
    run_id, report = provisioning.plan(dag_run_id, dry_run=False)  # reads only; opens the run
    report = provisioning.apply(run_id)    # plans afresh, changes the org; nothing to do = nothing done
    report = provisioning.verify(run_id)   # looks as the integration user, closes the run, marks the connection

``org_of`` makes the org for a run id: ``lambda run_id: SalesforceSchema(MeteredSession(…))`` with a meter that books
to that run.  Only the run id travels between tasks; after a dry run, apply and verify return an empty report and touch
nothing, so the chain needs no branch.  ``report.lines()`` is the table for the task log, ``report.counts`` the numbers.

Misconfigured: a person has to act, a repetition is useless; the run is closed.  RetryLater, Unanswered and the like:
repeat the same stage; the run stays open.  When there will be no more tries, ``give_up(dag_run_id, error)`` closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.schema import FoundSchema, WantedField
from crm_sync.decide.schema_diff import plan_schema, wanted_fields
from crm_sync.decide.schema_made import drift_of, made_by
from crm_sync.decide.schema_steps import Done, SchemaPlan, Step
from crm_sync.errors import Misconfigured, RetryLater, Unanswered
from crm_sync.model import Object
from crm_sync.provision_ledger import (
    DRY_RUN,
    ProvisionLedger,
    RunState,
    TrailLine,
    counts_of,
    done_line,
    drift_line,
    found_done,
    not_taken,
    open_lines,
    planned_line,
    refused_line,
    step_of,
)
from crm_sync.provision_report import ProvisionReport, Stage

__all__ = ["Org", "ProvisionLedger", "ProvisionReport", "Provisioning", "TrailLine"]

# Looking again after somebody else's work, or after a reply was lost.
_ROUNDS = 3


class Org(Protocol):
    """The CRM's schema: ``stores.salesforce_schema.SalesforceSchema``."""

    @property
    def calls(self) -> int:
        """How many API calls were made."""
        ...

    def look(self, wanted: Sequence[WantedField]) -> FoundSchema:
        """What the org has of what is wanted."""
        ...

    def take(self, plan: SchemaPlan, found: FoundSchema) -> Iterator[Sequence[Done]]:
        """Take the steps, yielding after each call what it did."""
        ...

    def problems(self, wanted: Sequence[WantedField]) -> Sequence[str]:
        """What the integration user can't read or write."""
        ...


class Provisioning:
    """The stages for one connection; ``org_of`` makes the org whose calls are booked to a run."""

    def __init__(
        self,
        connection: str,
        org_of: Callable[[int], Org],
        mappings: Mapping[Object, ObjectMapping],
        ledger: ProvisionLedger,
    ) -> None:
        self._connection = connection
        self._org_of = org_of
        self._wanted = wanted_fields(mappings)
        self._ledger = ledger

    def plan(self, dag_run_id: str, *, dry_run: bool = False) -> tuple[int, ProvisionReport]:
        """Open the run and decide the steps; refused differences are raised, all at once, and nothing is changed."""
        run_id = self._ledger.running(self._connection, dag_run_id)
        if run_id is None:
            run_id = self._ledger.open(self._connection, dag_run_id)
        org = self._org_of(run_id)
        with self._closing_on_misconfigured(run_id):
            found, plan = self._look(org)
            drift = self._drift(run_id, plan, found)
            self._refuse(run_id, plan, drift)
            if dry_run:
                self._end_dry_run(run_id, plan)
            else:
                self._note(run_id, plan.steps)
        note = f"Dry run: {len(plan.steps)} steps planned, none taken." if dry_run else ""
        return run_id, self._report("plan", org, plan.steps, note, plan.notes, drift)

    def apply(self, run_id: int) -> ProvisionReport:
        """Plan afresh and take what is left to do."""
        if self._is_dry_run(run_id):
            return ProvisionReport(self._connection, "apply", note="Dry run: nothing was changed.")
        org = self._org_of(run_id)
        taken: list[Step] = []
        with self._closing_on_misconfigured(run_id):
            for attempt in range(_ROUNDS):
                found, plan = self._look(org)
                self._refuse(run_id, plan)
                self._close_what_is_done(run_id, plan)
                self._note(run_id, plan.steps)
                if self._take(run_id, org, plan, found, taken, last=attempt == _ROUNDS - 1):
                    return self._report("apply", org, taken)
        raise RetryLater(
            f"somebody else changes the fields of {self._connection} too; the stage may be repeated"
        )

    def verify(self, run_id: int) -> ProvisionReport:
        """Look as the integration user; if every field can be used, close the run and let the syncs begin."""
        if self._is_dry_run(run_id):
            return ProvisionReport(self._connection, "verify", note="Dry run: nothing was verified.")
        org = self._org_of(run_id)
        with self._closing_on_misconfigured(run_id):
            if problems := org.problems(self._wanted):
                said = "\n".join(f"- {problem}" for problem in problems)
                raise Misconfigured(
                    f"The integration user can't use every field of {self._connection}:\n{said}\n"
                    "Look for a muting permission set or a restriction on the user, then run provisioning again"
                )
        lines = self._ledger.recorded(run_id)
        new = any((line.rule, line.outcome) == ("create_field", "acknowledged") for line in lines)
        self._ledger.mark_provisioned(self._connection, read_again=new)
        self._close(run_id, "succeeded", f"every field of {self._connection} can be read and written")
        return self._report("verify", org, ())

    def give_up(self, dag_run_id: str, error: str) -> None:
        """Close the DAG run's run, if it is still open, with what went wrong."""
        run_id = self._ledger.running(self._connection, dag_run_id)
        if run_id is not None:
            self._close(run_id, "failed", error)

    def _look(self, org: Org) -> tuple[FoundSchema, SchemaPlan]:
        found = org.look(self._wanted)
        return found, plan_schema(self._wanted, found)

    def _drift(self, run_id: int, plan: SchemaPlan, found: FoundSchema) -> tuple[str, ...]:
        """What changed since provisioning made it, noted in the trail."""
        drifted = drift_of(plan, found, self._ledger.made(self._connection))
        if drifted:
            self._ledger.record(run_id, [drift_line(made, words) for made, words in drifted])
        return tuple(words for _, words in drifted)

    def _refuse(self, run_id: int, plan: SchemaPlan, drift: Sequence[str] = ()) -> None:
        if plan.refusals:
            self._ledger.record(run_id, [refused_line(refusal) for refusal in plan.refusals])
            plan.raise_if_refused(drift)

    def _take(
        self, run_id: int, org: Org, plan: SchemaPlan, found: FoundSchema, taken: list[Step], *, last: bool
    ) -> bool:
        """Take the steps; whether that was all, or the org has to be looked at again."""
        complete = True
        try:
            for done in org.take(plan, found):
                made = [made_by(each.step, each.their_id) for each in done if not each.existed]
                self._ledger.record(run_id, [done_line(each) for each in done], made)
                taken += [each.step for each in done if not each.existed]
                complete &= not any(each.existed for each in done)
        except Unanswered:
            # Looking shows what became of it, and nothing can be made twice: names and rows are unique there.
            if last:
                raise
            complete = False
        return complete

    def _note(self, run_id: int, steps: Sequence[Step]) -> None:
        noted = {line.key for line in open_lines(self._ledger.recorded(run_id))}
        lines = [line for line in map(planned_line, steps) if line.key not in noted]
        if lines:
            self._ledger.record(run_id, lines)

    def _close_what_is_done(self, run_id: int, plan: SchemaPlan) -> None:
        left = {planned_line(step).key for step in plan.steps}
        lines = [line for line in open_lines(self._ledger.recorded(run_id)) if line.key not in left]
        if lines:
            made = [made_by(step_of(line, self._wanted), certain=False) for line in lines]
            self._ledger.record(run_id, [found_done(line) for line in lines], made)

    def _end_dry_run(self, run_id: int, plan: SchemaPlan) -> None:
        message = f"dry run: {len(plan.steps)} steps planned, none taken"
        mark = TrailLine("permission_set", None, DRY_RUN, "noted", f"{message} (plan {plan.digest[:12]})")
        self._ledger.record(run_id, [*(planned_line(step, dry_run=True) for step in plan.steps), mark])
        self._close(run_id, "succeeded", message)

    def _is_dry_run(self, run_id: int) -> bool:
        return any(line.rule == DRY_RUN for line in self._ledger.recorded(run_id))

    def _close(self, run_id: int, state: RunState, message: str) -> None:
        left = [not_taken(line) for line in open_lines(self._ledger.recorded(run_id))]
        if left:
            self._ledger.record(run_id, left)
        self._ledger.close(run_id, state, counts_of(self._ledger.recorded(run_id)), message)

    @contextmanager
    def _closing_on_misconfigured(self, run_id: int) -> Iterator[None]:
        """Repeating is useless then: the run ends, and says why."""
        try:
            yield
        except Misconfigured as error:
            refused = any(line.outcome == "parked" for line in self._ledger.recorded(run_id))
            self._close(run_id, "refused" if refused else "failed", str(error))
            raise

    def _report(
        self,
        stage: Stage,
        org: Org,
        steps: Sequence[Step],
        note: str = "",
        notes: tuple[str, ...] = (),
        drift: tuple[str, ...] = (),
    ) -> ProvisionReport:
        return ProvisionReport(
            self._connection, stage, self._wanted, tuple(steps), org.calls, note, notes, drift
        )
