"""Converted leads: the lead's link ends, ours is archived, and the person goes on as the contact (algorithm.md 6.4).

Planned before strangers are identified, because the new contact is nobody's stranger; carried out with what our side gets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from crm_sync.decide.conversion import carry, edited_at, fill
from crm_sync.decide.existence import EXISTS, lives, lost_values
from crm_sync.decide.match import Ambiguous, Match, Verdict, judge
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.keep import settle_links
from crm_sync.engine.reports import Tally
from crm_sync.ledger import conversions, existence, identity, linking, links, merges, parking, trail
from crm_sync.ledger.database import Transaction
from crm_sync.model import Failure, Link, OurRecord, Outcome, Write
from crm_sync.stores.database import DatabaseStore

__all__ = ["convert_ours", "plan_conversions", "tell_unread"]

CONVERTED = "converted"
SUPERSEDED = "the conversion can't be followed any more as it was planned; the next run decides anew"


class _RefusedError(Exception):
    """Our database takes no such contact."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def plan_conversions(engine: Engine, context: Context, tally: Tally) -> frozenset[str]:
    """Plan what converted leads become; answers the strangers among their contacts, who are left to the conversion."""
    with engine.database.transaction() as tx:
        found = dict(conversions.unfollowed(tx, context.name))
        if not found:
            return frozenset()
        contact, lead = context.mappings["contact"], context.mappings["lead"]
        # The contact may have been merged since; it is the survivor then.
        ends = {i: merges.end_of(tx, context.name, contact, 0, became) for i, became in found.items()}
        conversions.lift_unread(tx, [i for i, end in ends.items() if end.kind != "waiting"])
        strangers = {end.their_id for end in ends.values() if end.kind == "stray"}
        verdicts = _verdicts(tx, context, strangers)
        gone = conversions.deleted(tx, context.name, sorted(strangers))
        # Who could be several of ours is left to a person like any stranger; the conversion waits for the answer.
        expected = frozenset(c for c, verdict in verdicts.items() if not isinstance(verdict, Ambiguous))
        changes = []
        if "lead" in context.run.objects:
            ready = [i for i, end in ends.items() if end.kind == "link" or end.their_id in expected | gone]
            nobody = {i for i, end in ends.items() if end.their_id in gone}
            changes = _plan(tx, engine, context, ready, nobody)
        trail.plan(tx, context.run_id, context.name, changes)
        tally.add(lead.object, "convert in GPTWeb", len(changes))
    return expected


def tell_unread(tx: Transaction, context: Context, absent: Collection[str]) -> None:
    """Park a line for each lead whose contact was asked for and did not come; it holds nothing back.

    The contact is asked for in every run, at no further cost, and the lead goes on as it once it shows up.
    """
    contact, lead = context.mappings["contact"], context.mappings["lead"]
    found = conversions.unfollowed(tx, context.name)
    ends = {i: merges.end_of(tx, context.name, contact, 0, became) for i, became in found}
    unread = {i: end.their_id for i, end in ends.items() if end.kind == "waiting" and end.their_id in absent}
    waiting = [
        (link, unread[link.link_id])
        for link, ours in links.pairs(tx, lead, list(unread), lock=False)
        if lives(ours)
    ]
    parking.keep(
        tx, context.run_id, context.name, lead.object, [_unread(link, contact_id) for link, contact_id in waiting],
        [link.our_id for link, _ in waiting], "our_id", conversions.UNREAD,
    )  # fmt: skip


def _unread(link: Link, contact_id: str) -> parking.Refusal:
    return parking.Refusal(
        link.object, "ours", conversions.UNREAD,
        f"it was converted into contact {contact_id}, which the integration user can't read: out of sight, or purged",
        "Let the integration user read that contact, and GPTWeb's lead goes on as it by itself; if it is purged, delete "
        "GPTWeb's lead.", link.link_id, link.our_id, link.their_id, held=False,
    )  # fmt: skip


