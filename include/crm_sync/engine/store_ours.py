"""Push ours, record by record: write what stood the re-check; what our database refuses is parked, the rest is a base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Decision
from crm_sync.engine.recheck_ours import Batch, Ready
from crm_sync.ledger import parking, trail
from crm_sync.model import Link, OurRecord, Value, Written
from crm_sync.stores.database import DatabaseStore

__all__ = ["based", "record_after", "write_ready"]


def write_ready(store: DatabaseStore, mapping: ObjectMapping, batch: Batch) -> Sequence[Written]:
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


def _without_refused(mapping: ObjectMapping, ready: Ready, answer: Written, batch: Batch) -> Ready:
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


def _overruled(ready: Ready, d: Decision) -> trail.Line:
    return trail.Line(
        d.rule, "restored" if d.restored else "overruled", our_id=ready.link.our_id, their_id=ready.link.their_id,
        side="ours", field=d.field, before=d.ours, after=d.theirs, base=ready.link.base_ours.get(d.field, ...), detail=d.detail,
    )  # fmt: skip


def based(ready: Ready, answer: Written) -> Link:
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


def record_after(ready: Ready, answer: Written) -> OurRecord | None:
    """Our record as the write left it: the capture trigger moves the version once if anything changed."""
    if answer.after is None:
        return None
    after = answer.after
    if ready.ours is None:
        return OurRecord(after.id, 1, after.values, ready.write.times, after.stamp)
    moved = any(after.values.get(column) != value for column, value in ready.ours.values.items())
    return replace(ready.ours, values=after.values, version=ready.ours.version + moved)
