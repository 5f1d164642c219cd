"""Heal: what a reconciliation found becomes the sync's work; nothing of it is written here."""

from __future__ import annotations

from collections.abc import Collection

from crm_sync.decide.compare import Cause, too_many
from crm_sync.decide.drift import Drift
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.context import Context, Engine
from crm_sync.ledger import comparison, reading
from crm_sync.ledger.comparison import CHUNK

__all__ = ["heal"]

SAFE: tuple[Cause, ...] = (
    "drifted_theirs",
    "drifted_ours",
    "drifted_both",
    "formula",
    "unlinked_theirs",
    "unlinked_ours",
)
"""What is healed by writing fields or making records."""
GONE: tuple[Cause, ...] = ("missing_theirs", "missing_ours", "link_to_nothing")
"""What may end with a record archived or deleted."""
CHANGED: tuple[Cause, ...] = ("drifted_theirs", "drifted_ours", "drifted_both", "formula")


def heal(engine: Engine, context: Context, sent_no: int, drift: Drift) -> int:
    """Make known to the sync what the run may heal; returns how many records that are.

    ``safe`` leaves out what may archive or delete, and mass changes; ``all`` leaves out nothing but mass absence, which
    is rather a lost permission than so many deletes; its plan asks a person where it destroys.
    """
    wanted = context.run.heal
    if wanted == "none":
        return 0
    healing = 0
    for mapping in context.objects:
        causes, absent_too = _causes(engine, context, mapping, drift)
        healing += _hand_over(engine, context, mapping, sent_no, causes, absent_too=absent_too)
    return healing


def _causes(
    engine: Engine, context: Context, mapping: ObjectMapping, drift: Drift
) -> tuple[Collection[Cause], bool]:
    """The causes that the run heals, and whether also records that were not in the read at all."""
    with engine.database.transaction() as tx:
        linked = comparison.linked(tx, context.name, mapping)
    object, changed = mapping.object, drift.count(CHANGED, mapping.object)
    if context.run.heal == "safe":
        if too_many(changed, linked):
            drift.notes.append(
                f"{changed:,} of {linked:,} linked {object}s differ: too many to be changed unasked, so they were left as they "
                "are; look at the samples, then reconcile with heal = all"
            )
            return set(SAFE) - set(CHANGED), False
        return SAFE, False
    absent = drift.absent[object]
    if too_many(absent, linked):
        drift.notes.append(
            f"{absent:,} of {linked:,} linked {object}s were not in the CRM's answer: rather a lost permission than so many "
            "deletes, so they were left as they are; let the integration user see all records, then reconcile again"
        )
    return (*SAFE, *GONE), not too_many(absent, linked)


def _hand_over(
    engine: Engine, context: Context, mapping: ObjectMapping, sent_no: int, causes: Collection[Cause], *, absent_too: bool
) -> int:  # fmt: skip
    done, after = 0, 0
    while True:
        began = engine.now()
        with engine.database.transaction() as tx:
            found = comparison.noted(tx, mapping.object, causes, after, CHUNK, absent_too=absent_too)
            images = comparison.images_of(tx, mapping, [theirs for _, _, _, theirs, _ in found if theirs])
            reading.store_page(
                tx, context.name, context.run_id, mapping, list(images.values()), sent_no, began
            )
            comparison.make_work(
                tx, context.name, mapping,
                [link for _, link, _, _, _ in found if link],
                [link for _, link, _, _, absent in found if link and absent],
                [ours for _, link, ours, _, _ in found if ours and not link],
            )  # fmt: skip
        done += len(found)
        if len(found) < CHUNK:
            return done
        after = found[-1][0]
