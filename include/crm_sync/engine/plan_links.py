"""Plan links: decide every field of these links, and who is there; what needs no writing is settled at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from crm_sync.decide.existence import lives, work_left
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY, Decision, Parents, merge
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.existence import Planned, fall_asleep, plan_existence
from crm_sync.engine.pacing import held_back, hold, is_update
from crm_sync.engine.reports import Tally
from crm_sync.engine.waiting import tell_who_waits
from crm_sync.ledger import existence, links, parking, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents
from crm_sync.model import Link, OurRecord, Row, Side

__all__ = ["HELD", "plan_links"]

HELD = "left to another run or its bulk job"


@dataclass
class _Work:
    """What one transaction decides before it stores.

    ``stored``: links, each with whether it stays dirty; ``settled``: those with nothing left to do; ``agreed``: those of which
    is new who is there; ``moved``: parked values that the side which they came from does not hold any more.
    """

    changes: list[trail.Change] = field(default_factory=list)
    lines: list[trail.Line] = field(default_factory=list)
    stored: list[tuple[Link, bool]] = field(default_factory=list)
    settled: list[links.Pair] = field(default_factory=list)
    agreed: list[Link] = field(default_factory=list)
    moved: list[tuple[int, Side, str]] = field(default_factory=list)


def plan_links(
    tx: Transaction,
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    link_ids: Sequence[int],
    tally: Tally,
) -> int:
    """Plan these links in the caller's transaction; returns how many changes were planned.

    What needs no writing is settled here: both sides agree, or a deleted side puts the link to sleep.
    """
    if not link_ids:
        return 0
    now = engine.now()
    found = links.pairs(tx, mapping, link_ids, lock=True)
    parents = load_parents(tx, context.name, mapping, found, run_id=context.run_id)
    work = _Work()
    for link, ours in found:
        if link.claimed_by_another(context.run_id, now):
            tally.add(mapping.object, HELD)
        elif link.their_id is not None:
            room = worklist.room(tx, context.run, len(work.changes))
            _decide(work, context, mapping, link, ours, parents, room)
    held = held_back(tx, mapping, work.changes, now)
    changes = [c for c in work.changes if c.link_id not in held or not is_update(c)]
    trail.plan(tx, context.run_id, context.name, changes)
    trail.note(tx, context.run_id, context.name, mapping.object, work.lines)
    parking.lift_changed(tx, work.moved)
    _lift_settled(tx, context, mapping, work.settled)
    tell_who_waits(tx, context, mapping, found, parents, tally)
    _store(tx, context, mapping, work)
    hold(tx, context, mapping, held, found, parents, changes)
    _tally(tally, mapping.object, changes)
    return len(changes)


def _decide(
    work: _Work, context: Context, mapping: ObjectMapping, link: Link, ours: OurRecord | None, parents: Parents,
    room: int | None,
) -> None:  # fmt: skip
    """One link: its fields, then who is there.  ``room``: how many more changes the run's limit lets in."""
    work.moved.extend(_parked_no_more(mapping, link, ours))
    planned, after = _plan_link(mapping, context, fall_asleep(link, ours), ours, parents)
    fate = _plan_existence(context, mapping, after, ours, planned, parents)
    work.lines.extend(fate.lines)
    planned.extend(fate.changes)
    if fate.link is not after:
        after = fate.link
        work.agreed.append(after)
    work.changes.extend(planned[:room])
    dirty = bool(planned) or work_left(mapping, context.standing, after, ours, parents)
    if after != link or not dirty:
        work.stored.append((after, dirty))
    if not dirty:
        work.settled.append((after, ours))


def _store(tx: Transaction, context: Context, mapping: ObjectMapping, work: _Work) -> None:
    """The links as they are now; records of ours with nothing left to do leave the outbox."""
    links.store(tx, mapping, work.stored)
    existence.store(tx, work.agreed)
    clean = [(link.our_id, ours.version) for link, ours in work.settled if ours]
    worklist.clear_outbox(tx, context.name, mapping.object, clean, locked=mapping)
    worklist.clear_gone(tx, context.name, mapping, [link.our_id for link, ours in work.settled if not ours])


