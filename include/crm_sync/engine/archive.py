"""Push ours, existence: archive records of ours whose counterpart was deleted, and take them back (algorithm.md 6.1)."""

from __future__ import annotations

from collections.abc import Sequence

from crm_sync.decide.existence import EXISTS, agreed, decide_existence
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.existence import OPS, fall_asleep, lost_lines
from crm_sync.engine.keep import settle_links
from crm_sync.ledger import existence, links, parking, trail
from crm_sync.ledger.database import Transaction
from crm_sync.model import Link, OurRecord

__all__ = ["write_ours"]

SUPERSEDED = "a record changed after this was planned; the next run decides anew"


def write_ours(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    """Archive records of ours and take them back, each decision made once more; answers what became of the changes."""
    now = engine.now()
    found = {
        link.link_id: (link, ours)
        for link, ours in links.pairs(tx, mapping, [c.link_id or 0 for c in changes], lock=True)
    }
    outcomes: list[trail.OutcomeRow] = []
    lines: list[trail.Line] = []
    done: dict[trail.Op, list[Link]] = {"archive": [], "unarchive": []}
    for change in changes:
        link, ours = found.get(change.link_id or 0, (None, None))
        if (
            link is None
            or link.claimed_by_another(context.run_id, now)
            or not _stands(context, mapping, link, ours, change)
        ):
            outcomes.append((change.change_id, "superseded", (EXISTS,), change.their_id, SUPERSEDED))
            continue
        outcomes.append((change.change_id, "acknowledged", (EXISTS,), change.their_id, None))
        lines.extend(
            lost_lines(mapping, link, ours, change.rules[EXISTS], "the record was deleted in the CRM")
            if change.op == "archive"
            else ()
        )
        done[change.op].append(link)
    archived = [link.our_id for link in done["archive"]]
    existence.archive(tx, mapping, archived)
    parking.lift_gone(tx, context.name, mapping.object, archived)
    existence.unarchive(tx, mapping, [link.our_id for link in done["unarchive"]])
    _settle(tx, context, mapping, [link.link_id for kind in done.values() for link in kind])
    trail.note(tx, context.run_id, context.name, mapping.object, lines)
    return outcomes


def _stands(
    context: Context, mapping: ObjectMapping, link: Link, ours: OurRecord | None, change: trail.Change
) -> bool:
    fate = decide_existence(mapping, context.standing, link, ours)
    return fate in OPS and OPS[fate] == (change.side, change.op, change.rules.get(EXISTS))


def _settle(tx: Transaction, context: Context, mapping: ObjectMapping, link_ids: Sequence[int]) -> None:
    """Both sides are now as they agreed to be: the base moves, and nothing is left in the outbox."""
    if not link_ids:
        return
    kept = [
        (agreed(fall_asleep(link, ours), ours), ours)
        for link, ours in links.pairs(tx, mapping, link_ids, lock=True)
    ]
    existence.store(tx, [link for link, _ in kept])
    settle_links(tx, context, mapping, kept)
