"""Push ours, record by record: each decision is made once more, in the transaction that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Create, judge
from crm_sync.decide.merge import NO_PARENTS, Decision, Parents, merge
from crm_sync.engine.context import Context, Engine
from crm_sync.ledger import identity, linking, links, parking, setwise, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents, parents_of
from crm_sync.model import Link, OurRecord, Outcome, Write

__all__ = ["Batch", "Ready", "make_each", "recheck_creates", "recheck_updates"]

SUPERSEDED = "the record changed after it was planned; the next run decides anew"


@dataclass
class Ready:
    """One change that stood the re-check: what to write and what to say about it."""

    change: trail.Change
    link: Link
    ours: OurRecord | None
    decisions: list[Decision]
    write: Write


@dataclass
class Batch:
    """What one transaction collects before it writes."""

    ready: list[Ready] = field(default_factory=list)
    outcomes: list[trail.OutcomeRow] = field(default_factory=list)
    lines: list[trail.Line] = field(default_factory=list)
    refusals: list[parking.Refusal] = field(default_factory=list)

    def say(
        self, change: trail.Change, outcome: Outcome, fields: Sequence[str], detail: str | None = None
    ) -> None:
        """Note what became of fields of a change."""
        self.outcomes.append((change.change_id, outcome, fields, change.their_id, detail))


def recheck_updates(
    tx: Transaction,
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    changes: Sequence[trail.Change],
    batch: Batch,
) -> None:
    """The merge runs again on what is locked now; fields of which it says something else are superseded."""
    now = engine.now()
    found = links.pairs(tx, mapping, [c.link_id for c in changes if c.link_id is not None], lock=True)
    parents = load_parents(tx, context.name, mapping, found)
    by_id = {link.link_id: (link, ours) for link, ours in found}
    for change in changes:
        link, ours = by_id.get(change.link_id or 0, (None, None))
        if link is None or ours is None or link.claimed_by_another(context.run_id, now):
            batch.say(change, "superseded", tuple(change.after), SUPERSEDED)
            continue
        current = {d.field: d for d in merge(mapping, context.rules, link, ours, parents, only=change.after)}
        kept = [current[f] for f in change.after if _stands(current.get(f), change, f)]
        gone = [f for f in change.after if f not in {d.field for d in kept}]
        if gone:
            batch.say(change, "superseded", gone, SUPERSEDED)
        if kept:
            times = {d.field: _edited_at(context, link, d.field) for d in kept}
            write = Write(ours.id, ours.id, "", {d.field: d.theirs for d in kept}, times=times)
            batch.ready.append(Ready(change, link, ours, kept, write))


def _stands(decision: Decision | None, change: trail.Change, field: str) -> bool:
    return (
        decision is not None and decision.action == "pull"
        and decision.theirs == change.after[field] and decision.ours == change.before[field]
    )  # fmt: skip


def _edited_at(context: Context, link: Link, field: str) -> datetime:
    """The time of the edit in the CRM, in our clock: it is what a second CRM's edit is compared with."""
    stamp = link.seen_hi.get(field, link.seen_stamp)
    if stamp is None:
        raise RuntimeError(f"link {link.link_id} was never read, yet something was decided from its image")
    return stamp - context.rules.clock.offset


def recheck_creates(
    tx: Transaction, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change], batch: Batch
) -> list[trail.Change]:
    """Their record still has no link, is as planned, and nobody of ours matches it by now."""
    if not changes:
        return []
    strays = {
        s.their_id: s
        for s in identity.strays_of(tx, context.name, mapping, [str(c.their_id) for c in changes])
    }
    same = setwise.as_planned(tx, context.name, mapping, [c.change_id for c in changes])
    standing = [c for c in changes if c.change_id in same and _still_new(strays.get(str(c.their_id)))]
    stood = {change.change_id for change in standing}
    for change in changes:
        if change.change_id not in stood:
            batch.say(change, "superseded", tuple(change.after), SUPERSEDED)
    return standing


def make_each(
    tx: Transaction, context: Context, mapping: ObjectMapping, standing: Sequence[trail.Change], batch: Batch
) -> None:
    """Make our records one by one: something about each of them is unusual, such as a parent that is still to come."""
    parents, reference = NO_PARENTS, mapping.reference
    if reference and reference.references:
        wanted = {str(c.after[reference.ours]) for c in standing if c.after.get(reference.ours)}
        parents = parents_of(tx, context.name, reference.references, [], sorted(wanted), None)
    waiting = [c for c in standing if _waits(mapping, parents, c)]
    left = {c.change_id for c in waiting}
    ready = [c for c in standing if c.change_id not in left]
    _link_and_fill(tx, context, mapping, [*ready, *waiting], left, batch)


def _waits(mapping: ObjectMapping, parents: Parents, change: trail.Change) -> bool:
    parent = change.after.get(mapping.reference.ours) if mapping.reference else None
    return parent is not None and parent not in parents.theirs


def _link_and_fill(
    tx: Transaction, context: Context, mapping: ObjectMapping, standing: Sequence[trail.Change], waiting: set[int],
    batch: Batch,
) -> None:  # fmt: skip
    """The link comes before our record, which is written with the rest of the batch; both in this transaction."""
    if not standing:
        return
    made = linking.link_strays(
        tx, context.name, mapping, [(c.our_id, str(c.their_id), "created") for c in standing]
    )
    by_our_id = {link.our_id: link for link in links.load(tx, made)}
    for change in standing:
        link = by_our_id[change.our_id]
        values = dict(change.after)
        if change.change_id in waiting and mapping.reference:
            name = mapping.reference.ours
            del values[name]
            batch.say(change, "superseded", (name,), "its account is not linked yet; the reference follows")
        decisions = [Decision(f, "pull", None, v, "new_in_crm") for f, v in values.items()]
        times = {f: _edited_at(context, link, f) for f in values}
        batch.ready.append(
            Ready(change, link, None, decisions, Write(change.our_id, None, "", values, times=times))
        )


def _still_new(stray: identity.Stray | None) -> bool:
    return stray is not None and stray.keyed_to is None and isinstance(judge(stray.levels, "theirs"), Create)