def _plan(
    tx: Transaction, engine: Engine, context: Context, link_ids: Sequence[int], nobody: Collection[int]
) -> list[trail.Change]:
    """The changes; where our side must not be written only the link ends.  ``nobody`` goes on for these: see ``_nobody_left``."""
    lead = context.mappings["lead"]
    now = engine.now()
    pairs = [
        p
        for p in links.pairs(tx, lead, link_ids, lock=True)
        if not p[0].claimed_by_another(context.run_id, now)
        and p[0].parked.get(("ours", EXISTS)) != p[0].converted_to
    ]
    left = pairs if context.standing.direction == "push" or not context.settings.creates("contact") else []
    if not left and context.rules.their_delete == "keep":
        left = [pair for pair in pairs if pair[0].link_id in nobody]
    conversions.end(tx, [(link, None) for link, _ in left])
    trail.note(tx, context.run_id, context.name, lead.object, [
        _line(link, "GPTWeb's lead stays as it is") for link, _ in left
    ])  # fmt: skip
    if context.rules.direction == "push":
        return []
    return [
        trail.Change(
            lead.object, "ours", "convert", link.link_id, link.our_id, link.their_id,
            {EXISTS: ours is not None and not ours.deleted}, {EXISTS: False}, {}, {EXISTS: CONVERTED},
        )
        for link, ours in pairs if (link, ours) not in left
    ]  # fmt: skip


def _verdicts(tx: Transaction, context: Context, their_ids: set[str]) -> Mapping[str, Verdict]:
    found = identity.strays_of(tx, context.name, context.mappings["contact"], sorted(their_ids))
    return {stray.their_id: stray.keyed_to or judge(stray.levels, "theirs") for stray in found}


def convert_ours(
    tx: Transaction, engine: Engine, context: Context, changes: Sequence[trail.Change]
) -> list[trail.OutcomeRow]:
    """Carry out planned conversions, one after the other: several leads may have become one contact."""
    now = engine.now()
    lead = context.mappings["lead"]
    outcomes: list[trail.OutcomeRow] = []
    ended: list[tuple[Link, str | None]] = []
    refusals: list[parking.Refusal] = []
    found = {
        pair[0].link_id: pair for pair in links.pairs(tx, lead, [c.link_id or 0 for c in changes], lock=True)
    }
    for change in changes:
        link, ours = found.get(change.link_id or 0, (None, None))
        successor: str | None = None
        outcome: Outcome = "superseded"
        detail = SUPERSEDED
        if link is not None and _stands(link) and not link.claimed_by_another(context.run_id, now):
            try:
                with tx.connection.transaction():
                    successor = _goes_on_as(tx, context, link, ours, now)
            except _RefusedError as error:
                refusals.append(_refusal(link, ours, error.failure))
                outcome, detail = "parked", f"{refusals[-1].cause}. {refusals[-1].remedy}"
            if successor is not None:
                ended.append((link, successor))
                outcome, detail = "acknowledged", f"it goes on as contact {successor}"
            elif outcome != "parked" and _nobody_left(tx, context, link, ours):
                ended.append((link, None))
                outcome, detail = "acknowledged", "the contact that it became was deleted there"
        outcomes.append((change.change_id, outcome, (EXISTS,), change.their_id, detail))
    parking.park(tx, context.run_id, context.name, refusals)
    parking.lift_written(tx, "ours", {link.link_id: (EXISTS,) for link, _ in ended})
    existence.archive(tx, lead, [link.our_id for link, _ in ended])
    kept = links.pairs(tx, lead, [link.link_id for link, _ in ended], lock=True)
    settle_links(tx, context, lead, [(replace(link, state="converted"), ours) for link, ours in kept])
    conversions.end(tx, ended)
    return outcomes


def _stands(link: Link) -> bool:
    return link.state in ("live", "gone") and not link.reread and link.converted_to is not None


def _refusal(link: Link, ours: OurRecord | None, failure: Failure) -> parking.Refusal:
    """It stands until our lead is another one, or the settings, or a person says so: the contact is made of our lead."""
    return parking.Refusal(
        link.object, "ours", failure.code, f"GPTWeb's database refuses the contact that it became: {failure.message}",
        failure.remedy, link.link_id, link.our_id, link.their_id, EXISTS, link.converted_to,
        our_version=ours.version if ours else None,
    )  # fmt: skip


