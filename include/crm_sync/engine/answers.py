"""What one written row means: the base that it leaves, and an edit of a person that slipped in.

Nothing is stored here: everything is collected in ``Work``, and ``keep`` stores it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY, conflict_winner
from crm_sync.decide.observe import observe
from crm_sync.decide.values import same
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context
from crm_sync.ledger import parking, trail
from crm_sync.model import Image, Intent, Link, OurRecord, Outcome, Row, Side, Value, Write, Written

__all__ = ["Kept", "Work", "written"]


@dataclass
class Kept:
    """What should be tried again in this run: links, creates (our ids), and whether something only was busy."""

    links: set[int] = field(default_factory=set)
    creates: set[str] = field(default_factory=set)
    postponed: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether anything is worth another attempt."""
        return bool(self.links or self.creates)

    def add(self, other: Kept) -> None:
        """Take over what another batch left."""
        self.links |= other.links
        self.creates |= other.creates
        self.postponed |= other.postponed


@dataclass
class Work:
    """What one transaction collects before it stores; ``last``: the run tries none of it again.

    ``asked``: the links whose parents were read again after they had been refused.
    """

    mapping: ObjectMapping
    sent_no: int
    recv_no: int
    last: bool
    carrier: trail.Carrier | None = None
    outcomes: list[trail.OutcomeRow] = field(default_factory=list)
    lines: list[trail.Line] = field(default_factory=list)
    refusals: list[parking.Refusal] = field(default_factory=list)
    stored: list[tuple[Link, OurRecord | None]] = field(default_factory=list)
    repairs: list[Write] = field(default_factory=list)
    lifted: dict[int, Row] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    asked: Collection[int] = ()
    again: Kept = field(default_factory=Kept)


def written(
    work: Work, context: Context, sent: Sending, answer: Written, link: Link, ours: OurRecord | None, intent: Intent,
    others: Sequence[Intent],
) -> None:  # fmt: skip
    """Collect what a written row leaves: its outcome, the base of what was sent, the image, what slipped in."""
    columns = [c for c in intent.values if c not in intent.settled]
    work.outcomes.append((sent.change.change_id, "acknowledged", columns, answer.id, None))
    work.lifted[link.link_id] = intent.values
    based = _based(link, sent, answer, columns)
    if answer.after is not None:
        after = observe(work.mapping, based, answer.after, work.sent_no, work.recv_no, answer.before)
    elif answer.before is not None and not sent.write.values:
        # Our key alone: nothing was sent that they could spell their way, and the first look has the fields' times.
        after = replace(observe(work.mapping, based, answer.before, work.sent_no, work.recv_no), keyed=True)
    elif intent.creates:
        after = _created(based, sent, answer, work.recv_no)
    elif answer.done_by is not None:
        after = _not_shown(based, sent, answer.done_by, work.recv_no)
    else:
        after = replace(based, reread=True)
    work.stored.append((after, ours))
    if answer.before is not None:
        _slipped_in(work, context, sent, answer.before, link, ours, intent, columns, others)
    elif not answer.created and answer.done_by is None:
        work.lines.extend(_unseen(sent, answer, column) for column in columns if column != KEY)


def _based(link: Link, sent: Sending, answer: Written, columns: Sequence[str]) -> Link:
    """The base of what was sent: our value, and how they hold it if nobody else wrote after us in the same call."""
    base_ours, base_theirs = dict(link.base_ours), dict(link.base_theirs)
    for column in columns:
        if column == KEY:
            continue
        value = sent.write.values[column]
        shown = answer.after.values.get(column, value) if answer.after else value
        ours_there = answer.after is not None and (answer.after.modified_by_us or same(shown, value))
        base_ours[column] = sent.intent.values[column]
        base_theirs[column] = shown if ours_there else value
    return replace(link, base_ours=base_ours, base_theirs=base_theirs)


def _created(link: Link, sent: Sending, answer: Written, recv_no: int) -> Link:
    """A new record was not read yet: what was sent counts as seen until the next read shows how they spell it."""
    return replace(
        link, their_id=answer.id, state="live", keyed=True, their_alive=True, seen={**link.seen, **sent.write.values},
        seen_recv=recv_no, spelling_of=sent.intent.id, reread=not answer.created,
    )  # fmt: skip


