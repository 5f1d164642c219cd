"""What one answered row means: the base it leaves, an edit that slipped in, a refusal that is parked or tried again.

Nothing is stored here: everything is collected in ``Work``, and ``keep`` stores it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY, conflict_winner
from crm_sync.decide.observe import observe
from crm_sync.decide.values import same
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context
from crm_sync.ledger import parking, trail
from crm_sync.model import Failure, Image, Intent, Link, OurRecord, Outcome, Row, Side, Value, Write, Written

__all__ = ["Kept", "Work", "refused", "written"]

REFERENCE_REFUSED = (
    "It is read again; if it is there, share it with the integration user or refer to another: the reference is tried "
    "again by itself."
)


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
        x, value = before.values.get(column), sent.write.values[column]
        known = [
            sent.change.before.get(column),
            value,
            *(i.values.get(column) for i in others if column in i.values),
        ]
        if (
            column not in before.values
            or x == sent.link.seen.get(column)
            or any(same(x, k) for k in known[1:])
        ):
            continue
        mapped = work.mapping.by_ours[column]
        if mapped.direction == "out":
            work.lines.append(_line("gptweb_owns", "restored", sent, "theirs", column, x, value))
            continue
        if mapped.references:
            detail = "GPTWeb's reference stands, whatever the policy (both are ids of the CRM)"
            work.lines.append(
                _line("slipped_in_reference", "overruled", sent, "theirs", column, x, value, detail)
            )
            continue
        policy = mapped.policy or work.mapping.policy or context.rules.policy
        if context.rules.direction == "push":
            policy = "gptweb_wins"
        elif sent.change.rules.get(column) == "filled_blank":
            policy = "crm_wins"  # it was to fill a blank that is none any more
        # What ours holds by now is what theirs would overwrite.
        edited = ours.time_of(column) if ours else intent.times[column]
        winner, rule, detail = conflict_winner(
            policy, context.rules.clock, edited, link.seen_stamp, before.stamp
        )
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


def refused(work: Work, sent: Sending, answer: Written, link: Link) -> None:
    """Sort a refused row by what to do next: ask whether it exists, try again, or park what was refused.

    What it refers to is read again before the next try (algorithm.md 6.3).  If that is there and refused all the same, the
    record goes without it, and the reference is tried again at growing distances, not in every run.
    """
    failures = answer.failures
    words = "; ".join(f"{f.code}: {f.message}" for f in failures)
    gone = any(f.kind == "gone" for f in failures)
    # What was there in the same call, just before, is not gone: reading it once more would teach nothing.
    unseen = gone and (answer.before is None or bool(answer.before.fate))
    reference = _refused_reference(work, sent, failures)
    if reference is not None and link.link_id in work.asked:
        _park(work, sent, failures, link, words, transient=True, reference=reference)
    elif unseen or reference is not None:
        # Only a read of deleted rows proves a delete (algorithm.md 6.1.4): nothing is decided on this answer.
        if unseen:
            work.stored.append((replace(link, reread=True), None))
        if reference is not None:
            work.parents.append(str(sent.write.values[reference]))
            work.refusals.append(_reference_refused(sent, failures[0], link, reference, held=False))
        what = "the record" if reference is None else "what it refers to"
        _supersede(work, sent, link, f"{words}; {what} is read again")
    elif gone or any(f.kind == "transient" for f in failures):
        if work.last:
            _park(work, sent, failures, link, words, transient=True)
        else:
            _supersede(work, sent, link, f"tried again in this run: {words}")
            _again(work, sent, link)
            work.again.postponed = True
    else:
        _park(work, sent, failures, link, words)


def _supersede(work: Work, sent: Sending, link: Link, detail: str) -> None:
    work.outcomes.append(
        (sent.change.change_id, "superseded", tuple(sent.intent.values), link.their_id, detail)
    )


def _refused_reference(work: Work, sent: Sending, failures: Sequence[Failure]) -> str | None:
    """The reference, if the record may have been refused for what it refers to."""
    reference = work.mapping.reference
    if reference is None or sent.write.values.get(reference.ours) is None:
        return None
    column = reference.ours
    why = any(f.kind == "gone" or (f.kind == "transient" and column in f.fields) for f in failures)
    return column if why else None


def _reference_refused(
    sent: Sending, cause: Failure, link: Link, reference: str, *, held: bool
) -> parking.Refusal:
    return parking.Refusal(
        link.object, "theirs", cause.code, cause.message, REFERENCE_REFUSED, link.link_id, link.our_id, link.their_id,
        reference, sent.intent.values[reference], transient=True, held=held,
    )  # fmt: skip


def _park(
    work: Work, sent: Sending, failures: Sequence[Failure], link: Link, words: str, *, transient: bool = False,
    reference: str | None = None,
) -> None:  # fmt: skip
    named = set() if transient else {column for f in failures for column in f.fields}
    if reference is not None:
        named = {reference}
    refused = [c for c in sent.intent.values if c in named]
    whole = not refused or (sent.intent.creates and not named <= set(sent.intent.values))
    cause = failures[0]
    remedy = " ".join(dict.fromkeys(f.remedy for f in failures if f.remedy))
    rest = [] if whole else [c for c in sent.intent.values if c not in refused]
    parked = [c for c in sent.intent.values if c not in rest]
    detail = f"{'busy: ' if transient else ''}{words}. {remedy}"
    work.outcomes.append((sent.change.change_id, "parked", parked, link.their_id, detail))
    if rest:
        work.outcomes.append(
            (sent.change.change_id, "superseded", rest, link.their_id, "sent again without what was refused")
        )
        _again(work, sent, link)
    shared: dict[str, Any] = {
        "link_id": link.link_id, "our_id": link.our_id, "their_id": link.their_id, "transient": transient,
    }  # fmt: skip
    if whole and sent.intent.creates:
        work.refusals.append(
            parking.Refusal(
                link.object, "theirs", cause.code, words, remedy, **shared, our_version=sent.ours.version
            )
        )
        return
    if reference is not None:
        work.refusals.append(_reference_refused(sent, cause, link, reference, held=True))
        return
    for column in parked:
        why = next((f for f in failures if column in f.fields), cause)
        work.refusals.append(parking.Refusal(
            link.object, "theirs", why.code, why.message, why.remedy, **shared, field=column,
            value=sent.intent.values[column], our_version=sent.ours.version if whole or column == KEY else None,
        ))  # fmt: skip


def _again(work: Work, sent: Sending, link: Link) -> None:
    if link.their_id is None:
        work.again.creates.add(link.our_id)
    else:
        work.again.links.add(link.link_id)
