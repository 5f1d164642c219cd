"""The three-way merge: what to write where, field by field, so that both sides agree.

Pure.  The same function decides in the plan and again in the transaction that performs or claims a write
(algorithm.md 1.5, 1.6): unchanged inputs give an unchanged decision, anything else is superseded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from crm_sync.decide.mapping import FieldMapping, ObjectMapping
from crm_sync.decide.values import same
from crm_sync.model import (
    OBJECTS,
    ClockReading,
    ConflictPolicy,
    Direction,
    Link,
    Object,
    OurArchive,
    OurRecord,
    Side,
    TheirDelete,
    Value,
)

__all__ = [
    "KEY",
    "NO_PARENTS",
    "Decision",
    "Parents",
    "Rules",
    "conflict_winner",
    "is_asleep",
    "merge",
    "waits_for_parent",
    "work_left",
]

KEY = "id"
"""The pseudo-column under which writing our key into their record is planned and recorded."""

Action = Literal["push", "pull", "agree"]
STAMP_GRAIN = timedelta(seconds=1)
"""A stamp of 10:00:00 says only that the edit was before 10:00:01 (facts/salesforce.md 9)."""


_BARRED: dict[Direction, Action] = {"pull": "push", "push": "pull"}
"""What a connection of one direction never does, whoever owns the field."""

UNMEASURED = ClockReading(timedelta(0), timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Rules:
    """What settles a decision besides the values: the connection's settings and how the two clocks compare."""

    direction: Direction = "bidirectional"
    policy: ConflictPolicy = "most_recent"
    clock: ClockReading = UNMEASURED
    their_delete: TheirDelete = "archive"
    our_archive: OurArchive = "keep"
    creates: Collection[Object] = OBJECTS


@dataclass(frozen=True, slots=True)
class Decision:
    """One field: push ours, pull theirs, or agree that both mean the same.

    ``conflict``: both sides had changed, the loser is overruled.  ``restored``: an edit of a field that the winning
    side owns.  ``before`` is the value of the written side that is lost.
    """

    field: str
    action: Action
    ours: Value
    theirs: Value
    rule: str
    conflict: bool = False
    restored: bool = False
    detail: str | None = None


def is_asleep(link: Link, ours: OurRecord | None) -> bool:
    """Whether no field may travel: one side is deleted, or the link is not a living pair."""
    return link.state != "live" or bool(link.fate) or ours is None or ours.deleted


@dataclass(frozen=True, slots=True)
class Parents:
    """The linked parents that a chunk of records refers to: their id -> our id, and our id -> their id."""

    ours: Mapping[str, str] = field(default_factory=dict)
    theirs: Mapping[str, str] = field(default_factory=dict)


NO_PARENTS = Parents()


def merge(
    mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None, parents: Parents = NO_PARENTS,
    only: Collection[str] | None = None,
) -> tuple[Decision, ...]:  # fmt: skip
    """Decide every mapped field of one living link, or ``only`` some; nothing while it is asleep or in doubt.

    Of a record that was deleted there, what only they had changed before is still pulled (algorithm.md 6.1.2).
    """
    if link.reread or ours is None or is_asleep(link, ours):
        return _last_values(mapping, rules, link, ours, only)
    decisions = []
    fields = (
        mapping.fields
        if only is None
        else [mapping.by_ours[name] for name in only if name in mapping.by_ours]
    )
    for mapped in fields:
        name = mapped.ours
        if name not in link.seen or name not in ours.values:
            continue
        if mapped.references:
            decision = _decide_reference(mapped, mapping, rules, link, ours, parents)
        else:
            o, t = ours.values[name], link.seen[name]
            base_o, base_t = link.base_ours.get(name), link.base_theirs.get(name)
            decision = _fill(mapped, link, o) if t is None and o is not None else None
            if decision is None:
                if o == base_o and t == base_t and name in link.base_ours:
                    continue  # the usual case, spared the call
                decision = _decide(mapped, mapping, rules, link, ours, o, t, base_o, base_t)
        if decision and decision.action != _BARRED.get(rules.direction) and not _is_parked(link, decision):
            decisions.append(decision)
    if not link.keyed and rules.direction != "pull":
        key = Decision(KEY, "push", ours.id, None, "first_link", detail="our key goes into their record")
        if not _is_parked(link, key):
            decisions.append(key)
    return tuple(decisions)


