"""Reconciliation, decided: two complete reads laid side by side, each record of either side under exactly one cause.

Pure.  What differs is what the sync's own merge would write (``decide.merge``, ``decide.existence``): a comparison has
no rules of its own, so whatever it calls drift the sync can heal, and what the sync lets be is in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from crm_sync.decide.causes import DRIFT, Cause
from crm_sync.decide.existence import EXISTS, decide_existence, lives
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import Decision, Parents, Rules, merge, waits_for_parent
from crm_sync.decide.observe import observe
from crm_sync.decide.values import same
from crm_sync.model import Image, Link, OurRecord, Value

__all__ = [
    "Difference",
    "Finding",
    "Known",
    "Pair",
    "judge_pair",
    "judge_unlinked",
    "seen_now",
    "too_many",
]

LEAST, SHARE = 10, 0.3
"""From so many linked records on, so much of them is a mass, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field on which the two sides do not agree, with both values."""

    field: str
    ours: Value
    theirs: Value


@dataclass(frozen=True, slots=True)
class Finding:
    """What a pair, or a record without a partner, was found to be.

    ``waiting``: the sync knows of it or will read it, so that its next run sees to it without any healing.  ``absent``:
    their record was not in the complete read.
    """

    cause: Cause
    link_id: int | None
    our_id: str | None
    their_id: str | None
    differences: tuple[Difference, ...] = ()
    waiting: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What the sync knows of a pair: ``dirty``: it has work to do; ``in_doubt``: a write has no answer, or a run is at it.

    ``cursor``: what theirs changed since then the next run reads by itself.
    """

    dirty: bool = False
    in_doubt: bool = False
    cursor: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A link before and after the read, with our record.

    ``image``: what the read showed, None if that is what the link had seen before, or if the record was ``absent``.
    """

    link: Link
    now: Link
    ours: OurRecord | None
    image: Image | None = None
    absent: bool = False
    known: Known = field(default_factory=Known)


def seen_now(mapping: ObjectMapping, link: Link, image: Image | None, sent_no: int) -> Link:
    """The link as the read would leave it; nothing of it is stored.

    A link that was read or written since the request left is newer than what the request brought.
    """
    if image is None:
        return link
    after = observe(mapping, link, image, sent_no, max(sent_no, link.seen_recv))
    return replace(after, state="live") if link.state == "lost" else after


def judge_pair(mapping: ObjectMapping, rules: Rules, pair: Pair, parents: Parents) -> Finding:
    """Say what a linked pair is: the first that holds, from what may not be decided to what differs field by field."""
    link, now = pair.link, pair.now
    if pair.known.in_doubt or now.reread:
        return _found(pair, "busy")
    if link.state in ("merged", "converted"):
        return _found(pair, "by_agreement")
    if pair.absent:
        return _judge_absent(pair)
    became = (now.merged_into, now.converted_to) != (link.merged_into, link.converted_to)
    if became:
        return _found(pair, "missing_theirs", (Difference(EXISTS, lives(pair.ours), False),))
    if link.state == "lost" and now.fate is False:
        return _found(pair, "drifted_theirs", (Difference(EXISTS, lives(pair.ours), True),))
    return _judge_existence(mapping, rules, pair) or _judge_fields(mapping, rules, pair, parents)


def _judge_absent(pair: Pair) -> Finding:
    """Absence proves no delete (algorithm.md 6.1.4); whether it is agreed upon, the base of existence says."""
    here = lives(pair.ours)
    if pair.link.state == "lost":
        return _found(pair, "parked" if here else "by_agreement")
    if (here, False) == pair.link.alive:
        return _found(pair, "by_agreement")
    return _found(pair, "missing_theirs" if here else "link_to_nothing")


def _judge_existence(mapping: ObjectMapping, rules: Rules, pair: Pair) -> Finding | None:
    """Also a difference that the settings allow is one until both sides' base has it: the next plan only notes it."""
    here, there = lives(pair.ours), pair.now.their_alive
    if here and there:
        return None
    if decide_existence(mapping, rules, pair.now, pair.ours) is None:
        return _found(pair, "by_agreement")
    cause: Cause = "missing_theirs" if here else "missing_ours" if there else "link_to_nothing"
    return _found(pair, cause, (Difference(EXISTS, here, there),))


