"""Existence: what becomes of one side when a record of the other is deleted or comes back (algorithm.md 6.1).

The decision is pure (``decide.existence``).  Here it is planned; ``archive`` and ``deletes`` carry it
out, and make it once more in the transaction that writes.  While not both records are there, the link sleeps: no field travels, and the base stays, so that
what is typed meanwhile travels on waking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crm_sync.decide.existence import EXISTS, Fate, agreed, decide_existence, is_barred, lost_values
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Parents
from crm_sync.engine.context import Context, Engine
from crm_sync.ledger import former, linking, links, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.identity import Unlinked
from crm_sync.model import Link, OurRecord, Side, Value

__all__ = ["OPS", "Planned", "fall_asleep", "let_go", "lost_lines", "plan_existence"]


@dataclass(frozen=True, slots=True)
class Planned:
    """What existence asks of one link: a change to be carried out, or only a base that moves, with what is said of it."""

    link: Link
    changes: tuple[trail.Change, ...] = ()
    lines: tuple[trail.Line, ...] = ()


def fall_asleep(link: Link, ours: OurRecord | None) -> Link:
    """The link as gone while one side is deleted, as live again once both are there."""
    both = not link.fate and ours is not None and not ours.deleted
    if link.state == "live" and not both:
        return replace(link, state="gone")
    if link.state == "gone" and both:
        return replace(link, state="live")
    return link


def plan_existence(
    context: Context, mapping: ObjectMapping, link: Link, ours: OurRecord | None, pulled: dict[str, Value], parents: Parents
) -> Planned:  # fmt: skip
    """Decide about one link; ``pulled`` are the tombstone's values that this run writes into ours before."""
    fate = decide_existence(mapping, context.standing, link, ours)
    if fate is None or is_barred(fate, context.rules.direction):
        return Planned(link)
    if fate in ("agree", "apart"):
        return Planned(agreed(link, ours), (), tuple(_lines(mapping, link, ours, fate)))
    return Planned(link, (_change(mapping, link, ours, fate, pulled, parents),))


def _change(
    mapping: ObjectMapping, link: Link, ours: OurRecord | None, fate: Fate, pulled: dict[str, Value], parents: Parents
) -> trail.Change:  # fmt: skip
    if fate == "create_again" and ours is not None:
        record = replace(ours, values={**ours.values, **pulled})
        unlinked = Unlinked(link.our_id, ours.version, link.link_id, record, False, ())
        refused = {c: v for (side, c), v in link.parked.items() if side == "theirs"}
        values = linking.wanted_values(mapping, unlinked, parents, {link.link_id: refused})
        return trail.Change(
            mapping.object, "theirs", "create", link.link_id, link.our_id, link.their_id, dict.fromkeys(values), values, {},
            dict.fromkeys(values, "created_again"),
        )  # fmt: skip
    side, op, rule = OPS[fate]
    there = op == "unarchive"
    return trail.Change(
        mapping.object, side, op, link.link_id, link.our_id, link.their_id, {EXISTS: not there}, {EXISTS: there}, {},
        {EXISTS: rule},
    )  # fmt: skip


OPS: dict[Fate, tuple[Side, trail.Op, str]] = {
    "archive": ("ours", "archive", "deleted_theirs"),
    "unarchive": ("ours", "unarchive", "undeleted_theirs"),
    "revive": ("ours", "unarchive", "edited_theirs"),
    "delete": ("theirs", "delete", "deleted_ours"),
    "withdraw": ("theirs", "delete", "undone"),
}


def let_go(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, changes: Sequence[trail.Change]
) -> None:
    """T1 of creating again: links whose record is still to be made anew part from the dead one (algorithm.md 6.1.3)."""
    now = engine.now()
    again = {c.link_id: c for c in changes if c.link_id is not None and c.their_id is not None}
    if not again:
        return
    parting = [
        (link, ours) for link, ours in links.pairs(tx, mapping, sorted(again), lock=True)
        if not link.claimed_by_another(context.run_id, now) and link.their_id == again[link.link_id].their_id
        and decide_existence(mapping, context.standing, link, ours) == "create_again"
    ]  # fmt: skip
    former.let_go(tx, context.name, mapping, [link for link, _ in parting])
    trail.note(tx, context.run_id, context.name, mapping.object, [
        line for link, ours in parting
        for line in lost_lines(mapping, link, ours, "created_again", "the record was deleted in the CRM and is made again from GPTWeb's")
    ])  # fmt: skip


def _lines(mapping: ObjectMapping, link: Link, ours: OurRecord | None, fate: Fate) -> Iterator[trail.Line]:
    """What the trail says when only the base moves: the event, and each value that can't travel now."""
    who: dict[str, Any] = {"our_id": link.our_id, "their_id": link.their_id}
    if link.withdrawn:
        detail = (
            "edited in the CRM since, so it stays there"
            if link.their_alive
            else "gone from the CRM; ours stays"
        )
        yield trail.Line("undone", "noted", **who, side="theirs", detail=detail)
        return
    if fate == "agree":
        rule, detail = (
            ("undeleted", "both records are there again; edits made meanwhile travel now")
            if link.their_alive
            else ("deleted_both", "deleted on both sides")
        )
        yield trail.Line(rule, "noted", **who, detail=detail)
        return
    side: Side = "theirs" if ours is not None and not ours.deleted else "ours"
    where = "the CRM" if side == "theirs" else "GPTWeb"
    rule = f"deleted_{side}"
    yield trail.Line(
        rule, "noted", **who, side=side, detail=f"deleted in {where}; the other side stays as it is"
    )
    yield from lost_lines(mapping, link, ours, rule, "an edit in the CRM that had not travelled")
    for mapped in mapping.fields:
        name = mapped.ours
        held = ours.values.get(name) if ours is not None else None
        if (
            ours is not None
            and mapped.direction != "out"
            and name in link.base_ours
            and held != link.base_ours[name]
        ):
            yield trail.Line(
                rule, "overruled", **who, side="ours", field=name, before=held, after=link.seen.get(name),
                base=link.base_ours[name], detail="an edit in GPTWeb that had not travelled; it stays here",
            )  # fmt: skip


def lost_lines(
    mapping: ObjectMapping, link: Link, ours: OurRecord | None, rule: str, why: str
) -> Iterator[trail.Line]:
    """Each value of their record that never reached ours and now is lost."""
    for name, shown, held in lost_values(mapping, link, ours):
        yield trail.Line(
            rule, "overruled", our_id=link.our_id, their_id=link.their_id, side="theirs", field=name, before=shown, after=held,
            base=link.base_theirs.get(name, ...), detail=why,
        )  # fmt: skip
