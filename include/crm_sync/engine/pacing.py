"""Holding back: an update of nothing but noisy measures waits until their interval is over (``decide.pacing``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Parents, waits_for_parent
from crm_sync.decide.pacing import is_noise, waits_until
from crm_sync.engine.context import Context
from crm_sync.ledger import pacing, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.links import Pair

__all__ = ["held_back", "hold"]


def held_back(
    tx: Transaction, mapping: ObjectMapping, changes: Sequence[trail.Change], now: datetime
) -> dict[int, datetime]:
    """The links to whose other side nothing else is sent than what has to wait, each with the time until which it does."""
    noise = {
        change.link_id: change for change in changes
        if change.link_id is not None and is_update(change) and is_noise(mapping, change.before, change.after, change.base)
    }  # fmt: skip
    times = pacing.last_sent(tx, list(noise))
    found = {
        link_id: waits_until(mapping, change.after, times.get(link_id, {}), now)
        for link_id, change in noise.items()
    }
    return {link_id: until for link_id, until in found.items() if until is not None}


def is_update(change: trail.Change) -> bool:
    """Whether a change is the update of a record of theirs, of which a plan has at most one a link."""
    return change.side == "theirs" and change.op == "update"


def hold(
    tx: Transaction, context: Context, mapping: ObjectMapping, held: Mapping[int, datetime], found: Sequence[Pair],
    parents: Parents, changes: Sequence[trail.Change],
) -> None:  # fmt: skip
    """Take the links that wait off the work list, but those of which other ``changes`` or the parent are work still."""
    if held:
        busy = {change.link_id for change in changes}
        pacing.hold(tx, context.name, mapping.object, [
            (link.link_id, link.our_id, ours.version, held[link.link_id]) for link, ours in found
            if link.link_id in held and link.link_id not in busy and ours is not None
            and not waits_for_parent(mapping, context.standing, link, ours, parents)
        ])  # fmt: skip