def _plan_link(
    mapping: ObjectMapping, context: Context, link: Link, ours: OurRecord | None, parents: Parents
) -> tuple[list[trail.Change], Link]:
    if ours is None:
        return [], link
    decisions = merge(mapping, context.rules, link, ours, parents)
    agreed = agree(link, [d for d in decisions if d.action == "agree"])
    changes = [
        change_of(mapping, link, side, [d for d in decisions if d.action == action])
        for side, action in _SIDES
        if any(d.action == action for d in decisions)
    ]
    return changes, agreed


def _plan_existence(
    context: Context, mapping: ObjectMapping, link: Link, ours: OurRecord | None, planned: Sequence[trail.Change],
    parents: Parents,
) -> Planned:  # fmt: skip
    """Most links are as both sides agreed, and cost no more than a look."""
    if link.alive == (ours is not None and not ours.deleted, link.their_alive) and not link.withdrawn:
        return Planned(link)
    pulled = {f: v for change in planned if change.side == "ours" for f, v in change.after.items()}
    return plan_existence(context, mapping, link, ours, pulled, parents)


def _parked_no_more(
    mapping: ObjectMapping, link: Link, ours: OurRecord | None
) -> Iterable[tuple[int, Side, str]]:
    """What is parked for a value that the side it came from does not hold any more, and our key where it is by now."""
    held: Row
    for (side, column), value in link.parked.items():
        if side == "theirs":
            held = {**(ours.values if ours else {}), **({KEY: None} if link.keyed else {})}
        else:
            held = {} if column in mapping.by_ours and mapping.by_ours[column].references else link.seen
        if column in held and held[column] != value:
            yield link.link_id, side, column


def _lift_settled(
    tx: Transaction, context: Context, mapping: ObjectMapping, settled: Sequence[links.Pair]
) -> None:
    """Of links with nothing left to do: what is parked of a record that is gone, or for a version of ours that is."""
    over = [(link, ours) for link, ours in settled if not lives(ours) or link.state == "gone"]
    nobody = [link.our_id for link, ours in over if not lives(ours) and not link.their_alive]
    parking.lift_gone(tx, context.name, mapping.object, [link.our_id for link, _ in over])
    parking.lift_gone(tx, context.name, mapping.object, nobody, deletes_too=True)
    both = [
        (link.link_id, ours.version)
        for link, ours in settled
        if ours and lives(ours) and link.state != "gone"
    ]
    parking.lift_agreed(tx, both)


_SIDES: tuple[tuple[Side, str], ...] = (("ours", "pull"), ("theirs", "push"))


def agree(link: Link, decisions: Iterable[Decision]) -> Link:
    """Both sides mean the same: the base moves to what each of them holds."""
    base_ours, base_theirs = dict(link.base_ours), dict(link.base_theirs)
    for decision in decisions:
        base_ours[decision.field] = decision.ours
        base_theirs[decision.field] = link.seen[decision.field]
    return replace(link, base_ours=base_ours, base_theirs=base_theirs)


def change_of(mapping: ObjectMapping, link: Link, side: Side, decisions: Sequence[Decision]) -> trail.Change:
    """One record's planned fields on one side."""
    before = {d.field: d.theirs if side == "theirs" else d.ours for d in decisions}
    after = {d.field: d.ours if side == "theirs" else d.theirs for d in decisions}
    base = link.base_theirs if side == "theirs" else link.base_ours
    return trail.Change(
        mapping.object, side, "update", link.link_id, link.our_id, link.their_id, before, after,
        {field: base[field] for field in after if field in base}, {d.field: d.rule for d in decisions},
        tuple(d.field for d in decisions if d.conflict),
    )  # fmt: skip


def _tally(tally: Tally, object: str, changes: Iterable[trail.Change]) -> None:
    for change in changes:
        where = "in the CRM" if change.side == "theirs" else "in GPTWeb"
        tally.add(object, f"{change.op} {where}")
        tally.add(object, "conflicts", len(change.conflicts))
