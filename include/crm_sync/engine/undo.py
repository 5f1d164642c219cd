"""Undo: values that runs wrote are put back into our own records, and the sync carries them on (algorithm.md, hole 25).

An undo is a run of its own: planned, shown, carried out once more compared, recorded like any other, and undone like any other.
Nothing here speaks to the CRM but the reading before the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import Any

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.undo import undo
from crm_sync.decide.undo_words import Line, Verdict
from crm_sync.engine.approval import Assessment, require
from crm_sync.engine.context import Engine
from crm_sync.engine.reports import PushReport
from crm_sync.engine.undo_apply import apply_plan
from crm_sync.engine.undo_plan import Decided, Draft, UndoPlan
from crm_sync.ledger import approval, planned, replan, runs, settings, trail, undoing, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.undo_selection import Selection, selection_of
from crm_sync.model import Side

__all__ = ["apply_undo", "await_approval", "open_undo", "plan_undo", "propose"]

CHUNK = 1000
RULE = "undo"
PLANNED_AGAIN = "the undo was planned again"


def propose(engine: Engine, selection: Selection) -> UndoPlan:
    """What an undo of this selection would do now; nothing is written, and nothing is read in the CRM."""
    with engine.database.transaction() as tx:
        draft = Draft(str(selection))
        for chunk in _decided(tx, engine, selection):
            draft.add(chunk)
    return draft.plan()


def open_undo(
    engine: Engine,
    selection: Selection,
    dag_run_id: str = "",
    *,
    dry_run: bool = False,
    approve: str | None = None,
) -> int:
    """Open the undo's run and return its number; the same DAG run twice gives the same one.

    ``approve``: the digest of a plan that may be carried out unasked, if it is the one that the run makes.
    """
    options: dict[str, object] = {"undo": selection.as_options(), "by_hand": True}
    options |= {name: value for name, value in (("dry_run", dry_run), ("approve", approve)) if value}
    with engine.database.transaction() as tx:
        connection = settings.load(tx, selection.connection)
        run_id = runs.open_run(tx, selection.connection, "undo", dag_run_id, options)
        # Before the plan: a change of the mapping that is only noticed at the answer would withdraw the question.
        replan.replan_if_changed(tx, connection.name, connection.settings, engine.mappings, run_id)
        killed = runs.abandoned(tx, selection.connection, "undo", run_id)
    for earlier in killed:
        engine.settle(earlier, killed=True)
    return run_id


def plan_undo(engine: Engine, run_id: int, *, read: bool = True) -> UndoPlan:
    """Decide and store what the undo does, writing no record; a plan that was made before is replaced.

    ``read``: first look what was edited in the CRM since the last sync (one call), so that such edits are kept, too.
    """
    context = engine.context(run_id)
    if context.run.approved:
        return UndoPlan(run_id, "", {}, {}, context.run.approved, ())
    if read:
        engine.pull(run_id)
    with engine.database.transaction() as tx:
        approval.give_up(tx, context.name, run_id, PLANNED_AGAIN)
        trail.supersede(tx, run_id, PLANNED_AGAIN)
        selection = selection_of(tx, run_id)
        draft = Draft(str(selection))
        for chunk in _decided(tx, engine, selection):
            draft.add(chunk)
            _keep(tx, run_id, selection.connection, chunk)
        worklist.analyze(tx)
        digest = planned.digest_of(tx, run_id, context.mappings) if draft.effective else ""
    return draft.plan(run_id, digest)


def await_approval(engine: Engine, plan: UndoPlan) -> None:
    """Raise ApprovalNeeded until a person has approved this very plan; an undo is always shown before it is done."""
    if plan.run_id is not None and plan.digest:
        why = ("an undo is carried out after a person has seen its plan",)
        require(
            engine, engine.context(plan.run_id), Assessment(why, plan.digest, plan.markdown, plan.by_object)
        )


def apply_undo(engine: Engine, run_id: int) -> PushReport:
    """Carry out the approved plan, each decision compared once more; nothing of one that nobody approved."""
    return apply_plan(engine, engine.context(run_id))


def _decided(tx: Transaction, engine: Engine, selection: Selection) -> Iterator[list[Decided]]:
    """The verdicts, a chunk of records at a time."""
    pulls_only = settings.load(tx, selection.connection).settings.direction == "pull"
    found = undoing.changes(tx, selection)
    while chunk := list(islice(found, CHUNK)):
        decided: list[Decided] = []
        for object, group in groupby(chunk, key=lambda record: record[0]):
            records = {our_id: recorded for _, our_id, recorded in group}
            mapping = engine.mappings[object]
            ours = undoing.records_of(tx, mapping, list(records))
            links = undoing.links_of(tx, selection.connection, mapping, list(records))
            parents = _parents(tx, engine, mapping, [r for rs in records.values() for r in rs])
            for our_id, recorded in records.items():
                link = links.get(our_id)
                lines = undo(
                    mapping, recorded, link, ours.get(our_id), parents, pulls_only=pulls_only,
                    removals=selection.removals,
                )  # fmt: skip
                if lines:
                    their_id, link_id = (link.their_id, link.link_id) if link else (None, None)
                    decided.append(Decided(object, our_id, their_id, link_id, lines))
        yield decided


def _parents(tx: Transaction, engine: Engine, mapping: ObjectMapping, recorded: Sequence[Any]) -> set[str]:
    """Which of the accounts that would be referred to again are there."""
    reference = mapping.reference
    if reference is None or reference.references is None:
        return set()
    wanted = {str(r.before[reference.ours]) for r in recorded if r.before.get(reference.ours) is not None}
    return undoing.living(tx, engine.mappings[reference.references], sorted(wanted)) if wanted else set()


def _keep(tx: Transaction, run_id: int, connection: str, chunk: Sequence[Decided]) -> None:
    """Store what is to be done as the run's changes, and what is not as lines of the trail."""
    trail.plan(tx, run_id, connection, [change for record in chunk for change in _changes(record)])
    for object, group in groupby(chunk, key=lambda record: record.object):
        trail.note(tx, run_id, connection, object, [
            trail.Line(
                RULE, "noted", our_id=record.our_id, their_id=record.their_id, side="ours", field=line.field,
                before=line.present, detail=f"{line.verdict}: {line.why} (run {', '.join(map(str, line.runs))})",
            )
            for record in group for line in record.lines if line.verdict in ("kept", "impossible")
        ])  # fmt: skip


_OPS: dict[Verdict, tuple[Side, trail.Op]] = {
    "bring back": ("ours", "unarchive"),
    "archive": ("ours", "archive"),
    "withdraw": ("theirs", "delete"),
    "make again": ("theirs", "create"),
}


def _changes(record: Decided) -> Iterator[trail.Change]:
    """What is to be written to one record, whether it is there first."""
    for line in record.lines:
        if line.verdict in _OPS:
            yield _change(record, *_OPS[line.verdict], [line])
    values = [line for line in record.lines if line.verdict == "put back"]
    if values:
        yield _change(record, "ours", "update", values)


def _change(record: Decided, side: Side, op: trail.Op, lines: Sequence[Line]) -> trail.Change:
    return trail.Change(
        record.object, side, op, record.link_id, record.our_id, record.their_id,
        {line.field: line.present for line in lines}, {line.field: line.target for line in lines}, {},
        {line.field: RULE for line in lines},
    )  # fmt: skip