def _judge_fields(mapping: ObjectMapping, rules: Rules, pair: Pair, parents: Parents) -> Finding:
    link = replace(pair.now, state="live")
    decided = [d for d in merge(mapping, rules, link, pair.ours, parents) if d.action != "agree"]
    if decided:
        differences = tuple(Difference(_name(mapping, d), d.ours, d.theirs) for d in decided)
        return _found(pair, _side_of(pair, decided), differences)
    if pair.ours is not None and waits_for_parent(mapping, rules, link, pair.ours, parents):
        return _found(pair, "parked")
    left = _left_as_they_are(mapping, link, pair.ours)
    if not left:
        return _found(pair, "in_step")
    return _found(pair, "parked" if link.parked else "by_agreement", left)


def _name(mapping: ObjectMapping, decision: Decision) -> str:
    return decision.field if decision.field in mapping.by_ours else mapping.key.theirs


def _side_of(pair: Pair, decided: Sequence[Decision]) -> Cause:
    """Which side moved away from what both last agreed on."""
    base_ours, base_theirs = pair.now.base_ours, pair.now.base_theirs
    held = pair.ours.values if pair.ours else {}
    here = there = False
    for d in decided:
        if d.field in held:
            here = here or held[d.field] != base_ours.get(d.field)
            there = there or pair.now.seen.get(d.field) != base_theirs.get(d.field)
    if here and there:
        return "drifted_both"
    if here:
        return "drifted_ours"
    silent = pair.image is not None and pair.image.stamp == pair.link.seen_stamp
    return "formula" if silent and there else "drifted_theirs"


def _left_as_they_are(mapping: ObjectMapping, link: Link, ours: OurRecord | None) -> tuple[Difference, ...]:
    """Values that differ and that no rule moves: refused ones, one-way settings, another spelling that was agreed on."""
    if ours is None:
        return ()
    return tuple(
        Difference(m.ours, ours.values[m.ours], link.seen[m.ours])
        for m in mapping.fields
        if not m.references and m.ours in link.seen and m.ours in ours.values
        and not same(ours.values[m.ours], link.seen[m.ours])
    )  # fmt: skip


def _found(pair: Pair, cause: Cause, differences: tuple[Difference, ...] = ()) -> Finding:
    stamp, cursor = (pair.image.stamp if pair.image else None), pair.known.cursor
    will_read = stamp is not None and cursor is not None and stamp >= cursor
    return Finding(
        cause, pair.link.link_id, pair.link.our_id, pair.link.their_id, differences,
        waiting=cause in DRIFT and (pair.known.dirty or will_read), absent=pair.absent,
    )  # fmt: skip


def judge_unlinked(
    side: Literal["ours", "theirs"],
    id: str,
    *,
    wanted: bool,
    held_back: bool,
    waiting: bool,
    in_doubt: bool = False,
) -> Finding:
    """Say what a record without a partner is.

    ``wanted``: the settings let the sync make it on the other side; ``held_back``: it was left to a person;
    ``in_doubt``: it is being made there, and no answer has come yet.
    """
    cause: Cause = "parked" if held_back else "left_out"
    if in_doubt:
        cause = "busy"
    elif wanted and not held_back:
        cause = "unlinked_ours" if side == "ours" else "unlinked_theirs"
    ours, theirs = (id, None) if side == "ours" else (None, id)
    return Finding(cause, None, ours, theirs, waiting=waiting and cause in DRIFT)


def too_many(count: int, of: int, share: float | None = SHARE, least: int = LEAST) -> bool:
    """Whether so many of all linked records are a mass, which nobody changes without asking; without a share none is."""
    return share is not None and of >= least and count > share * of