def _goes_on_as(
    tx: Transaction, context: Context, link: Link, ours: OurRecord | None, now: datetime
) -> str | None:
    """The contact of ours that goes on for a lead: a known one, or a new one; None while nobody can say."""
    contact = context.mappings["contact"]
    end = merges.end_of(tx, context.name, contact, 0, str(link.converted_to))
    goes_on = end.link_id
    if end.kind != "link":
        verdict = _verdicts(tx, context, {end.their_id}).get(end.their_id)
        if verdict is None or isinstance(verdict, Ambiguous):
            return None
        if not isinstance(verdict, Match):
            return _make(tx, context, link, ours, end.their_id, now)
        (goes_on,) = linking.link_strays(tx, context.name, contact, [(verdict.id, end.their_id, CONVERTED)])
    ((known, held),) = links.pairs(tx, contact, [goes_on], lock=True)
    _fill(tx, context, link, ours, known, held)
    return known.our_id


def _nobody_left(tx: Transaction, context: Context, link: Link, ours: OurRecord | None) -> bool:
    """Whether their contact was deleted before it was anybody's here: ours is archived like that of a deleted lead."""
    end = merges.end_of(tx, context.name, context.mappings["contact"], 0, str(link.converted_to))
    if end.kind != "stray" or not conversions.deleted(tx, context.name, [end.their_id]):
        return False
    lead = context.mappings["lead"]
    trail.note(tx, context.run_id, context.name, lead.object, [
        trail.Line(
            CONVERTED, "overruled", our_id=link.our_id, their_id=link.their_id, side="theirs", field=column, before=theirs,
            after=held, detail="an edit of the lead that had not travelled; the contact that it became was deleted there",
        )
        for column, theirs, held in lost_values(lead, link, ours)
    ])  # fmt: skip
    return True


def _make(
    tx: Transaction, context: Context, link: Link, ours: OurRecord | None, their_id: str, now: datetime
) -> str:
    """A new contact with all that our lead holds, its unsent edits included."""
    lead, contact = context.mappings["lead"], context.mappings["contact"]
    our_id = str(uuid4())
    record = ours or OurRecord(link.our_id, 0, {}, {}, now)
    carried = carry(lead, contact, link, record)
    (link_id,) = linking.link_strays(tx, context.name, contact, [(our_id, their_id, CONVERTED)])
    conversions.set_base(tx, link_id, carried.base_ours, carried.base_theirs)
    _write(tx, context, Write(our_id, None, "", carried.values, times=edited_at(record, carried.values)))
    trail.note(tx, context.run_id, context.name, contact.object, [
        trail.Line(CONVERTED, "noted", our_id=our_id, their_id=their_id, side="ours", detail=f"made from lead {link.our_id}")
    ])  # fmt: skip
    return our_id


def _fill(
    tx: Transaction, context: Context, link: Link, ours: OurRecord | None, known: Link, held: OurRecord | None
) -> None:
    """A contact that we have already: its blanks are filled, an unsent edit of the lead that loses is recorded."""
    lead, contact = context.mappings["lead"], context.mappings["contact"]
    if ours is None or held is None:
        return
    filled = fill(lead, contact, link, ours, held.values)
    if filled.values and not held.deleted:
        _write(tx, context, Write(held.id, held.id, "", filled.values, times=edited_at(ours, filled.values)))
    trail.note(tx, context.run_id, context.name, lead.object, [
        trail.Line(
            CONVERTED, "overruled", our_id=link.our_id, their_id=link.their_id, side="ours", field=column, before=value,
            after=kept, detail=f"an unsent edit of the lead; contact {known.our_id}, which it became, has another value",
        )
        for column, value, kept in filled.lost
    ])  # fmt: skip


def _write(tx: Transaction, context: Context, write: Write) -> None:
    for failure in DatabaseStore(tx, context.mappings).write("contact", [write], 0.0)[0].failures:
        raise _RefusedError(failure)


def _line(link: Link, detail: str) -> trail.Line:
    return trail.Line(
        CONVERTED, "noted", our_id=link.our_id, their_id=link.their_id, side="theirs",
        detail=f"converted into contact {link.converted_to}; {detail}",
    )  # fmt: skip
