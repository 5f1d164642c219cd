"""Push ours: write the CRM's values into our tables, each decision made once more in the transaction that writes it.

What nothing is unusual about is made set by set (``ledger.making``), the rest goes record by record.
"""

from __future__ import annotations

from collections.abc import Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.archive import write_ours
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.conversion import convert_ours
from crm_sync.engine.keep import settle_links
from crm_sync.engine.recheck_ours import Batch, make_each, recheck_creates, recheck_updates
from crm_sync.engine.reports import PushReport, Tally
from crm_sync.engine.store_ours import based, record_after, write_ready
from crm_sync.ledger import making, parking, trail, worklist
from crm_sync.ledger.database import Transaction
from crm_sync.stores.database import DatabaseStore

__all__ = ["push_ours"]

CHUNK = 1000
LARGE_CHUNK = 2000


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
    """One chunk record by record: decided again, written, kept; then who is there, and what became of leads."""
    batch = Batch()
    changes = trail.without_twins(tx, context.run_id, changes)
    recheck_updates(tx, engine, context, mapping, [c for c in changes if c.op == "update"], batch)
    new = recheck_creates(tx, context, mapping, [c for c in changes if c.op == "create"], batch)
    make_each(tx, context, mapping, new, batch)
    store = DatabaseStore(tx, context.mappings)
    written = write_ready(store, mapping, batch)
    kept = [
        (based(ready, answer), record_after(ready, answer))
        for ready, answer in zip(batch.ready, written, strict=True)
        if not answer.failures
    ]
    trail.outcomes(tx, context.run_id, batch.outcomes)
    trail.note(tx, context.run_id, context.name, mapping.object, batch.lines)
    parking.park(tx, context.run_id, context.name, batch.refusals)
    parking.lift_written(
        tx, "ours", {r.link.link_id: [d.field for d in r.decisions] for r in batch.ready if r.decisions}
    )
    settle_links(tx, context, mapping, kept)
    # After the fields: the tombstone's last values are pulled before ours is archived.
    fates = [c for c in changes if c.op in ("archive", "unarchive")]
    became = write_ours(tx, engine, context, mapping, fates) if fates else []
    if converted := [c for c in changes if c.op == "convert"]:
        became += convert_ours(tx, engine, context, converted)
    trail.outcomes(tx, context.run_id, became)
    for _, outcome, fields, _, _ in [*batch.outcomes, *became]:
        tally.add(mapping.object, outcome, len(fields))
