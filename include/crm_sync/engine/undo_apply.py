"""Carry out a planned undo: our records are written, each value only where it still is what was planned upon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from crm_sync.decide.existence import EXISTS
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import same
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.reports import PushReport, Tally
from crm_sync.ledger import existence, trail, undoing
from crm_sync.ledger.database import Transaction
from crm_sync.model import Link, Side, Write
from crm_sync.stores.database import DatabaseStore

__all__ = ["apply_plan"]

CHUNK = 1000
SUPERSEDED = "changed after the undo was planned, and kept"
BUSY = "a run is writing to it; undo once more"
CARRIED = "the next sync carries it out in the CRM"


def apply_plan(engine: Engine, context: Context) -> PushReport:
    """Chunk by chunk, one transaction each; a plan that nobody approved is left alone."""
    tally = Tally()
    if context.run.approved is None:
        return PushReport(context.run_id, {}, {}, ("nothing was approved, and nothing was undone",))
    for mapping in context.objects:
        for side in ("ours", "theirs"):
            _side(engine, context, mapping, side, tally)
    return PushReport(context.run_id, tally.numbers, tally.total())


def _side(engine: Engine, context: Context, mapping: ObjectMapping, side: Side, tally: Tally) -> None:
    after = 0
    while True:
        with engine.database.transaction() as tx:
            changes = trail.pending(tx, context.run_id, side, mapping.object, after, CHUNK)
            outcomes: list[trail.OutcomeRow] = []
            for op, act in _ACTS[side]:
                of_op = [c for c in changes if c.op == op]
                if of_op:
                    outcomes += act(tx, engine, context, mapping, of_op)
            trail.outcomes(tx, context.run_id, outcomes)
        for _, outcome, fields, _, _ in outcomes:
            tally.add(mapping.object, outcome, len(fields))
        if len(changes) < CHUNK:
            return
        after = changes[-1].change_id


Act = Callable[[Transaction, Engine, Context, ObjectMapping, Sequence[trail.Change]], list[trail.OutcomeRow]]


def _put_back(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    """Write the values as a person would: the column's time is now, and every connection gets them."""
    ours = undoing.records_of(tx, mapping, [c.our_id for c in changes], lock=True)
    outcomes: list[trail.OutcomeRow] = []
    ready: list[tuple[trail.Change, Write]] = []
    now = engine.now()
    for change in changes:
        record = ours.get(change.our_id)
        held = {} if record is None or record.deleted else record.values
        values = {f: v for f, v in change.after.items() if f in held and same(held[f], change.before[f])}
        if gone := [f for f in change.after if f not in values]:
            outcomes.append(_said(change, SUPERSEDED, gone))
        if values:
            write = Write(change.our_id, change.our_id, "", values, times=dict.fromkeys(values, now))
            ready.append((change, write))
    answers = DatabaseStore(tx, context.mappings).write(mapping.object, [w for _, w in ready], 0.0)
    for (change, write), answer in zip(ready, answers, strict=True):
        if answer.failures:
            why = f"our database refused it: {answer.failures[0].message}"
            outcomes.append(_said(change, why, tuple(write.values)))
        else:
            outcomes.append(_done(change, tuple(write.values)))
    return outcomes


def _bring_back(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    """Take our records out of the archive; where theirs is gone the next sync makes it again."""
    ours = undoing.records_of(tx, mapping, [c.our_id for c in changes], lock=True)
    ready = [c for c in changes if c.our_id in ours and ours[c.our_id].deleted]
    undoing.set_deleted(tx, mapping, [c.our_id for c in ready], deleted=False)
    return _told(changes, ready, None)


def _archive(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    """Archive our records; theirs was there before ours, so it stays, whatever the policy: that is agreed at once."""
    links = _free_links(tx, engine, context, mapping, changes)
    ours = undoing.records_of(tx, mapping, [c.our_id for c in changes], lock=True)
    ready = [c for c in changes if c.our_id in links and c.our_id in ours and not ours[c.our_id].deleted]
    undoing.set_deleted(tx, mapping, [c.our_id for c in ready], deleted=True)
    apart = [links[c.our_id] for c in ready]
    existence.store(tx, [replace(link, alive=(False, link.their_alive), withdrawn=False) for link in apart])
    return _told(changes, ready, None)


def _withdraw(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    links = _free_links(tx, engine, context, mapping, changes)
    ready = [c for c in changes if c.our_id in links and links[c.our_id].their_alive]
    undoing.withdraw(tx, [links[c.our_id].link_id for c in ready])
    return _told(changes, ready, CARRIED)


def _make_again(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    links = _free_links(tx, engine, context, mapping, changes)
    ready = [c for c in changes if c.our_id in links]
    undoing.make_again(tx, [links[c.our_id].link_id for c in ready])
    return _told(changes, ready, CARRIED)


def _free_links(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> dict[str, Link]:
    """The links of these records that no run is writing to, locked."""
    now = engine.now()
    found = undoing.links_of(tx, context.name, mapping, [c.our_id for c in changes], lock=True)
    return {
        our_id: link
        for our_id, link in found.items()
        if link.state in ("live", "gone") and not link.claimed_by_another(context.run_id, now)
    }


def _told(
    changes: Sequence[trail.Change], ready: Sequence[trail.Change], detail: str | None
) -> list[trail.OutcomeRow]:
    done = {c.change_id for c in ready}
    return [
        _done(c, (EXISTS,), detail) if c.change_id in done else _said(c, f"{SUPERSEDED}, or {BUSY}")
        for c in changes
    ]


def _done(change: trail.Change, fields: Sequence[str], detail: str | None = None) -> trail.OutcomeRow:
    return change.change_id, "acknowledged", fields, change.their_id, detail


def _said(change: trail.Change, why: str, fields: Sequence[str] = ()) -> trail.OutcomeRow:
    return change.change_id, "superseded", fields or tuple(change.after), change.their_id, why


_ACTS: dict[Side, tuple[tuple[str, Act], ...]] = {
    "ours": (("unarchive", _bring_back), ("update", _put_back), ("archive", _archive)),
    "theirs": (("delete", _withdraw), ("create", _make_again)),
}
