"""Compare: read both sides completely and say where they differ; then, if asked, hand what differs to the sync's own plan.

A reconciliation writes no record.  What it heals it makes known to the sync: images that differ are observed like any
read, links and records of ours become work; the plan and the pushes that follow in its run are those of every run.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from crm_sync.decide.compare import Finding, Pair, judge_pair, judge_unlinked, seen_now
from crm_sync.decide.drift import SAMPLES, Drift
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.scope import admits
from crm_sync.decide.side_by_side import ordered_merge
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.heal import heal
from crm_sync.engine.pull import compared, under_way
from crm_sync.errors import IncompleteRead
from crm_sync.ledger import comparison, cursor, healing, links, query_jobs, reading, reconciliation, runs
from crm_sync.ledger.comparison import CHUNK, OurRow, TheirRow
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.parents import load_parents
from crm_sync.ledger.query_jobs import Begun
from crm_sync.model import ChangedSince, Object

__all__ = ["CompareReport", "compare"]

Suspect = tuple[TheirRow | None, OurRow | None]


@dataclass(frozen=True, slots=True)
class CompareReport:
    """The verdict and the sums of one reconciliation; ``healing``: how many records the run goes on to heal."""

    run_id: int
    drift: Drift
    healing: int

    @property
    def counts(self) -> dict[str, int]:
        """The sums by cause."""
        return self.drift.counts() | {"healing": self.healing}

    def lines(self) -> list[str]:
        """The verdict first, then the sums."""
        return self.drift.lines()


def compare(engine: Engine, context: Context) -> CompareReport:
    """Read, compare, hand over what is to be healed, and keep the report."""
    began = time.monotonic()
    numbers = _read(engine, context)
    drift = Drift()
    with engine.database.transaction() as tx:
        comparison.freeze(tx)
        for mapping in context.objects:
            _compare(tx, context, mapping, numbers[mapping.object], drift)
    handed_over = heal(engine, context, numbers, drift)
    with engine.database.transaction() as tx:
        for mapping in context.objects:
            query_jobs.done(tx, context.run_id, mapping.object)
        reconciliation.keep(tx, context.run, drift, handed_over, time.monotonic() - began)
    return CompareReport(context.run_id, drift, handed_over)


def _read(engine: Engine, context: Context) -> dict[Object, int]:
    """Lay all of theirs aside, deleted ones too as far as they come along; returns the number of each object's read.

    A read that was left while its query job works is gone on with by another try, and dated by the one that made the job.
    """
    with engine.database.transaction() as tx:
        comparison.clear(tx)
        earlier = under_way(tx, context)
        sent_no = reading.next_number(tx)
    began = engine.now()
    numbers = {
        m.object: earlier[m.object].sent_no if m.object in earlier else sent_no for m in context.objects
    }
    jobs = {object: read.job for object, read in earlier.items()}
    reads = [ChangedSince(m.object, job=jobs.get(m.object, "")) for m in context.objects]
    closed = set()
    first = True
    for page in engine.open_store(context.connection, context.run).read(reads):
        mapping = context.mappings[page.read.object]
        with engine.database.transaction() as tx:
            if page.job != jobs.get(mapping.object, ""):
                jobs[mapping.object], numbers[mapping.object] = page.job, sent_no
                asked = Begun(page.job, query_jobs.digest_of(mapping), sent_no, began, page.read_start)
                query_jobs.keep(tx, context.run_id, mapping.object, asked)
            comparison.keep(tx, context.name, mapping, page.images)
            if first:
                runs.set_clock(tx, context.run_id, compared(tx, page.clock))
        first = False
        if page.last:
            closed.add(page.read)
    if closed != set(reads):
        raise IncompleteRead("a read of a whole object did not come to its end; the comparison begins again")
    return numbers


def _compare(tx: Transaction, context: Context, mapping: ObjectMapping, sent_no: int, drift: Drift) -> None:
    """One object: what is shown to be equal is only counted, all else is looked at by the chunk."""
    suspects: list[Suspect] = []
    equal = 0
    for theirs, ours in ordered_merge(
        comparison.their_rows(tx, mapping),
        comparison.our_rows(tx, context.name, mapping, context.standing.direction),
        lambda row: row.their_id,
        lambda row: row.their_id,
    ):
        if theirs and ours and ours.sound and theirs.digest == ours.digest:
            equal += 1
            continue
        suspects.append((theirs, ours))
        if len(suspects) == CHUNK:
            _keep(tx, mapping, drift, _judge(tx, context, mapping, sent_no, suspects))
            suspects = []
    _keep(tx, mapping, drift, _judge(tx, context, mapping, sent_no, suspects))
    drift.in_step(mapping.object, equal)
    for chunk in _our_strangers(tx, context, mapping):
        _keep(tx, mapping, drift, chunk)
    for side in ("ours", "theirs"):
        drift.twins[mapping.object, side] = comparison.twins(tx, mapping, side, SAMPLES)


def _keep(tx: Transaction, mapping: ObjectMapping, drift: Drift, findings: Sequence[Finding]) -> None:
    drift.add(mapping.object, findings)
    healing.note(tx, mapping.object, [f for f in findings if f.cause != "in_step"])


def _judge(
    tx: Transaction, context: Context, mapping: ObjectMapping, sent_no: int, suspects: Sequence[Suspect]
) -> list[Finding]:  # fmt: skip
    linked = {ours.link_id: theirs for theirs, ours in suspects if ours}
    strangers = [theirs.their_id for theirs, ours in suspects if theirs and not ours]
    return [
        *_judge_pairs(tx, context, mapping, sent_no, linked),
        *_their_strangers(tx, context, mapping, strangers),
    ]


def _judge_pairs(
    tx: Transaction, context: Context, mapping: ObjectMapping, sent_no: int, suspects: dict[int, TheirRow | None]
) -> Iterator[Finding]:  # fmt: skip
    found = links.pairs(tx, mapping, list(suspects), lock=False)
    images = comparison.images_of(tx, mapping, [row.their_id for row in suspects.values() if row])
    position = cursor.position(tx, context.name, mapping.object)
    known = comparison.known(tx, context.name, mapping, list(suspects), position)
    pairs = []
    for link, ours in found:
        # What was linked or read after our read had begun may well be there: its own read says so.
        absent = suspects[link.link_id] is None and link.seen_recv < sent_no
        image = images.get(link.their_id or "")
        now = seen_now(mapping, link, image, sent_no)
        pairs.append(Pair(link, now, ours, image, absent, known[link.link_id]))
    parents = load_parents(tx, context.name, mapping, [(pair.now, pair.ours) for pair in pairs])
    for pair in pairs:
        yield judge_pair(mapping, context.standing, pair, parents)


def _their_strangers(
    tx: Transaction, context: Context, mapping: ObjectMapping, their_ids: Sequence[str]
) -> Iterator[Finding]:
    if not their_ids:
        return
    images = comparison.images_of(tx, mapping, their_ids)
    known = comparison.their_strangers(tx, context.name, mapping, their_ids)
    position = cursor.position(tx, context.name, mapping.object)
    made = context.settings.creates(mapping.object) and context.standing.direction != "push"
    conditions = context.settings.scope_of(mapping.object).theirs
    for their_id in their_ids:
        image = images.get(their_id)
        if image is None:  # it was linked when it was read, and known: whoever parted it is at it
            yield judge_unlinked(
                "theirs", their_id, wanted=False, held_back=False, waiting=False, in_doubt=True
            )
            continue
        held_back, met, taken = known[their_id]
        lives = image.fate is False
        wanted = lives and (taken or (made and admits(mapping, "theirs", conditions, image.values)))
        will_read = position is not None and image.stamp >= position
        yield judge_unlinked(
            "theirs", their_id, wanted=wanted, held_back=lives and held_back, waiting=met or will_read
        )


def _our_strangers(tx: Transaction, context: Context, mapping: ObjectMapping) -> Iterator[list[Finding]]:
    made = context.settings.creates(mapping.object) and context.standing.direction != "pull"
    conditions = context.settings.scope_of(mapping.object).ours
    chunk: list[Finding] = []
    for our_id, held_back, met, in_doubt, values in comparison.our_strangers(tx, context.name, mapping):
        wanted = made and admits(mapping, "ours", conditions, values)
        found = judge_unlinked(
            "ours", our_id, wanted=wanted, held_back=held_back, waiting=met, in_doubt=in_doubt
        )
        chunk.append(found)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    yield chunk
