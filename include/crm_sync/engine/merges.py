"""Merges in the CRM: the link follows the record that survives, before anything is decided about strangers.

A merge is never a delete.  The base is kept: where nobody edited here, what the merging person chose is pulled, and an
unsent edit of ours meets a normal conflict (algorithm.md 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import same
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.reports import Tally
from crm_sync.ledger import existence, former, links, merges, parking, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.links import Pair
from crm_sync.ledger.merges import End, Winner
from crm_sync.model import Link, Row, Side, Value, Write
from crm_sync.stores.database import DatabaseStore

__all__ = ["follow_merges", "relinked"]

MERGED = "merged"
TWIN = "merged_twin"


def follow_merges(engine: Engine, context: Context, tally: Tally) -> None:
    """Follow every merge whose survivor was read; accounts before contacts, one transaction an object."""
    with engine.database.transaction() as tx:
        found = merges.unfollowed(tx, context.name)
    for mapping in context.objects:
        merged = {link_id: winner for object, link_id, winner in found if object == mapping.object}
        if merged:
            with engine.database.transaction() as tx:
                tally.add(mapping.object, "merges followed", _follow(tx, engine, context, mapping, merged))


def _follow(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, merged: dict[int, str]
) -> int:
    now = engine.now()
    # Locked in order of link id, losers and winners together; only then are the ends looked up for good.
    ends = {
        link_id: merges.end_of(tx, context.name, mapping, link_id, winner)
        for link_id, winner in merged.items()
    }
    wanted = sorted({*merged, *(end.link_id for end in ends.values() if end.kind == "link")})
    pairs = {pair[0].link_id: pair for pair in links.pairs(tx, mapping, wanted, lock=True)}
    followed = 0
    for link_id in sorted(merged):
        link = pairs[link_id][0]
        if link.merged_into is None or link.reread or link.claimed_by_another(context.run_id, now):
            continue
        end = merges.end_of(tx, context.name, mapping, link_id, link.merged_into)
        passed = [merges.winner(tx, context.name, mapping, their_id) for their_id in end.passed]
        if end.kind == "stray" or (end.kind == "link" and end.link_id in pairs):
            heir = pairs[link_id if end.kind == "stray" else end.link_id]
            if not _inherit(tx, context, mapping, pairs[link_id], heir, passed):
                continue
        if end.kind == "stray":
            _relink(tx, context, mapping, link, end, passed)
        elif end.link_id == link_id:
            # It was merged into a record that it had been before: that one is read once more, and then taken.
            merges.forget_former(tx, context.name, mapping, end.their_id)
        elif end.kind == "link" and end.link_id in pairs:
            _end(tx, context, mapping, pairs[link_id], pairs[end.link_id][0], passed)
        followed += end.kind != "waiting"
    return followed


def _inherit(
    tx: Transaction, context: Context, mapping: ObjectMapping, loser: Pair, heir: Pair, passed: Sequence[Winner]
) -> bool:  # fmt: skip
    """A merge takes no opt-out back: that of the merged record is our record's that goes on, and travels from there.

    False when this run may not write it: then a later one follows the merge.
    """
    (link, _), (_, ours) = loser, heir
    if ours is None or ours.deleted or context.standing.direction == "push":
        return True
    left = [c for c in _opt_outs(mapping, loser, passed) if not ours.values.get(c)]
    if not left:
        return True
    if context.run.dry_run or context.rules.direction == "push":
        return False
    stamp = link.seen_stamp or ours.created_at
    values = dict.fromkeys(left, True)
    times = dict.fromkeys(left, stamp - context.rules.clock.offset)
    DatabaseStore(tx, context.mappings).write(
        mapping.object, [Write(ours.id, ours.id, "", values, times=times)], 0.0
    )
    trail.note(tx, context.run_id, context.name, mapping.object, [
        trail.Line(
            "opt_out_wins", "overruled", our_id=ours.id, their_id=link.their_id, side="ours", field=column, before=False,
            after=True, detail="the record that was merged away had opted out, and that wins whatever the policy",
        )
        for column in left
    ])  # fmt: skip
    return True


def _opt_outs(mapping: ObjectMapping, loser: Pair, passed: Sequence[Winner]) -> Iterator[str]:
    """What the person of a merged record has opted out of, there or in one between, unless ours has taken it back since."""
    link, ours = loser
    for mapped in mapping.fields:
        name = mapped.ours
        held = ours.values.get(name) if ours else None
        unread = link.seen.get(name) and not link.base_theirs.get(name)
        if mapped.opts_out and (held or unread or any(between.values.get(name) for between in passed)):
            yield name


def _relink(
    tx: Transaction, context: Context, mapping: ObjectMapping, link: Link, end: End, passed: Sequence[Winner]
) -> None:  # fmt: skip
    """The survivor was a stranger: the same link goes on with it."""
    winner = merges.winner(tx, context.name, mapping, end.their_id)
    after = relinked(mapping, link, end.their_id, winner)
    former.keep(tx, context.name, mapping, [link], {}, MERGED)
    merges.drop_winner(tx, context.name, mapping, end.their_id)
    links.store(tx, mapping, [(after, True)])
    existence.store(tx, [after])
    parking.lift_linked(tx, context.name, mapping.object, [], [end.their_id])
    detail = f"their record {link.their_id} was merged into {end.their_id}; the link follows"
    line = trail.Line(
        MERGED, "noted", our_id=link.our_id, their_id=end.their_id, side="theirs", detail=detail
    )
    trail.note(tx, context.run_id, context.name, mapping.object, [
        line, *_unread(mapping, link, winner), *_between(mapping, link, passed, winner.values)
    ])  # fmt: skip
    twins = [] if winner.gone else merges.twins_of(tx, context.name, mapping, link.link_id)
    if twins:
        # Both sides made the same person, and one of the two was merged: nobody else would ever look (docs/adr).
        cause = f"it was merged into a record that shares its {' or '.join(mapping.match)} with the counterpart of {', '.join(twins)}"
        remedy = "merge the two records in the CRM, or give one of them another key"
        refusal = parking.Refusal(
            mapping.object, "ours", TWIN, cause, remedy, our_id=link.our_id, their_id=end.their_id
        )
        parking.park(tx, context.run_id, context.name, [refusal])


def relinked(mapping: ObjectMapping, link: Link, their_id: str, winner: Winner) -> Link:
    """The link on the surviving record.  Its blanks are no clears: what was agreed on there is filled from ours.

    Nor is its consent a person's answer to an opt-out of ours: that is compared as at a first link.
    """
    blank = {c for c, v in winner.values.items() if v is None}
    consent = {mapped.ours for mapped in mapping.fields if mapped.opts_out}
    return replace(
        link, their_id=their_id, state="live", keyed=winner.our_id == link.our_id,
        their_alive=not winner.gone or winner.converted_to is not None,
        merged_into=None, converted_to=winner.converted_to, withdrawn=False, seen=winner.values, seen_lo={}, seen_hi={},
        seen_stamp=winner.stamp, seen_recv=winner.recv, spelling_of=None,
        base_ours={c: v for c, v in link.base_ours.items() if c not in consent},
        base_theirs={c: v for c, v in link.base_theirs.items() if c not in blank | consent},
    )  # fmt: skip


def _unread(mapping: ObjectMapping, link: Link, winner: Winner) -> Iterator[trail.Line]:
    """Edits of the merged record that no run had carried over, and that the survivor does not show."""
    for mapped in mapping.fields:
        name = mapped.ours
        shown, survives = link.seen.get(name), winner.values.get(name)
        if (
            mapped.direction != "out"
            and not mapped.opts_out
            and name in link.seen
            and shown != link.base_theirs.get(name)
            and not same(shown, survives)
        ):
            yield _overruled(
                link, "theirs", name, shown, survives, "an edit of the merged record that had not travelled"
            )


def _between(
    mapping: ObjectMapping, link: Link, passed: Sequence[Winner], survives: Row
) -> Iterator[trail.Line]:
    """What only the records showed into which it was merged, and which were merged away before they were followed."""
    for between in passed:
        for mapped in mapping.fields:
            name = mapped.ours
            shown = between.values.get(name)
            known = (None, survives.get(name), link.seen.get(name), link.base_theirs.get(name))
            if (
                mapped.direction == "out"
                or mapped.opts_out
                or mapped.references
                or any(same(shown, v) for v in known)
            ):
                continue
            why = "a record that it was merged into, and that was merged in turn, showed it"
            yield _overruled(link, "theirs", name, shown, survives.get(name), why)


def _end(
    tx: Transaction, context: Context, mapping: ObjectMapping, loser: Pair, survivor: Link, passed: Sequence[Winner]
) -> None:  # fmt: skip
    """The survivor is linked to another record of ours: this link ends, and ours is left to a person, not archived."""
    link, ours = loser
    merges.set_successor(tx, context.name, mapping, [(link, survivor)])
    lines = [
        trail.Line(
            MERGED, "noted", our_id=link.our_id, their_id=link.their_id, side="theirs",
            detail=f"their record was merged into {survivor.their_id}, the counterpart of {survivor.our_id}",
        )
    ]  # fmt: skip
    for mapped in mapping.fields:
        name = mapped.ours
        kept = survivor.seen.get(name)
        held = ours.values.get(name) if ours else None
        if mapped.direction == "out" or mapped.references:
            continue
        if ours is not None and not same(held, kept):
            lines.append(
                _overruled(link, "ours", name, held, kept, "the survivor of the merge has another value")
            )
        if name in link.seen and not same(link.seen[name], kept) and not same(link.seen[name], held):
            lines.append(
                _overruled(
                    link, "theirs", name, link.seen[name], kept, "the survivor of the merge has another value"
                )
            )
    lines += _between(mapping, link, passed, survivor.seen)
    trail.note(tx, context.run_id, context.name, mapping.object, lines)
    if ours is not None and not ours.deleted:
        cause = f"its counterpart was merged into that of {survivor.our_id}; GPTWeb still has both"
        remedy = f"merge the two in GPTWeb: what is worth keeping goes to {survivor.our_id}, then delete {link.our_id}"
        parking.park(tx, context.run_id, context.name, [
            parking.Refusal(mapping.object, "theirs", MERGED, cause, remedy, link.link_id, link.our_id, link.their_id)
        ])  # fmt: skip


def _overruled(link: Link, side: Side, name: str, lost: Value, kept: Value, why: str) -> trail.Line:
    return trail.Line(
        MERGED, "overruled", our_id=link.our_id, their_id=link.their_id, side=side, field=name, before=lost, after=kept,
        base=link.base_theirs.get(name, ...), detail=why,
    )  # fmt: skip
