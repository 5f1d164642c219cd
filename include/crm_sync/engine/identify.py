"""Identity: who on the two sides is the same person or company, before anything is decided about their fields.

Our key on their record first, then the match keys; what is ambiguous is parked with its candidates and tried again by
every plan, so that parking lifts by itself (algorithm.md 1.4, 6.1.7-8).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.match import Ambiguous, Create, Match, Verdict, judge
from crm_sync.decide.merge import NO_PARENTS
from crm_sync.decide.scope import admits
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.reports import Tally
from crm_sync.ledger import creates, identity, linking, parking, setwise, trail, worklist
from crm_sync.ledger.canonical import has_plain_columns
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.ids import new_ids
from crm_sync.ledger.lanes import side_by_side
from crm_sync.ledger.parents import parents_of
from crm_sync.ledger.strays import values_of

__all__ = ["OUTSIDE", "creates_of", "identify_ours", "identify_theirs"]

CHUNK = 2000
SHOWN = 5  # candidates named to a person
OUTSIDE = "outside the scope"
DUPLICATE = "possible_duplicate"
REMEDY = "merge or correct the records, or give one of them another key; the next run tries again"


def identify_theirs(
    engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally, expected: Collection[str] = ()
) -> None:
    """Link, create or park every record of theirs that has no link yet, but those that a conversion ``expected``."""
    after = ""
    while True:
        with engine.database.transaction() as tx:
            strangers = identity.strangers(tx, context.run, mapping, after, CHUNK)
            new = [their_id for their_id, is_new in strangers if is_new and their_id not in expected]
            others = [their_id for their_id, is_new in strangers if not is_new and their_id not in expected]
            strays = identity.strays_of(tx, context.name, mapping, others, lock=False) if others else []
            _judge_strays(tx, context, mapping, strays, new, tally)
        if len(strangers) < CHUNK:
            return
        after = strangers[-1][0]


def _judge_strays(
    tx: Transaction, context: Context, mapping: ObjectMapping, strays: Sequence[identity.Stray], new: Sequence[str],
    tally: Tally,
) -> None:  # fmt: skip
    """Judge these strays; that nobody shares a key with the ``new`` ones is known."""
    matched: list[tuple[str, str, str]] = []
    parked: list[parking.Refusal] = []
    created = list(new) if context.rules.direction != "push" else []
    verdicts: list[tuple[identity.Stray, Verdict]] = [
        (s, s.keyed_to or judge(s.levels, "theirs")) for s in strays
    ]
    # Two of theirs may match one of ours, each by another key: the better key has it.
    claimed: dict[str, str] = {}
    for stray, verdict in sorted(verdicts, key=lambda judged: _preference(mapping, judged[1])):
        if isinstance(verdict, Match) and verdict.id in claimed:
            also = f"it matches by {verdict.column} what {claimed[verdict.id]} matches as well"
            parked.append(_refusal(mapping, Ambiguous(also, (verdict.id,)), None, stray.their_id))
        elif isinstance(verdict, Match):
            claimed[verdict.id] = stray.their_id
            matched.append((verdict.id, stray.their_id, verdict.column))
        elif isinstance(verdict, Ambiguous):
            parked.append(_refusal(mapping, verdict, None, stray.their_id))
        elif context.rules.direction != "push":
            created.append(stray.their_id)
    linking.link_strays(tx, context.name, mapping, matched)
    trail.note(tx, context.run_id, context.name, mapping.object, [
        trail.Line(f"first_match_{column}", "noted", our_id=our_id, their_id=their_id, detail=f"linked by {column}")
        for our_id, their_id, column in matched
    ])  # fmt: skip
    tally.add(mapping.object, "linked", len(matched))
    wanted = (
        _theirs_in_scope(tx, context, mapping, created, tally)
        if context.settings.creates(mapping.object)
        else []
    )
    wanted = sorted(wanted)[: worklist.room(tx, context.run, 0)]
    _plan_ours(tx, context, mapping, list(zip(new_ids(len(wanted)), wanted, strict=True)))
    tally.add(mapping.object, "create in GPTWeb", len(wanted))
    _park(tx, context, mapping, parked, [s.their_id for s in strays], "their_id", tally)


def _theirs_in_scope(
    tx: Transaction, context: Context, mapping: ObjectMapping, their_ids: list[str], tally: Tally
) -> list[str]:
    """Those strangers that the connection's scope lets in; the others stay strangers, and can still be matched."""
    conditions = context.settings.scope_of(mapping.object).theirs
    if not conditions:
        return their_ids
    held = values_of(tx, context.name, mapping, their_ids)
    chosen = [i for i in their_ids if i in held and admits(mapping, "theirs", conditions, held[i])]
    tally.add(mapping.object, OUTSIDE, len(their_ids) - len(chosen))
    return chosen


