"""Heal: what a reconciliation found becomes the sync's work; nothing of it is written here.

What may destroy is held for this run alone: its links are claimed until a person has said yes or no, so that no other run
carries it out meanwhile; after a no the links are as if nobody had looked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial

from crm_sync.decide.causes import Cause
from crm_sync.decide.compare import too_many
from crm_sync.decide.drift import Drift
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.context import Context, Engine
from crm_sync.ledger import comparison, healing, reading
from crm_sync.ledger.comparison import CHUNK
from crm_sync.ledger.database import Transaction
from crm_sync.model import Object

__all__ = ["heal", "release"]

CHANGED: tuple[Cause, ...] = ("drifted_theirs", "drifted_ours", "drifted_both", "formula")
UNLINKED: tuple[Cause, ...] = ("unlinked_theirs", "unlinked_ours")
SAFE = (*CHANGED, *UNLINKED)
"""What is healed by writing fields or making records."""
GONE: tuple[Cause, ...] = ("missing_theirs", "missing_ours", "link_to_nothing")
"""What may end with a record archived or deleted."""
SETTLED = timedelta(hours=48)
"""So long after the last moment for an answer the run has settled, or the next one has settled it."""


def heal(engine: Engine, context: Context, numbers: Mapping[Object, int], drift: Drift) -> int:
    """Make known to the sync what the run may heal; returns how many records that are.

    ``safe`` leaves out what may archive or delete, and mass changes; ``all`` leaves out nothing but mass absence, which
    is rather a lost permission than so many deletes; its plan asks a person where it destroys.
    """
    if context.run.heal == "none":
        return 0
    return sum(_heal(engine, context, mapping, numbers[mapping.object], drift) for mapping in context.objects)


def release(tx: Transaction, context: Context) -> None:
    """Let go what the run still holds; of what was not carried out nothing is known any more."""
    if context.run.kind == "reconcile":
        healing.take_back(tx, context.run_id)


def _heal(engine: Engine, context: Context, mapping: ObjectMapping, sent_no: int, drift: Drift) -> int:
    with engine.database.transaction() as tx:
        linked = comparison.linked(tx, context.name, mapping)
    object, changed, absent = (
        mapping.object,
        drift.count(CHANGED, mapping.object),
        drift.absent[mapping.object],
    )
    hand_over = partial(_hand_over, engine, context, mapping, sent_no)
    chosen = context.settings
    if context.run.heal == "safe":
        if not too_many(changed, linked, chosen.approve_share_above, chosen.approve_share_from):
            return hand_over(SAFE)
        drift.notes.append(
            f"{changed:,} of {linked:,} linked {object}s differ: too many to be changed unasked, so they were left as they "
            "are; look at the samples, then reconcile with heal = all"
        )
        return hand_over(UNLINKED)
    many_absent = too_many(absent, linked)
    if many_absent:
        drift.notes.append(
            f"{absent:,} of {linked:,} linked {object}s were not in the CRM's answer: rather a lost permission than so many "
            "deletes, so they were left as they are; let the integration user see all records, then reconcile again"
        )
    until = engine.now() + timedelta(hours=chosen.approve_hours) + SETTLED
    return hand_over(SAFE) + hand_over(GONE, absent_too=not many_absent, held_until=until)


def _hand_over(
    engine: Engine, context: Context, mapping: ObjectMapping, sent_no: int, causes: Collection[Cause], *,
    absent_too: bool = True, held_until: datetime | None = None,
) -> int:  # fmt: skip
    """Chunk by chunk; with ``held_until`` only what no other run is at, and for no other run."""
    done, after = 0, 0
    while True:
        began = engine.now()
        with engine.database.transaction() as tx:
            noted = healing.noted(tx, mapping.object, causes, after, CHUNK, absent_too=absent_too)
            found = noted
            if held_until is not None:
                held = healing.hold(
                    tx, [f.link_id for f in noted if f.link_id], context.run_id, began, held_until
                )
                found = [f for f in noted if f.link_id in held]
            images = comparison.images_of(tx, mapping, [f.their_id for f in found if f.their_id])
            reading.store_page(
                tx, context.name, context.run_id, mapping, list(images.values()), sent_no, began
            )
            healing.make_work(
                tx, context.name, mapping,
                [f.link_id for f in found if f.link_id],
                [f.link_id for f in found if f.link_id and f.absent],
                [f.our_id for f in found if f.our_id and not f.link_id],
            )  # fmt: skip
        done += len(found)
        if len(noted) < CHUNK:
            return done
        after = noted[-1].number