def _last_values(
    mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None, only: Collection[str] | None
) -> tuple[Decision, ...]:
    """What the tombstone of theirs shows that only they had changed, for a living record of ours."""
    if link.reread or ours is None or ours.deleted or link.fate is not True or rules.direction == "push":
        return ()
    decisions = [
        Decision(m.ours, "pull", ours.values[m.ours], link.seen[m.ours], "theirs_changed")
        for m in mapping.fields
        if m.direction != "out" and not m.references and (only is None or m.ours in only)
        and m.ours in link.seen and m.ours in ours.values and ours.values[m.ours] == link.base_ours.get(m.ours)
        and link.seen[m.ours] != link.base_theirs.get(m.ours) and not same(ours.values[m.ours], link.seen[m.ours])
    ]  # fmt: skip
    return tuple(d for d in decisions if not _is_parked(link, d))


def work_left(
    mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord | None, parents: Parents = NO_PARENTS
) -> bool:
    """Whether the link must be planned again: something can travel, or it waits for a read or for its parent."""
    if link.reread or merge(mapping, rules, link, ours, parents):
        return True
    if ours is None or is_asleep(link, ours):
        return False
    return waits_for_parent(mapping, rules, link, ours, parents) is not None


def waits_for_parent(
    mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord, parents: Parents
) -> Side | None:
    """The side on which the record's parent is not there (yet), if any; none while both sides are as was agreed."""
    mapped = mapping.reference
    if mapped is None:
        return None
    name = mapped.ours
    theirs, o = link.seen.get(name), ours.values.get(name)
    if name in link.seen and name in ours.values:
        agreed = name in link.base_ours and (o, theirs) == (link.base_ours[name], link.base_theirs.get(name))
        if agreed or _decide_reference(mapped, mapping, rules, link, ours, parents):
            return None
    if o is not None and o not in parents.theirs:
        return "theirs"
    return "ours" if theirs is not None and theirs not in parents.ours else None


def _decide_reference(
    mapped: FieldMapping, mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord, parents: Parents
) -> Decision | None:
    """The reference is merged in our ids: a parent that can't be translated (yet) is never a blank (algorithm.md 6.3)."""
    name = mapped.ours
    raw, o, base = link.seen[name], ours.values[name], link.base_ours.get(name)
    if raw is None:
        t: Value = None
    elif raw in parents.ours:
        t = parents.ours[str(raw)]
    elif o is not None and name in link.base_ours and raw == link.base_theirs.get(name):
        t = base  # the parent that both agreed on was deleted on one side since: a move away from it still travels
    else:
        return None
    filled = _fill(mapped, link, o) if raw is None and o is not None else None
    decision = filled or _decide(mapped, mapping, rules, link, ours, o, t, base, base)
    waits = decision is not None and decision.action == "push" and o is not None and o not in parents.theirs
    return None if waits else decision


def _decide(
    mapped: FieldMapping, mapping: ObjectMapping, rules: Rules, link: Link, ours: OurRecord,
    o: Value, t: Value, base_o: Value, base_t: Value,
) -> Decision | None:  # fmt: skip
    name = mapped.ours
    first = name not in link.base_ours
    ours_moved, theirs_moved = o != base_o, t != base_t
    if not ours_moved and not theirs_moved:
        return Decision(name, "agree", o, t, "first_link") if first else None
    if same(o, t):
        return Decision(name, "agree", o, t, "first_link" if first else "same_value")
    if mapped.opts_out and ours_moved and theirs_moved:
        # Also in a connection of one direction: what it never writes is left out afterwards.
        return Decision(name, "push" if o else "pull", o, t, "opt_out_wins", conflict=True, detail=_OPTED_OUT)
    if way := _only_way(mapped, rules.direction):
        moved = {"push": ours_moved, "pull": theirs_moved}
        owned = mapped.direction != "both"
        target_moved = moved["pull" if way == "push" else "push"]
        return _one_way(way, name, o, t, owned=owned, source_moved=moved[way], target_moved=target_moved)
    if not ours_moved or not theirs_moved:
        action: Action = "push" if ours_moved else "pull"
        rule = "ours_changed" if ours_moved else "theirs_changed"
        return Decision(name, action, o, t, "filled_blank" if first else rule)
    policy = mapped.policy or mapping.policy or rules.policy
    return _settle(policy, rules.clock, name, o, t, ours.time_of(name), _bounds(link, name))