def _preference(mapping: ObjectMapping, verdict: Verdict) -> int:
    """Our key before the match columns, those in the mapping's order, anything else after them."""
    order = ("key", *mapping.match)
    return order.index(verdict.column) if isinstance(verdict, Match) else len(order)


def _plan_ours(tx: Transaction, context: Context, mapping: ObjectMapping, new: list[tuple[str, str]]) -> None:
    """Our records to be made of strangers: (our id, their id)."""
    if not new:
        return
    parents = NO_PARENTS
    if mapping.reference and mapping.reference.references:
        wanted = setwise.parents_of_strays(tx, context.name, mapping, [their_id for _, their_id in new])
        parents = parents_of(tx, context.name, mapping.reference.references, wanted, [], context.run_id)
    setwise.plan_ours(tx, context.run_id, context.name, mapping, new, parents.ours)
    if context.rules.direction == "bidirectional":
        # Our key goes into their record in the same run; the link is made by the create, so the claim looks it up.
        setwise.plan_keys(tx, context.run_id, context.name, mapping, new)


def identify_ours(engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally) -> None:
    """Create or park every record of ours in the outbox that has no link yet."""
    if _by_sets(engine, context, mapping):
        _identify_by_sets(engine, context, mapping, tally)
        return
    after: str | None = identity.FIRST_ID
    while after is not None:
        with engine.database.transaction() as tx:
            unlinked = identity.unlinked(tx, context.run, mapping, after, CHUNK, engine.now())
            after = unlinked[-1].our_id if len(unlinked) == CHUNK else None
            _judge_unlinked(tx, context, mapping, unlinked, tally)


def _identify_by_sets(engine: Engine, context: Context, mapping: ObjectMapping, tally: Tally) -> None:
    """The usual ones by one statement a chunk, two chunks at once; who is left is judged one by one."""

    def usual(tx: Transaction, span: tuple[str, str]) -> creates.Planned:
        return creates.plan(tx, context.run_id, context.name, mapping, *span)

    for _, (made, rest) in side_by_side(engine.database, _spans(engine, context, mapping), usual):
        tally.add(mapping.object, "create in the CRM", made)
        if rest:
            with engine.database.transaction() as tx:
                unlinked = identity.unlinked_of(tx, context.name, mapping, rest, engine.now())
                _judge_unlinked(tx, context, mapping, unlinked, tally)


def _spans(engine: Engine, context: Context, mapping: ObjectMapping) -> Iterator[tuple[str, str]]:
    """Chunks of the outbox: our ids after one until another."""
    after: str | None = identity.FIRST_ID
    while after is not None:
        with engine.database.transaction() as tx:
            until = creates.chunk_end(tx, context.name, mapping.object, after, CHUNK)
        if until is not None:
            yield after, until
        after = until


def _by_sets(engine: Engine, context: Context, mapping: ObjectMapping) -> bool:
    if not _chooses_none(context, mapping):
        return False
    with engine.database.transaction() as tx:
        return has_plain_columns(tx, mapping)


