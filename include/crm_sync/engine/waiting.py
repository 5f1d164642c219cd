"""References that wait: a contact goes without an account that is not on the other side, and a parked line says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Parents, is_asleep, waits_for_parent
from crm_sync.engine.context import Context
from crm_sync.engine.reports import Tally
from crm_sync.ledger import parking
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.links import Pair
from crm_sync.model import Object

__all__ = ["tell_who_waits"]

WAITING = "parent_missing"
SETTLED = "it waits no more"


def tell_who_waits(
    tx: Transaction, context: Context, mapping: ObjectMapping, found: Sequence[Pair], parents: Parents, tally: Tally
) -> None:  # fmt: skip
    """Park a line for each of these links whose parent this run does not bring, and lift those that wait no more.

    The line holds nothing back: the reference travels by itself once the parent is there (algorithm.md 6.3).
    """
    reference = mapping.reference
    if reference is None or reference.references is None or not _whole(context, reference.references):
        return
    lines = [line for pair in found for line in _line(context, mapping, pair, parents)]
    judged = [link.our_id for link, _ in found]
    new = parking.keep(
        tx, context.run_id, context.name, mapping.object, lines, judged, "our_id", WAITING, SETTLED
    )
    tally.add(mapping.object, "left to a person", new)


def _whole(context: Context, parent: Object) -> bool:
    """Whether the run looks at all parents, both ways: else a later one may bring what is missing."""
    run = context.run
    return parent in run.objects and run.direction is None and run.limit is None and not run.dry_run


def _line(
    context: Context, mapping: ObjectMapping, pair: Pair, parents: Parents
) -> Iterator[parking.Refusal]:
    link, ours = pair
    mapped = mapping.reference
    if mapped is None or mapped.references is None or ours is None or link.reread or is_asleep(link, ours):
        return
    side = waits_for_parent(mapping, context.rules, link, ours, parents)
    if side is None:
        return
    parent, creates = mapped.references, context.settings.creates(mapped.references)
    value = ours.values.get(mapped.ours) if side == "theirs" else link.seen.get(mapped.ours)
    where = "the CRM" if side == "theirs" else "GPTWeb"
    cause = (
        f"its {parent} {value} is not there on both sides, so the {mapping.object} is in {where} without it"
    )
    if not creates:
        remedy = f"Switch on create_{parent}s for the connection, or make the {parent} in {where} by hand"
    elif side == "theirs":
        remedy = f"See what crm_sync.parked_rows says of that {parent}, or give the {mapping.object} another"
    else:
        remedy = f"Take that {parent} back if GPTWeb deleted it, let the integration user read it, or give the {mapping.object} another"
    yield parking.Refusal(
        mapping.object, side, WAITING, cause, f"{remedy}; the reference then follows by itself.", link.link_id, link.our_id,
        link.their_id, mapped.ours, value, held=False,
    )  # fmt: skip
