"""Existence is one more field with a two-sided base: what a delete on one side, or its taking back, does to the other.

Pure (algorithm.md 6.1).  Whether a record is there is decided like a value: nothing happens while both sides are as they
last agreed to be, and an agreed difference stays silent for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.merge import NO_PARENTS, Parents, Rules
from crm_sync.decide.merge import work_left as fields_left
from crm_sync.decide.values import same
from crm_sync.model import Direction, Link, OurRecord, Side, Value

__all__ = [
    "EXISTS",
    "Fate",
    "agreed",
    "decide_existence",
    "is_barred",
    "lives",
    "lost_values",
    "side_of",
    "work_left",
]

EXISTS = "exists"
"""The pseudo-column under which the making and unmaking of a record is planned and recorded."""

Fate = Literal["agree", "apart", "archive", "unarchive", "revive", "create_again", "delete", "withdraw"]
"""agree: both are there, or neither is.  apart: they differ, and that is agreed.  archive, unarchive: ours follows theirs.
revive: ours comes back, because theirs was edited when it was to be deleted.  create_again, delete: theirs follows ours.
withdraw: theirs goes and ours stays, because a person undid that theirs was made."""

_SIDES: dict[Fate, Side] = {
    "archive": "ours", "unarchive": "ours", "revive": "ours", "create_again": "theirs", "delete": "theirs",
    "withdraw": "theirs",
}  # fmt: skip
_UNTOUCHED: dict[Direction, Side] = {"push": "ours", "pull": "theirs"}
"""The side that a connection of one direction never writes."""


def lives(ours: OurRecord | None) -> bool:
    """Whether our record is there."""
    return ours is not None and not ours.deleted


def decide_existence(mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None) -> Fate | None:
    """What is to be done so that both sides agree on who is there; None when nothing is, or nothing may be decided."""
    if link.reread or link.their_id is None or link.state not in ("live", "gone"):
        return None
    if link.merged_into is not None or link.converted_to is not None:
        return None  # a merge is never a delete, and a conversion neither (algorithm.md 6.2)
    now = (lives(ours), link.their_alive)
    withdrawn = link.withdrawn and now[0]
    if now == link.alive and not withdrawn:
        return None
    if now[0] == now[1] and not withdrawn:
        return "agree"
    decide = _they_remain if link.their_alive else _we_remain
    fate = _withdrawn(mapping, link) if withdrawn else decide(mapping, rules, link, ours)
    if fate in ("delete", "withdraw") and ("theirs", EXISTS) in link.parked:
        return None  # the CRM refused it
    return "apart" if is_barred(fate, rules.direction) or not _possible(fate, rules, link, ours) else fate


def _withdrawn(mapping: ObjectMapping, link: Link) -> Fate:
    """Theirs is to go, unless somebody works on it by now; then, or once it is gone, that is how both sides agree to be."""
    if not link.their_alive:
        return "apart"
    return "agree" if _edited_there(mapping, link) else "withdraw"


def _they_remain(mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None) -> Fate:
    """Ours is deleted and theirs is there: we deleted it, or they took theirs back."""
    we_did = link.alive[0] or link.alive[1]
    if we_did and rules.our_archive == "keep":
        return "apart"
    if we_did:
        return "revive" if not link.alive[1] or _edited_there(mapping, link) else "delete"
    by_engine = ours is not None and ours.archived_by == "engine"
    return "unarchive" if by_engine or rules.our_archive == "delete" else "apart"


def _we_remain(mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None) -> Fate:
    """Theirs is deleted and ours is there: they deleted it, or a person took ours back."""
    if not (link.alive[0] and link.alive[1]):
        return "create_again"
    if rules.their_delete == "keep":
        return "apart"
    edited = ours is not None and any(_edited_here(m, link, ours) for m in mapping.fields)
    return "create_again" if edited and rules.direction != "pull" else "archive"


def _edited_here(mapped: FieldMapping, link: Link, ours: OurRecord) -> bool:
    """An unsent edit of a person: not of a field that one side owns, not refused there, not on their record anyway."""
    name = mapped.ours
    if mapped.direction != "both" or name not in ours.values or ours.values[name] == link.base_ours.get(name):
        return False
    if mapped.references:
        return name in link.base_ours
    refused = link.parked.get(("theirs", name), ...)
    return refused != ours.values[name] and not same(ours.values[name], link.seen.get(name))


def _edited_there(mapping: ObjectMapping, link: Link) -> bool:
    return any(
        m.direction != "out" and m.ours in link.seen and link.seen[m.ours] != link.base_theirs.get(m.ours)
        for m in mapping.fields
    )


def _possible(fate: Fate, rules: Rules, link: Link, ours: OurRecord | None) -> bool:
    if fate == "create_again":
        return link.object in rules.creates
    return ours is not None or fate not in ("unarchive", "revive")


def side_of(fate: Fate) -> Side | None:
    """The side that is written; None when only the base moves."""
    return _SIDES.get(fate)


def is_barred(fate: Fate, direction: Direction) -> bool:
    """Whether a connection or a run of this direction must not write the side that would follow."""
    return side_of(fate) is not None and side_of(fate) == _UNTOUCHED.get(direction)


def agreed(link: Link, ours: OurRecord | None) -> Link:
    """The link with the base of existence as both sides are now."""
    return replace(link, alive=(lives(ours), link.their_alive), withdrawn=False)


def lost_values(mapping: ObjectMapping, link: Link, ours: OurRecord | None) -> list[tuple[str, Value, Value]]:
    """What their record showed that never reached ours, and what ours holds: (column, theirs, ours)."""
    if ours is None:
        return []
    return [
        (m.ours, link.seen[m.ours], ours.values.get(m.ours))
        for m in mapping.fields
        if m.direction != "out" and not m.references and m.ours in link.seen
        and link.seen[m.ours] != link.base_theirs.get(m.ours) and not same(link.seen[m.ours], ours.values.get(m.ours))
    ]  # fmt: skip


def work_left(
    mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None, parents: Parents = NO_PARENTS
) -> bool:
    """Whether the link must be planned again: because of its fields, or of who is there."""
    return (
        fields_left(mapping, rules, link, ours, parents)
        or decide_existence(mapping, rules, link, ours) is not None
    )