def _only_way(mapped: FieldMapping, direction: Direction) -> Literal["push", "pull"] | None:
    """The one way that a field travels: its owner's, else that of a one-way connection."""
    if mapped.direction != "both":
        return "push" if mapped.direction == "out" else "pull"
    return None if direction == "bidirectional" else direction


def _fill(mapped: FieldMapping, link: Link, o: Value) -> Decision | None:
    """Fill a blank of theirs: the survivor of a merge lacks what both sides had agreed on.

    As long as it is blank, and no longer: a value that somebody types there meanwhile is an edit like any other.
    """
    name = mapped.ours
    if mapped.direction == "in" or name not in link.base_ours or name in link.base_theirs:
        return None
    return Decision(name, "push", o, None, "filled_blank")


def _one_way(
    action: Literal["push", "pull"], name: str, o: Value, t: Value, *, owned: bool, source_moved: bool,
    target_moved: bool,
) -> Decision | None:  # fmt: skip
    """Only the owner's value counts; without an owner, in a one-way connection, the other side's edits stay there."""
    if owned:
        rule = "gptweb_owns" if action == "push" else "crm_owns"
        return Decision(
            name,
            action,
            o,
            t,
            rule,
            restored=target_moved,
            detail=None if not target_moved else _OWNED[action],
        )
    if not source_moved:
        return None
    rule = f"{action}_only"
    return Decision(name, action, o, t, rule, conflict=target_moved)


_OPTED_OUT = "one side has opted out, and that wins whatever the policy"
_OWNED = {
    "push": "GPTWeb owns this field; the edit in the CRM was restored",
    "pull": "the CRM owns this field; the edit in GPTWeb was restored",
}


def _bounds(link: Link, name: str) -> tuple[datetime | None, datetime | None]:
    return link.seen_lo.get(name), link.seen_hi.get(name, link.seen_stamp)


def _settle(
    policy: ConflictPolicy, clock: ClockReading, name: str, o: Value, t: Value, our_time: datetime,
    bounds: tuple[datetime | None, datetime | None],
) -> Decision:  # fmt: skip
    winner, rule, detail = conflict_winner(policy, clock, our_time, *bounds)
    return Decision(name, "push" if winner == "ours" else "pull", o, t, rule, conflict=True, detail=detail)


def conflict_winner(
    policy: ConflictPolicy, clock: ClockReading, our_time: datetime, lo: datetime | None, hi: datetime | None
) -> tuple[Literal["ours", "theirs"], str, str]:
    """Who wins, by which rule, and why in words.

    Most recent: theirs changed somewhere in (lo, hi], read as stamps of whole seconds in their clock.  Ours wins if it
    is certainly later, theirs if certainly not earlier; in between the CRM gives no answer and theirs wins.
    """
    if policy == "crm_wins":
        return "theirs", "crm_wins", "both sides changed it; the CRM wins by the setting"
    if policy == "gptweb_wins":
        return "ours", "gptweb_wins", "both sides changed it; GPTWeb wins by the setting"
    when = f"GPTWeb's edit {our_time:%Y-%m-%d %H:%M:%S} UTC"
    if hi is not None and our_time > hi - clock.offset + STAMP_GRAIN + clock.error:
        return "ours", "most_recent", f"{when} is later than the CRM's last change {hi:%Y-%m-%d %H:%M:%S}"
    if lo is not None and lo - clock.offset >= our_time + clock.error:
        return (
            "theirs",
            "most_recent",
            f"{when} is earlier than the CRM's, changed after {lo:%Y-%m-%d %H:%M:%S}",
        )
    since = f"{lo:%Y-%m-%d %H:%M:%S}" if lo else "an unknown time"
    until = f"{hi:%Y-%m-%d %H:%M:%S}" if hi else "now"
    return (
        "theirs",
        "most_recent_undecidable",
        (f"undecidable: their record changed between {since} and {until}, {when}; the CRM wins then"),
    )


def _is_parked(link: Link, decision: Decision) -> bool:
    side, value = ("theirs", decision.ours) if decision.action == "push" else ("ours", decision.theirs)
    if decision.action == "agree":
        return False
    parked: Mapping[tuple[str, str], Value] = link.parked  # type: ignore[assignment]
    key = (side, decision.field)
    return key in parked and parked[key] == value