def _chooses_none(context: Context, mapping: ObjectMapping) -> bool:
    """Whether every record of ours that nobody there matches is to be created: the usual ones by one statement a chunk."""
    return (
        context.settings.creates(mapping.object)
        and context.rules.direction != "pull"
        and not context.settings.scope_of(mapping.object).ours
        and context.run.limit is None
        and context.run.kind != "backfill"
    )


def _judge_unlinked(
    tx: Transaction, context: Context, mapping: ObjectMapping, unlinked: list[identity.Unlinked], tally: Tally
) -> None:
    creates = context.settings.creates(mapping.object)
    may_create = creates and context.rules.direction != "pull"
    later = creates and context.standing.direction != "pull"
    parked: list[parking.Refusal] = []
    created: list[identity.Unlinked] = []
    done: list[tuple[str, int]] = []
    conditions = context.settings.scope_of(mapping.object).ours
    outside = 0
    for record in unlinked:
        verdict = judge(record.levels, "ours")
        if record.deleted or not (may_create or later):
            # Creation that is switched on later fills the outbox anew (replan.replan_if_changed).
            done.append((record.our_id, record.version))
        elif isinstance(verdict, Ambiguous):
            parked.append(_refusal(mapping, verdict, record.our_id, None))
        elif (
            isinstance(verdict, Create)
            and record.record
            and not admits(mapping, "ours", conditions, record.record.values)
        ):
            # Its next edit brings it back, and so does another scope.
            done.append((record.our_id, record.version))
            outside += 1
        elif may_create and isinstance(verdict, Create) and not record.refused:
            created.append(record)
    created = created[: worklist.room(tx, context.run, 0)]
    trail.plan(tx, context.run_id, context.name, creates_of(tx, context, mapping, created))
    tally.add(mapping.object, "create in the CRM", len(created))
    tally.add(mapping.object, OUTSIDE, outside)
    worklist.clear_outbox(tx, context.name, mapping.object, done)
    parking.lift_gone(tx, context.name, mapping.object, [u.our_id for u in unlinked if u.deleted])
    _park(tx, context, mapping, parked, [u.our_id for u in unlinked], "our_id", tally)


def creates_of(
    tx: Transaction, context: Context, mapping: ObjectMapping, records: Sequence[identity.Unlinked]
) -> list[trail.Change]:
    """The planned creation of these records there; a parent that this run creates counts as there."""
    parents = linking.parents_of_records(tx, context.name, mapping, records, context.run_id)
    refused = linking.refused_values(tx, records)
    changes = []
    for record in records:
        values = linking.wanted_values(mapping, record, parents, refused)
        changes.append(
            trail.Change(mapping.object, "theirs", "create", record.link_id, record.our_id, None, {}, values, {},
                         {trail.EVERY_FIELD: "new_in_gptweb"})
        )  # fmt: skip
    return changes


def _refusal(
    mapping: ObjectMapping, verdict: Ambiguous, our_id: str | None, their_id: str | None
) -> parking.Refusal:
    shown = ", ".join(verdict.candidates[:SHOWN]) + (", …" if len(verdict.candidates) > SHOWN else "")
    candidates = f"; candidates: {shown}" if shown else ""
    return parking.Refusal(
        mapping.object, "theirs" if our_id else "ours", DUPLICATE, f"{verdict.cause}{candidates}", REMEDY,
        our_id=our_id, their_id=their_id,
    )  # fmt: skip


def _park(
    tx: Transaction, context: Context, mapping: ObjectMapping, parked: list[parking.Refusal], judged: list[str],
    key: parking.Key, tally: Tally,
) -> None:  # fmt: skip
    new = parking.keep(tx, context.run_id, context.name, mapping.object, parked, judged, key, DUPLICATE)
    tally.add(mapping.object, "left to a person", new)
