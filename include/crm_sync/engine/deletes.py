"""Push theirs, existence: put records into the CRM's recycle bin that a person deleted here, where the connection says so.

An ordinary delete, never a hard one.  It goes the way of every write: T1 decides once more, takes the lease and stores an
intent; the first retrieve shows what was edited in between, which is recorded, because a delete can't be made conditional
(algorithm.md 6.1.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import uuid4

from crm_sync.decide.existence import EXISTS, decide_existence
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import same
from crm_sync.engine.answers import Kept, Work
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.keep import settle_links
from crm_sync.engine.refusals import refused
from crm_sync.engine.reports import Tally
from crm_sync.ledger import existence, intents, leases, links, parking, reading, trail
from crm_sync.ledger.database import Transaction
from crm_sync.model import Image, Intent, Link, OurRecord, Write, Written

__all__ = ["claim_deletes", "keep_deletes"]

SUPERSEDED = "a record changed after its delete was planned; the next run decides anew"


def claim_deletes(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[Sending]:
    """T1: claim the links whose records are still to be deleted there; the others are superseded."""
    now = engine.now()
    until = now + context.settings.lease
    ids = [c.link_id for c in changes if c.link_id is not None]
    found = {link.link_id: (link, ours) for link, ours in links.pairs(tx, mapping, ids, lock=True)}
    sending: list[Sending] = []
    outcomes: list[trail.OutcomeRow] = []
    for change in changes:
        link, ours = found.get(change.link_id or 0, (None, None))
        if (
            link is None
            or link.claimed_by_another(context.run_id, now)
            or decide_existence(mapping, context.standing, link, ours) not in ("delete", "withdraw")
        ):
            outcomes.append((change.change_id, "superseded", (EXISTS,), change.their_id, SUPERSEDED))
            continue
        intent = Intent(
            str(uuid4()), change.change_id, context.run_id, link.link_id, False, {EXISTS: False}, {}, {}, now,
            link.seen_stamp, until, until + context.settings.late_commit,
        )  # fmt: skip
        # A row that is gone altogether counts as archived, too.
        held = ours or OurRecord(link.our_id, 0, {}, {}, now, deleted=True)
        sending.append(
            Sending(
                change, link, held, intent, Write(link.our_id, link.their_id, intent.id, {}, deletes=True)
            )
        )
    intents.store(tx, [s.intent for s in sending])
    leases.claim(tx, [s.link.link_id for s in sending], context.run_id, until)
    trail.outcomes(tx, context.run_id, outcomes)
    return sending


def keep_deletes(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, sending: Sequence[Sending],
    answers: Sequence[Written], sent_no: int, tally: Tally, *, last: bool,
) -> Kept:  # fmt: skip
    """T2: outcome, base and claim of one batch of deletes in one transaction."""
    carrier = trail.Carrier(f"call {sent_no}", 1 / len(sending))
    work = Work(mapping, sent_no, reading.next_number(tx), last, carrier)
    found = links.pairs(tx, mapping, [s.link.link_id for s in sending], lock=True)
    current = {link.link_id: (link, ours) for link, ours in found}
    held: list[int] = []
    deleted: list[Link] = []
    for sent, answer in zip(sending, answers, strict=True):
        link, ours = current[sent.link.link_id]
        if link.claim_run != context.run_id:
            work.stored.append((replace(link, reread=True), None))
            continue
        held.append(link.link_id)
        work.closed.append(sent.intent.id)
        if answer.failures:
            refused(work, sent, answer, link)
            continue
        work.outcomes.append((sent.change.change_id, "acknowledged", (EXISTS,), link.their_id, None))
        work.lines.extend(_lost(mapping, link, answer.before))
        deleted.append(_deleted(link, answer.before, work.recv_no))
        work.stored.append((deleted[-1], ours))
    settle_links(tx, context, mapping, work.stored, release=context.run_id)
    existence.store(tx, deleted)
    parking.lift_gone(tx, context.name, mapping.object, [link.our_id for link in deleted], deletes_too=True)
    leases.release(tx, held, context.run_id)
    intents.close_by_reply(tx, work.closed)
    trail.outcomes(tx, context.run_id, work.outcomes, carrier)
    trail.note(tx, context.run_id, context.name, mapping.object, work.lines)
    parking.park(tx, context.run_id, context.name, work.refusals)
    for _, outcome, fields, _, _ in work.outcomes:
        tally.add(mapping.object, outcome, len(fields))
    return work.again


def _deleted(link: Link, before: Image | None, recv_no: int) -> Link:
    """Neither side is there: a person who took ours back meanwhile asks for a new record.  What slipped in stays news.

    Of a record that was withdrawn ours stays, and that is agreed.
    """
    shown = {**link.seen, **before.values} if before else link.seen
    return replace(
        link,
        alive=(link.withdrawn, False),
        withdrawn=False,
        their_alive=False,
        state="gone",
        seen=shown,
        seen_recv=recv_no,
        reread=False,
    )


def _lost(mapping: ObjectMapping, link: Link, before: Image | None) -> Iterator[trail.Line]:
    """What was edited there since our last read and went into the recycle bin with the record."""
    if before is None:
        yield trail.Line(
            "before_unknown", "unseen_window", our_id=link.our_id, their_id=link.their_id, side="theirs", field=EXISTS,
            detail="the record was not shown before it was deleted; what it held is in the CRM's recycle bin",
        )  # fmt: skip
        return
    for mapped in mapping.fields:
        name = mapped.ours
        x, base = before.values.get(name), link.base_theirs.get(name)
        if mapped.direction != "out" and name in before.values and x != base and not same(x, base):
            yield trail.Line(
                "deleted_ours", "overruled", our_id=link.our_id, their_id=link.their_id, side="theirs", field=name,
                before=x, base=base, detail="an edit in the CRM between our read and our delete",
            )  # fmt: skip
