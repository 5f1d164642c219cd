"""T1 of a write to the CRM: decide once more, take the lease, store the intents; only then may anything be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY, Decision, Parents, merge
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.existence import let_go
from crm_sync.ledger import identity, intents, leases, linking, links, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents
from crm_sync.model import InJob, Intent, Link, OurRecord, Value, Write

__all__ = ["Sending", "by_parent", "claim_creates", "claim_updates"]

SUPERSEDED = "the record changed after it was planned; the next run decides anew"


@dataclass(frozen=True, slots=True)
class Sending:
    """One claimed record: the change, its intent, what goes over the wire, and our version that it holds."""

    change: trail.Change
    link: Link
    ours: OurRecord
    intent: Intent
    write: Write

    @property
    def plain(self) -> bool:
        """A create, or our key alone: no field of theirs is overwritten, so link and record hold no values."""
        return self.intent.creates or _key_alone(self.change)


def claim_updates(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change],
    job_id: int | None = None,
) -> list[Sending]:  # fmt: skip
    """Claim the links of planned updates whose decisions stand, for a call or a job; the others are superseded and stay dirty."""
    now = engine.now()
    ids = links.ids_of(tx, context.name, mapping.object, [c.our_id for c in changes])
    keys = [ids[c.our_id] for c in changes if _key_alone(c) and c.our_id in ids]
    others = [ids[c.our_id] for c in changes if not _key_alone(c) and c.our_id in ids]
    found = [*links.bare_pairs(tx, mapping, keys), *links.pairs(tx, mapping, others, lock=True)]
    parents = load_parents(tx, context.name, mapping, found)
    by_id = {link.link_id: (link, ours) for link, ours in found}
    sending: list[Sending] = []
    outcomes: list[trail.OutcomeRow] = []
    lines: list[trail.Line] = []
    for change in changes:
        link, ours = by_id.get(ids.get(change.our_id, 0), (None, None))
        kept: list[Decision] = []
        if link is not None and ours is not None and not link.claimed_by_another(context.run_id, now):
            current = {
                d.field: d for d in merge(mapping, context.rules, link, ours, parents, only=change.after)
            }
            kept = [current[f] for f in change.after if _stands(current.get(f), change, f)]
        names = {d.field for d in kept}
        gone = [f for f in change.after if f not in names]
        if gone:
            outcomes.append((change.change_id, "superseded", gone, change.their_id, SUPERSEDED))
        if kept and link is not None and ours is not None:
            lines.extend(_overruled(link, d) for d in kept if d.conflict or d.restored)
            sending.append(
                _sending(
                    now,
                    context,
                    mapping,
                    change,
                    link,
                    ours,
                    {d.field: d.ours for d in kept},
                    parents,
                    job_id,
                )
            )
    leases.claim(tx, [s.link.link_id for s in sending], context.run_id, now + context.settings.lease)
    _store(tx, context, mapping, sending, outcomes, lines)
    return sending


def by_parent(mapping: ObjectMapping, sending: Sequence[Sending]) -> list[Sending]:
    """Records of one parent side by side: Salesforce locks the parent with each, so that they share one lock."""
    reference = mapping.reference
    if reference is None:
        return list(sending)
    return sorted(
        sending,
        key=lambda s: str(s.write.values.get(reference.ours) or s.link.seen.get(reference.ours) or ""),
    )


def _key_alone(change: trail.Change) -> bool:
    return change.op == "update" and change.after.keys() == {KEY}


def claim_creates(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change],
    job_id: int | None = None,
) -> list[Sending]:  # fmt: skip
    """Claim records of ours for creation: the link's unique key decides between linking and creating."""
    now = engine.now()
    let_go(tx, engine, context, mapping, changes)
    records = {
        r.our_id: r for r in identity.unlinked_of(tx, context.name, mapping, [c.our_id for c in changes], now)
    }
    sending: list[Sending] = []
    outcomes: list[trail.OutcomeRow] = []
    standing = [r for r in records.values() if r.creatable and not r.deleted]
    planned = linking.parents_of_records(tx, context.name, mapping, standing, context.run_id)
    there = linking.parents_of_records(tx, context.name, mapping, standing, None)
    refused = linking.refused_values(tx, standing)
    wanted = {r.our_id: linking.wanted_values(mapping, r, planned, refused) for r in standing}
    claimed = leases.claim_new(
        tx, context.name, mapping, [c.our_id for c in changes if wanted.get(c.our_id) == c.after], context.run_id,
        now, now + context.settings.lease,
    )  # fmt: skip
    for change in changes:
        record = records.get(change.our_id)
        if record is None or record.record is None or change.our_id not in claimed:
            outcomes.append((change.change_id, "superseded", tuple(change.after), None, SUPERSEDED))
            continue
        link = Link(claimed[change.our_id], mapping.object, change.our_id, None, "creating")
        waiting = _waiting(mapping, there, change.after)
        values = {c: v for c, v in change.after.items() if c not in waiting} if waiting else change.after
        outcomes.append(
            (change.change_id, "superseded", waiting, None, "its account is not there yet; it follows")
        )
        sending.append(_sending(now, context, mapping, change, link, record.record, values, there, job_id))
    _store(tx, context, mapping, sending, outcomes, [])
    return sending


