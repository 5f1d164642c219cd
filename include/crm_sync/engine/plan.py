"""Plan: decide every field of every dirty link, and which records to create; nothing is written on either side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from crm_sync.decide import volume
from crm_sync.decide.existence import lives, work_left
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY, Decision, Parents, merge
from crm_sync.engine.approval import assess, pass_unasked, reject_again, require
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.conversion import plan_conversions
from crm_sync.engine.existence import Planned, fall_asleep, plan_existence
from crm_sync.engine.identify import OUTSIDE, identify_ours, identify_theirs
from crm_sync.engine.merges import follow_merges
from crm_sync.engine.pacing import held_back, hold, is_update
from crm_sync.engine.reports import PlanReport, Tally
from crm_sync.engine.waiting import tell_who_waits
from crm_sync.ledger import approval, existence, links, parking, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents
from crm_sync.model import Link, OurRecord, Row, Side

__all__ = ["plan", "plan_links"]

CHUNK = 2000
PLANNED_AGAIN = "the run was planned again"
HELD = "left to another run or its bulk job"


def plan(engine: Engine, context: Context) -> PlanReport:
    """Object by object, parents first: identity of theirs, dirty links, identity of ours."""
    if context.run.approved:
        return PlanReport(
            context.run_id, {}, {}, (f"the approved plan {context.run.approved} is carried out",)
        )
    reject_again(engine, context)
    tally = Tally()
    with engine.database.transaction() as tx:
        approval.give_up(tx, context.name, context.run_id, PLANNED_AGAIN)
        trail.supersede(tx, context.run_id, PLANNED_AGAIN)
    follow_merges(engine, context, tally)
    expected = plan_conversions(engine, context, tally)
    for mapping in context.objects:
        identify_theirs(engine, context, mapping, tally, expected)
        _plan_dirty_links(engine, context, mapping, tally)
        identify_ours(engine, context, mapping, tally)
        with engine.database.transaction() as tx:
            tally.add(
                mapping.object, HELD, worklist.creates_elsewhere(tx, context.run, mapping, engine.now())
            )
    if sum(count for name, count in tally.total().items() if name != OUTSIDE) > CHUNK:
        with engine.database.transaction() as tx:
            worklist.analyze(tx)
    return PlanReport(
        context.run_id,
        tally.numbers,
        tally.total(),
        _ways(context, tally) + _approved(engine, context, tally),
    )


def _approved(engine: Engine, context: Context, tally: Tally) -> tuple[str, ...]:
    """Go on only with what is safe or approved; a dry run says why it would wait."""
    if not tally.numbers:
        return ()
    with engine.database.transaction() as tx:
        assessment = assess(tx, context, tally.numbers)
    if not assessment.reasons:
        pass_unasked(engine, context, tally.numbers)
        return ()
    require(engine, context, assessment)
    what = "would wait for approval" if context.run.dry_run else "is approved"
    return (f"plan {assessment.digest} {what}: {'; '.join(assessment.reasons)}",)


def _ways(context: Context, tally: Tally) -> tuple[str, ...]:
    """How what is planned for theirs will go, and what that costs, where it is more than one call."""
    settings = context.settings
    return tuple(
        volume.in_words(object, op, row[f"{op} in the CRM"], settings.batch_size, settings.large_pushes)
        for object, row in tally.numbers.items()
        for op in ("update", "create")
        if row.get(f"{op} in the CRM", 0) > settings.batch_size
    )


def _plan_dirty_links(engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally) -> None:
    after = 0
    while True:
        with engine.database.transaction() as tx:
            ids = worklist.dirty_links(tx, context.run, mapping, after, CHUNK, engine.now())
            plan_links(tx, engine, context, mapping, ids, tally)
        if len(ids) < CHUNK:
            return
        after = ids[-1]


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
    changes: list[trail.Change] = []
    lines: list[trail.Line] = []
    stored: list[tuple[Link, bool]] = []
    settled: list[links.Pair] = []
    changed: list[tuple[int, Side, str]] = []
    agreed: list[Link] = []
    for link, ours in found:
        if link.claimed_by_another(context.run_id, now):
            tally.add(mapping.object, HELD)
            continue
        if link.their_id is None:
            continue
        changed.extend(_parked_no_more(mapping, link, ours))
        planned, after = _plan_link(mapping, context, fall_asleep(link, ours), ours, parents)
        fate = _plan_existence(context, mapping, after, ours, planned, parents)
        lines.extend(fate.lines)
        planned.extend(fate.changes)
        if fate.link is not after:
            after = fate.link
            agreed.append(after)
        room = worklist.room(tx, context.run, len(changes))
        changes.extend(planned[:room])
        dirty = bool(planned) or work_left(mapping, context.standing, after, ours, parents)
        if after != link or not dirty:
            stored.append((after, dirty))
        if not dirty:
            settled.append((after, ours))
    held = held_back(tx, mapping, changes, now)
    changes = [c for c in changes if c.link_id not in held or not is_update(c)]
    trail.plan(tx, context.run_id, context.name, changes)
    trail.note(tx, context.run_id, context.name, mapping.object, lines)
    parking.lift_changed(tx, changed)
    _lift_settled(tx, context, mapping, settled)
    tell_who_waits(tx, context, mapping, found, parents, tally)
    links.store(tx, mapping, stored)
    existence.store(tx, agreed)
    clean = [(link.our_id, ours.version) for link, ours in settled if ours]
    worklist.clear_outbox(tx, context.name, mapping.object, clean, locked=mapping)
    worklist.clear_gone(tx, context.name, mapping, [link.our_id for link, ours in settled if not ours])
    hold(tx, context, mapping, held, found, parents, changes)
    _tally(tally, mapping.object, changes)
    return len(changes)


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
