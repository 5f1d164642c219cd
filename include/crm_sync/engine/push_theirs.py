"""Push theirs: claim, store intents, send a batch in one call, and keep outcome and base in one transaction after it.

T1 (claim) re-checks every decision; nothing is sent once the lease could run out before the answer is due; T2 (keep)
touches only what this run still holds and what is not known from a read already (algorithm.md 1.6, 1.7).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.answers import Kept
from crm_sync.engine.bulk import push_large, take_up
from crm_sync.engine.claim import Sending, by_parent, claim_creates, claim_updates
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.deletes import claim_deletes, keep_deletes
from crm_sync.engine.identify import creates_of
from crm_sync.engine.keep import give_back, keep_answers
from crm_sync.engine.plan_links import plan_links
from crm_sync.engine.reports import PushReport, Tally
from crm_sync.errors import IncompleteRead, SyncError, Unanswered
from crm_sync.ledger import identity, intents, reading, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ports import Store

__all__ = ["push_theirs"]

ATTEMPTS = 3
"""How often one run tries a record: the whole, without its refused values, once more for a passing refusal."""


def push_theirs(engine: Engine, context: Context) -> PushReport:
    """Accounts before contacts; updates before creates.  Raises Unanswered or NotSent after keeping what is known."""
    tally = Tally()
    opened = _once(lambda: engine.open_store(context.connection, context.run))
    left = take_up(engine, context, opened, tally)
    for mapping in context.objects:
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            again = left.pop(mapping.object, Kept())
            again.add(push_large(engine, context, mapping, opened, tally, last=last))
            after = 0
            while changes := _next(engine, context, mapping, after):
                again.add(_push(engine, context, mapping, opened(), changes, tally, last=last))
                after = changes[-1].change_id
            if not again.unfinished or last:
                break
            if again.postponed:
                engine.sleep(random.uniform(0.5, 1.5) * 2**attempt)  # noqa: S311  spreads competing workers, no secret
            _plan_again(engine, context, mapping, again)
    return PushReport(context.run_id, tally.numbers, tally.total())


def _once(make: Callable[[], Store]) -> Callable[[], Store]:
    """The store is opened when it is first needed."""
    made: list[Store] = []

    def opened() -> Store:
        if not made:
            made.append(make())
        return made[0]

    return opened


def _next(engine: Engine, context: Context, mapping: ObjectMapping, after: int) -> list[trail.Change]:
    """The next batch: of one kind, because a create and an update are different calls."""
    with engine.database.transaction() as tx:
        found = trail.pending(
            tx, context.run_id, "theirs", mapping.object, after, context.settings.batch_size
        )
    same_kind = []
    for change in found:
        if change.op != found[0].op:
            break
        same_kind.append(change)
    return same_kind


def _push(
    engine: Engine,
    context: Context,
    mapping: ObjectMapping,
    store: Store,
    changes: Sequence[trail.Change],
    tally: Tally,
    *,
    last: bool,
) -> Kept:
    leased = engine.monotonic()
    with engine.database.transaction() as tx:
        changes = trail.without_twins(tx, context.run_id, changes)
        sending = _CLAIM[changes[0].op](tx, engine, context, mapping, changes)
    if not sending:
        return Kept()
    sending = by_parent(mapping, sending)
    with engine.database.transaction() as tx:
        sent_no = reading.next_number(tx)
        sending = _still_ours(tx, engine, context, sending)
    if not sending:
        return Kept()
    try:
        answers = store.write(
            mapping.object, [s.write for s in sending], leased + context.settings.lease_seconds
        )
    except SyncError as error:
        if isinstance(error, (Unanswered, IncompleteRead)):
            raise  # it may have been carried out
        with engine.database.transaction() as tx:
            give_back(tx, context, sending)
        raise
    with engine.database.transaction() as tx:
        keep = keep_deletes if changes[0].op == "delete" else keep_answers
        return keep(tx, engine, context, mapping, sending, answers, sent_no, tally, last=last)


_CLAIM = {"create": claim_creates, "update": claim_updates, "delete": claim_deletes}


def _still_ours(
    tx: Transaction, engine: Engine, context: Context, sending: Sequence[Sending]
) -> list[Sending]:
    """Send only what this run still has the lease of: a process that slept must not write over its successor."""
    held = intents.still_claimed(tx, [s.link.link_id for s in sending], context.run_id, engine.now())
    return [s for s in sending if s.link.link_id in held]


def _plan_again(engine: Engine, context: Context, mapping: ObjectMapping, again: Kept) -> None:
    """The rest of a refused record goes at once, without the refused values."""
    with engine.database.transaction() as tx:
        plan_links(tx, engine, context, mapping, sorted(again.links), Tally())
        records = identity.unlinked_of(tx, context.name, mapping, sorted(again.creates), engine.now())
        wanted = [r for r in records if not r.refused and not r.deleted]
        changes = creates_of(tx, context, mapping, wanted)
        trail.plan(tx, context.run_id, context.name, changes)
