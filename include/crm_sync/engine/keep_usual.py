"""T2 for the usual answers: a record made, our key written, and nothing moved since the claim; a statement a table.

What is told apart here is only whether an answer is a usual one; any other is kept link by link (``keep``), by the
same rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context
from crm_sync.engine.reports import Tally
from crm_sync.ledger import intents, parking, setwise, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.records import digest_of
from crm_sync.model import Value, Written

__all__ = ["Answered", "is_as_claimed", "keep_usual"]

Answered = tuple[Sending, Written]
Heads = Mapping[int, tuple[Any, ...]]


def keep_usual(
    tx: Transaction, context: Context, mapping: ObjectMapping, sending: Sequence[Sending], answers: Sequence[Written],
    heads: Heads, recv_no: int, tally: Tally, carrier: trail.Carrier,
) -> set[str]:  # fmt: skip
    """Keep what is usual of a batch; returns the intents that it closed, as those of which nothing was known before."""
    usual = [
        (sent, answer) for sent, answer in zip(sending, answers, strict=True)
        if sent.plain and not answer.failures and is_as_claimed(context, sent, heads)
        and (answer.created if sent.intent.creates else _overwrote_nothing(mapping, sent, answer, heads))
    ]  # fmt: skip
    closed = intents.close_untouched(tx, [sent.intent.id for sent, _ in usual])
    usual = [(sent, answer) for sent, answer in usual if sent.intent.id in closed]
    created = [_created(mapping, sent, answer) for sent, answer in usual if sent.intent.creates]
    setwise.keep_created(tx, mapping, created, recv_no)
    keyed = [_keyed(mapping, *one) for one in usual if not one[0].intent.creates]
    setwise.keep_keyed(tx, context.name, mapping, keyed, recv_no)
    left = {row.link_id for row in created if row.left}
    done = [(s.ours.id, s.ours.version) for s, _ in usual if s.intent.creates and s.link.link_id not in left]
    worklist.clear_outbox(tx, context.name, mapping.object, done)
    trail.outcomes(tx, context.run_id, [
        (sent.change.change_id, "acknowledged", tuple(sent.intent.values), answer.id, None) for sent, answer in usual
    ], carrier)  # fmt: skip
    parking.lift_written(tx, "theirs", {sent.link.link_id: sent.intent.values for sent, _ in usual})
    tally.add(mapping.object, "acknowledged", sum(len(sent.intent.values) for sent, _ in usual))
    return closed


def is_as_claimed(context: Context, sent: Sending, heads: Heads) -> bool:
    """Whether the lease is still ours, no read came between, and our record is the one that was sent."""
    return heads[sent.link.link_id][:4] == (
        context.run_id, sent.link.seen_recv, sent.link.reread, sent.ours.version
    )  # fmt: skip


def _overwrote_nothing(mapping: ObjectMapping, sent: Sending, answer: Written, heads: Heads) -> bool:
    """Whether the record was, just before our key went into it, as it was last seen: nobody edited it meanwhile.

    After a bulk job it is the next read that tells.
    """
    before = answer.before
    return answer.done_by is not None or (
        before is not None
        and heads[sent.link.link_id][4] == digest_of(mapping, before.values, before.our_id, fate=before.fate)
    )


def _created(mapping: ObjectMapping, sent: Sending, answer: Written) -> setwise.Created:
    reference = mapping.reference.ours if mapping.reference else KEY
    parent = sent.write.values.get(reference)
    match, second = (
        _text(sent.intent.values.get(column)) for column in (mapping.match[0], mapping.match[-1])
    )
    left = parent is None and sent.ours.values.get(reference) is not None
    return setwise.Created(
        sent.link.link_id, str(answer.id), sent.intent.id, match,
        second if len(mapping.match) > 1 else None, _text(parent), left,
    )  # fmt: skip


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _keyed(mapping: ObjectMapping, sent: Sending, answer: Written) -> setwise.Keyed:
    before = answer.before
    if before is None:  # the next read compares every field
        return setwise.Keyed(sent.link.link_id, sent.link.seen_stamp, None)
    digest = digest_of(mapping, before.values, sent.ours.id, fate=False)
    return setwise.Keyed(sent.link.link_id, before.stamp, digest)
