"""T2 of a write to the CRM: outcome, base, image, claim and outbox in one transaction, right after the answer.

Only for links that this run still holds, and only for fields whose fate no read has settled meanwhile: an intent
closes once, and only the closer moves the base (algorithm.md 1.6, 1.7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_sync.decide.existence import work_left
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.observe import read_back
from crm_sync.engine.answers import Kept, Work, written
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.keep_usual import Answered, is_as_claimed, keep_usual
from crm_sync.engine.refusals import refused
from crm_sync.engine.reports import Tally
from crm_sync.ledger import intents, leases, links, pacing, parking, reading, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents
from crm_sync.model import Intent, Link, OurRecord, Written
from crm_sync.stores.database import DatabaseStore

__all__ = ["give_back", "keep_answers", "settle_links"]


def give_back(tx: Transaction, context: Context, sending: Sequence[Sending]) -> None:
    """Nothing was processed: the intents close, the leases end, and the changes are as if never sent."""
    intents.close_by_reply(tx, [s.intent.id for s in sending])
    leases.release(tx, [s.link.link_id for s in sending], context.run_id)


def keep_answers(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, sending: Sequence[Sending],
    answers: Sequence[Written], sent_no: int, tally: Tally, *, last: bool, carrier: trail.Carrier | None = None,
) -> Kept:  # fmt: skip
    """Keep one batch's answers: the usual ones by one statement, the others link by link.

    ``carrier``: what brought them there, if that was not one call for all of them.
    """
    carrier = carrier or trail.Carrier(f"call {sent_no}", 1 / len(sending))
    heads = links.heads(tx, mapping, [s.link.link_id for s in sending])
    recv_no = reading.next_number(tx)
    kept = keep_usual(tx, context, mapping, sending, answers, heads, recv_no, tally, carrier)
    rest = [(s, a) for s, a in zip(sending, answers, strict=True) if s.intent.id not in kept]
    return (
        _keep_each(tx, context, mapping, rest, heads, Work(mapping, sent_no, recv_no, last, carrier), tally)
        if rest
        else Kept()
    )


def _keep_each(
    tx: Transaction, context: Context, mapping: ObjectMapping, answered: Sequence[Answered],
    heads: Mapping[int, tuple[Any, ...]], work: Work, tally: Tally,
) -> Kept:  # fmt: skip
    ids = [sent.link.link_id for sent, _ in answered]
    current = _as_they_are(tx, context, mapping, answered, heads)
    held = {i for i, (link, _) in current.items() if link.claim_run == context.run_id}
    open_intents = intents.open_of(tx, ids)
    unread = [sent.link.spelling_of for sent, _ in answered if sent.link.spelling_of]
    spelt = intents.columns_of(tx, unread) if unread else {}
    work.asked = _asked(tx, mapping, answered)
    for claimed, answer in answered:
        link, ours = current[claimed.link.link_id]
        columns = spelt.get(claimed.link.spelling_of or "", ())
        sent = replace(claimed, link=_spelled(claimed.link, answer, columns))
        link = _spelled(link, answer, columns)
        mine = next((i for i in open_intents.get(link.link_id, ()) if i.id == sent.intent.id), None)
        if link.link_id not in held:
            _leave_in_doubt(work, link, mine)
            continue
        others = [i for i in open_intents.get(link.link_id, ()) if i.id != sent.intent.id]
        if answer.failures:
            refused(work, sent, answer, link)
        else:
            written(
                work,
                context,
                sent,
                answer,
                link,
                ours,
                mine or replace(sent.intent, settled=tuple(sent.intent.values)),
                others,
            )
        work.closed.append(sent.intent.id)
    _store(tx, context, work, [i for i in ids if i in held], _share(tx, context, work, answered))
    pacing.sent(tx, mapping.paced, work.lifted, answered[0][0].intent.sent_at)
    for _, outcome, fields, _, _ in work.outcomes:
        tally.add(mapping.object, outcome, len(fields))
    return work.again


def _asked(tx: Transaction, mapping: ObjectMapping, answered: Sequence[Answered]) -> set[int]:
    """The links of refused records whose reference was refused before."""
    refused = [sent.link.link_id for sent, answer in answered if answer.failures]
    if mapping.reference is None or not refused:
        return set()
    codes = {f.code for _, answer in answered for f in answer.failures}
    return parking.refused_before(tx, refused, "theirs", mapping.reference.ours, codes)


def _spelled(link: Link, answer: Written, columns: Sequence[str]) -> Link:
    """Nobody had read what was made: how they spell it is no edit that slipped in before our next write."""
    return read_back(link, answer.before, columns) if columns and answer.before else link


def _as_they_are(
    tx: Transaction, context: Context, mapping: ObjectMapping, answered: Sequence[Answered],
    heads: Mapping[int, tuple[Any, ...]],
) -> dict[int, links.Pair]:  # fmt: skip
    """The links with our records, locked; what did not move since it was claimed is not loaded a second time."""
    current: dict[int, links.Pair] = {}
    for sent, answer in answered:
        seen = {c: answer.before.values.get(c) for c in sent.write.values} if answer.before else {}
        if (
            not sent.plain
            and is_as_claimed(context, sent, heads)
            and all(sent.link.seen.get(c) == v for c, v in seen.items())
        ):
            current[sent.link.link_id] = (replace(sent.link, claim_run=context.run_id), sent.ours)
    moved = [sent.link.link_id for sent, _ in answered if sent.link.link_id not in current]
    current.update({link.link_id: (link, ours) for link, ours in links.pairs(tx, mapping, moved, lock=True)})
    return current


def _leave_in_doubt(work: Work, link: Link, mine: Intent | None) -> None:
    """The lease ran out and somebody else may have written: a later read tells, this reply no longer can."""
    if mine is not None:
        work.stored.append((replace(link, reread=True), None))


def _share(tx: Transaction, context: Context, work: Work, answered: Sequence[Answered]) -> float:
    """What each of these records has cost, if any was refused: its share of the calls since they were claimed."""
    if not work.refusals:
        return 0
    return parking.calls_since(tx, context.run_id, answered[0][0].intent.sent_at) / len(answered)


def _store(tx: Transaction, context: Context, work: Work, held: Sequence[int], calls: float) -> None:
    mapping = work.mapping
    if work.repairs:
        DatabaseStore(tx, context.mappings).write(mapping.object, work.repairs, 0.0)
    repaired = {write.our_id for write in work.repairs}
    kept = [(link, None if link.our_id in repaired else ours) for link, ours in work.stored]
    settle_links(tx, context, mapping, kept, release=context.run_id)
    stored = {link.link_id for link, _ in work.stored}
    leases.release(tx, [i for i in held if i not in stored], context.run_id)
    if mapping.reference and mapping.reference.references:
        links.ask_again(tx, context.name, mapping.reference.references, work.parents)
    intents.close_by_reply(tx, work.closed)
    trail.outcomes(tx, context.run_id, work.outcomes, work.carrier)
    trail.note(tx, context.run_id, context.name, mapping.object, work.lines)
    parking.park(tx, context.run_id, context.name, work.refusals, calls)
    parking.lift_written(tx, "theirs", work.lifted)


def settle_links(
    tx: Transaction,
    context: Context,
    mapping: ObjectMapping,
    kept: Sequence[tuple[Link, OurRecord | None]],
    release: int | None = None,
) -> None:
    """Store links; those of which nothing is left to do leave the work list and the outbox in the same transaction.

    The version is the one that was compared: an edit that came meanwhile has a higher one, and its outbox row stays.
    """
    parents = load_parents(tx, context.name, mapping, kept)
    left = [ours is None or work_left(mapping, context.standing, link, ours, parents) for link, ours in kept]
    links.store(
        tx,
        mapping,
        [(link, dirty) for (link, _), dirty in zip(kept, left, strict=True)],
        release=release,
    )
    done = [
        (link.our_id, ours.version)
        for (link, ours), dirty in zip(kept, left, strict=True)
        if ours and not dirty
    ]
    worklist.clear_outbox(tx, context.name, mapping.object, done)