def _not_shown(link: Link, sent: Sending, done_by: datetime, recv_no: int) -> Link:
    """A bulk job shows no record: what was sent counts as seen until the next read shows how they spell it.

    An older page that comes in late must not pass for newer, so the stamp is one that no record can have had before.
    """
    return replace(
        link, seen={**link.seen, **sent.write.values}, seen_stamp=max(done_by, link.seen_stamp or done_by),
        seen_recv=recv_no, spelling_of=sent.intent.id, keyed=link.keyed or sent.write.stamp_key,
    )  # fmt: skip


def _slipped_in(
    work: Work, context: Context, sent: Sending, before: Image, link: Link, ours: OurRecord | None, intent: Intent,
    columns: Sequence[str], others: Sequence[Intent],
) -> None:  # fmt: skip
    """A person got between our read and our write: the policy decides, and the loser is recorded."""
    repaired: dict[str, Value] = {}
    for column in sent.write.values:
        if not _is_anothers(column, sent, before, others):
            continue
        x, value = before.values[column], sent.write.values[column]
        if line := _without_a_winner(work.mapping, column, sent, x):
            work.lines.append(line)
            continue
        winner, rule, detail = _winner(work.mapping, context, column, sent, before, link, ours, intent)
        held = ours.values.get(column) if ours else None
        if winner == "theirs" and column in columns and ours is not None and not ours.deleted:
            work.lines.append(_line(f"slipped_in_{rule}", "overruled", sent, "ours", column, held, x, detail))
            repaired[column] = x
        else:
            work.lines.append(
                _line(f"slipped_in_{rule}", "overruled", sent, "theirs", column, x, value, detail)
            )
    if repaired:
        moment = before.stamp - context.rules.clock.offset
        work.repairs.append(
            Write(link.our_id, link.our_id, "", repaired, times=dict.fromkeys(repaired, moment))
        )


def _is_anothers(column: str, sent: Sending, before: Image, others: Sequence[Intent]) -> bool:
    """Whether they held a value just before our write that is neither the one last seen nor one of ours on its way."""
    if column not in before.values or before.values[column] == sent.link.seen.get(column):
        return False
    ours = [sent.write.values[column], *(i.values[column] for i in others if column in i.values)]
    return not any(same(before.values[column], value) for value in ours)


def _without_a_winner(mapping: ObjectMapping, column: str, sent: Sending, x: Value) -> trail.Line | None:
    """The line of a field about which no policy is asked: what is GPTWeb's alone, and references."""
    mapped, value = mapping.by_ours[column], sent.write.values[column]
    if mapped.direction == "out":
        return _line("gptweb_owns", "restored", sent, "theirs", column, x, value)
    if mapped.references:
        detail = "GPTWeb's reference stands, whatever the policy (both are ids of the CRM)"
        return _line("slipped_in_reference", "overruled", sent, "theirs", column, x, value, detail)
    return None


def _winner(
    mapping: ObjectMapping, context: Context, column: str, sent: Sending, before: Image, link: Link, ours: OurRecord | None,
    intent: Intent,
) -> tuple[Side, str, str]:  # fmt: skip
    """Who wins the field, by which rule, and why."""
    policy = mapping.by_ours[column].policy or mapping.policy or context.rules.policy
    if context.rules.direction == "push":
        policy = "gptweb_wins"
    elif sent.change.rules.get(column) == "filled_blank":
        policy = "crm_wins"  # it was to fill a blank that is none any more
    # What ours holds by now is what theirs would overwrite.
    edited = ours.time_of(column) if ours else intent.times[column]
    return conflict_winner(policy, context.rules.clock, edited, link.seen_stamp, before.stamp)


def _unseen(sent: Sending, answer: Written, column: str) -> trail.Line:
    """The reply did not show the record as it was before our write."""
    since = f"{sent.link.seen_stamp:%Y-%m-%d %H:%M:%S} UTC" if sent.link.seen_stamp else "it was made"
    return trail.Line(
        "before_unknown", "unseen_window", our_id=sent.link.our_id, their_id=answer.id, side="theirs", field=column,
        after=sent.intent.values[column], detail=f"a value typed there since {since} may have been overwritten unseen; "
        "field history tracking, if on, shows it",
    )  # fmt: skip


def _line(
    rule: str, outcome: Outcome, sent: Sending, side: Side, column: str, before: Value, after: Value,
    detail: str | None = None,
) -> trail.Line:  # fmt: skip
    words = "an edit made in the CRM between our read and our write"
    return trail.Line(
        rule, outcome, our_id=sent.link.our_id, their_id=sent.link.their_id, side=side, field=column, before=before,
        after=after, base=sent.link.base_theirs.get(column, ...), detail=f"{words}; {detail}" if detail else words,
    )  # fmt: skip
