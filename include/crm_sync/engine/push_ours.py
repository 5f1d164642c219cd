"""Push ours: write the CRM's values into our tables, each decision made once more in the transaction that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Create, judge
from crm_sync.decide.merge import NO_PARENTS, Decision, Parents, merge
from crm_sync.engine.archive import write_ours
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.conversion import convert_ours
from crm_sync.engine.keep import settle_links
from crm_sync.engine.reports import PushReport, Tally
from crm_sync.ledger import identity, linking, links, making, parking, setwise, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents, parents_of
from crm_sync.model import Link, OurRecord, Outcome, Value, Write, Written
from crm_sync.stores.database import DatabaseStore

__all__ = ["push_ours"]

CHUNK = 1000
LARGE_CHUNK = 2000
SUPERSEDED = "the record changed after it was planned; the next run decides anew"


@dataclass
class _Ready:
    """One change that stood the re-check: what to write and what to say about it."""

    change: trail.Change
    link: Link
    ours: OurRecord | None
    decisions: list[Decision]
    write: Write


@dataclass
class _Batch:
    """What one transaction collects before it writes."""

    ready: list[_Ready] = field(default_factory=list)
    outcomes: list[trail.OutcomeRow] = field(default_factory=list)
    lines: list[trail.Line] = field(default_factory=list)
    refusals: list[parking.Refusal] = field(default_factory=list)

    def say(
        self, change: trail.Change, outcome: Outcome, fields: Sequence[str], detail: str | None = None
    ) -> None:
        """Note what became of fields of a change."""
        self.outcomes.append((change.change_id, outcome, fields, change.their_id, detail))


def push_ours(engine: Engine, context: Context) -> PushReport:
    """Chunk by chunk, one transaction each, accounts before their contacts."""
    tally = Tally()
    for mapping in context.objects:
        after = 0
        left = _make_plain(engine, context, mapping, tally)
        while left:
            with engine.database.transaction() as tx:
                changes = trail.pending(tx, context.run_id, "ours", mapping.object, after, CHUNK)
                if changes:
                    _apply(tx, engine, context, mapping, changes, tally)
            if len(changes) < CHUNK:
                break
            after = changes[-1].change_id
    if sum(tally.total().values()) > CHUNK:
        with engine.database.transaction() as tx:
            worklist.analyze_links(tx)
    return PushReport(context.run_id, tally.numbers, tally.total())


def _make_plain(engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally) -> bool:
    """Make our records as far as nothing is unusual about them; returns whether others stay planned."""
    keyed = context.standing.direction != "pull"
    offset = context.rules.clock.offset
    with engine.database.transaction() as tx:
        work = making.prepare(tx, context.run_id, context.name, mapping, offset, keyed=keyed)
    after, left = 0, False
    while True:
        with engine.database.transaction() as tx:
            chunk = making.chunk(tx, work, after, LARGE_CHUNK)
            made = making.make(tx, work, chunk.after, chunk.until) if chunk.planned else making.Made(0, 0)
        tally.add(mapping.object, "acknowledged", made.fields)
        left = left or made.records < chunk.planned
        if chunk.planned < LARGE_CHUNK:
            return left
        after = chunk.until


def _apply(
    tx: Transaction,
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    changes: Sequence[trail.Change],
    tally: Tally,
) -> None:
    batch = _Batch()
    changes = trail.without_twins(tx, context.run_id, changes)
    _recheck_updates(tx, engine, context, mapping, [c for c in changes if c.op == "update"], batch)
    new = _recheck_creates(tx, context, mapping, [c for c in changes if c.op == "create"], batch)
    _make(tx, context, mapping, new, batch)
    store = DatabaseStore(tx, context.mappings)
    written = _write(store, mapping, batch)
    based = [
        (_based(ready, answer), _record_after(ready, answer))
        for ready, answer in zip(batch.ready, written, strict=True)
        if not answer.failures
    ]
    trail.outcomes(tx, context.run_id, batch.outcomes)
    trail.note(tx, context.run_id, context.name, mapping.object, batch.lines)
    parking.park(tx, context.run_id, context.name, batch.refusals)
    parking.lift_written(
        tx, "ours", {r.link.link_id: [d.field for d in r.decisions] for r in batch.ready if r.decisions}
    )
    settle_links(tx, context, mapping, based)
    # After the fields: the tombstone's last values are pulled before ours is archived.
    fates = [c for c in changes if c.op in ("archive", "unarchive")]
    became = write_ours(tx, engine, context, mapping, fates) if fates else []
    if converted := [c for c in changes if c.op == "convert"]:
        became += convert_ours(tx, engine, context, converted)
    trail.outcomes(tx, context.run_id, became)
    for _, outcome, fields, _, _ in [*batch.outcomes, *became]:
        tally.add(mapping.object, outcome, len(fields))


def _recheck_updates(
    tx: Transaction,
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    changes: Sequence[trail.Change],
    batch: _Batch,
) -> None:
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
            batch.ready.append(_Ready(change, link, ours, kept, write))


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


def _recheck_creates(
    tx: Transaction, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change], batch: _Batch
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


def _make(
    tx: Transaction, context: Context, mapping: ObjectMapping, standing: Sequence[trail.Change], batch: _Batch
) -> None:
    """Make our records one by one: something about each of them is unusual, such as a parent that is still to come."""
    parents, reference = NO_PARENTS, mapping.reference
    if reference and reference.references:
        wanted = {str(c.after[reference.ours]) for c in standing if c.after.get(reference.ours)}
        parents = parents_of(tx, context.name, reference.references, [], sorted(wanted), None)
    waiting = [c for c in standing if _waits(mapping, parents, c)]
    left = {c.change_id for c in waiting}
    ready = [c for c in standing if c.change_id not in left]
    _make_each(tx, context, mapping, [*ready, *waiting], left, batch)


def _waits(mapping: ObjectMapping, parents: Parents, change: trail.Change) -> bool:
    parent = change.after.get(mapping.reference.ours) if mapping.reference else None
    return parent is not None and parent not in parents.theirs


def _make_each(
    tx: Transaction, context: Context, mapping: ObjectMapping, standing: Sequence[trail.Change], waiting: set[int],
    batch: _Batch,
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
            _Ready(change, link, None, decisions, Write(change.our_id, None, "", values, times=times))
        )


def _still_new(stray: identity.Stray | None) -> bool:
    return stray is not None and stray.keyed_to is None and isinstance(judge(stray.levels, "theirs"), Create)


def _write(store: DatabaseStore, mapping: ObjectMapping, batch: _Batch) -> Sequence[Written]:
    """Write the batch; where our database refuses a value, that value is parked and the rest is written."""
    if not batch.ready:
        return []
    answers = list(store.write(mapping.object, [r.write for r in batch.ready], 0.0))
    for i, answer in enumerate(answers):
        if answer.failures:
            batch.ready[i] = _without_refused(mapping, batch.ready[i], answer, batch)
            if batch.ready[i].decisions or batch.ready[i].change.op == "create":
                answers[i] = store.write(mapping.object, [batch.ready[i].write], 0.0)[0]
    for ready, answer in zip(batch.ready, answers, strict=True):
        fields = [d.field for d in ready.decisions]
        if answer.failures:
            batch.say(ready.change, "superseded", fields, answer.failures[0].message)
            continue
        batch.say(ready.change, "acknowledged", fields)
        batch.lines.extend(_overruled(ready, d) for d in ready.decisions if d.conflict or d.restored)
    return answers


def _without_refused(mapping: ObjectMapping, ready: _Ready, answer: Written, batch: _Batch) -> _Ready:
    failure = answer.failures[0]
    fields = [d.field for d in ready.decisions]
    refused = [f for f in fields if f in failure.fields] or fields
    batch.say(ready.change, "parked", refused, f"{failure.message}. {failure.remedy}")
    batch.refusals.extend(
        parking.Refusal(mapping.object, "ours", failure.code, failure.message, failure.remedy, ready.link.link_id,
                        ready.link.our_id, ready.link.their_id, f, ready.write.values[f])
        for f in refused
    )  # fmt: skip
    values = {f: v for f, v in ready.write.values.items() if f not in refused}
    decisions = [d for d in ready.decisions if d.field not in refused]
    return replace(ready, decisions=decisions, write=replace(ready.write, values=values))


def _overruled(ready: _Ready, d: Decision) -> trail.Line:
    return trail.Line(
        d.rule, "restored" if d.restored else "overruled", our_id=ready.link.our_id, their_id=ready.link.their_id,
        side="ours", field=d.field, before=d.ours, after=d.theirs, base=ready.link.base_ours.get(d.field, ...), detail=d.detail,
    )  # fmt: skip


def _based(ready: _Ready, answer: Written) -> Link:
    """The base of what was written: what we hold now, and how they hold it."""
    base_ours, base_theirs = dict(ready.link.base_ours), dict(ready.link.base_theirs)
    held = answer.after.values if answer.after else ready.write.values
    for d in ready.decisions:
        value: Value = held.get(d.field, d.theirs)
        base_ours[d.field] = value
        base_theirs[d.field] = ready.link.seen.get(d.field)
    if ready.change.op == "create":
        for column, seen in ready.link.seen.items():
            if column not in base_ours and held.get(column) == seen:
                base_ours[column] = base_theirs[column] = seen
    return replace(ready.link, base_ours=base_ours, base_theirs=base_theirs)


def _record_after(ready: _Ready, answer: Written) -> OurRecord | None:
    """Our record as the write left it: the capture trigger moves the version once if anything changed."""
    if answer.after is None:
        return None
    after = answer.after
    if ready.ours is None:
        return OurRecord(after.id, 1, after.values, ready.write.times, after.stamp)
    moved = any(after.values.get(column) != value for column, value in ready.ours.values.items())
    return replace(ready.ours, values=after.values, version=ready.ours.version + moved)