def _stands(decision: Decision | None, change: trail.Change, field: str) -> bool:
    return (
        decision is not None and decision.action == "push"
        and decision.ours == change.after[field] and decision.theirs == change.before[field]
    )  # fmt: skip


def _sending(
    now: datetime, context: Context, mapping: ObjectMapping, change: trail.Change, link: Link, ours: OurRecord,
    values: Mapping[str, Value], parents: Parents, job_id: int | None,
) -> Sending:  # fmt: skip
    until = now + context.settings.lease
    # A create overwrites nothing: there is no edit there to compare with.
    updated = [c for c in values if c != KEY] if change.op == "update" else []
    sent = dict(values)
    sent.pop(KEY, None)
    if mapping.reference and sent.get(mapping.reference.ours) is not None:
        # A reference goes out as the parent's id there, looked up now and not in the plan.
        sent[mapping.reference.ours] = parents.theirs[str(sent[mapping.reference.ours])]
    intent = Intent(
        str(uuid4()), change.change_id, context.run_id, link.link_id, change.op == "create", values,
        {c: ours.time_of(c) for c in updated}, {c: link.seen.get(c) for c in updated},
        now, link.seen_stamp, until, until + context.settings.late_commit, job=_in_job(mapping, job_id, link, ours, sent),
    )  # fmt: skip
    keyed = change.op == "create" or KEY in values
    return Sending(
        change, link, ours, intent, Write(ours.id, link.their_id, intent.id, sent, stamp_key=keyed)
    )


def _in_job(
    mapping: ObjectMapping, job_id: int | None, link: Link, ours: OurRecord, sent: Mapping[str, Value]
) -> InJob | None:
    if job_id is None:
        return None
    reference = mapping.reference.ours if mapping.reference else KEY
    parent = sent.get(reference)
    waits = parent is None and ours.values.get(reference) is not None
    return InJob(job_id, ours.version, link.seen_recv, parent, waits)


def _waiting(mapping: ObjectMapping, parents: Parents, values: Mapping[str, Value]) -> tuple[str, ...]:
    """The reference, if its parent is not there yet."""
    name = mapping.reference.ours if mapping.reference else KEY
    parent = values.get(name)
    return () if parent is None or str(parent) in parents.theirs else (name,)


def _overruled(link: Link, d: Decision) -> trail.Line:
    return trail.Line(
        d.rule, "restored" if d.restored else "overruled", our_id=link.our_id, their_id=link.their_id, side="theirs",
        field=d.field, before=d.theirs, after=d.ours, base=link.base_theirs.get(d.field, ...), detail=d.detail,
    )  # fmt: skip


def _store(
    tx: Transaction, context: Context, mapping: ObjectMapping, sending: Sequence[Sending],
    outcomes: Sequence[trail.OutcomeRow], lines: Sequence[trail.Line],
) -> None:  # fmt: skip
    whole = [s for s in sending if s.plain and len(s.intent.values) == len(s.change.after)]
    intents.store_whole(tx, [s.intent for s in whole])
    known = {s.intent.id for s in whole}
    intents.store(tx, [s.intent for s in sending if s.intent.id not in known])
    trail.outcomes(tx, context.run_id, outcomes)
    trail.note(tx, context.run_id, context.name, mapping.object, lines)
