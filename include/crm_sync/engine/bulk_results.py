"""T2 of a bulk job: every row's result is kept by the same rules as a batch's answers, some thousands a transaction.

Records that the job made are kept by one statement a chunk, two chunks at once (adr/0016); what that leaves, row by row.

What was claimed is loaded again from the ledger, so it makes no difference which process, or which run, stores the results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Literal, TypeVar

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.merge import KEY
from crm_sync.engine.answers import Kept
from crm_sync.engine.claim import Sending
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.keep import keep_answers
from crm_sync.engine.reports import Tally
from crm_sync.ledger import creates, jobs, parking, reading, trail
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.jobs import Job, Known
from crm_sync.ledger.lanes import side_by_side
from crm_sync.model import Image, Intent, Link, OurRecord, Write, Written
from crm_sync.ports import Jobs, JobState, RowResult

__all__ = ["keep_results"]

T = TypeVar("T")
CHUNK = 2_000
Kind = Literal["successful", "failed", "unprocessed"]
KINDS: tuple[Kind, ...] = ("successful", "failed", "unprocessed")
NONE = creates.Kept(0, 0)
MARKER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
STRANGER = -1
"""In place of the number of the read that a row was claimed by: its link and record have to be loaded anew."""


def keep_results(
    engine: Engine, context: Context, mapping: ObjectMapping, api: Jobs | None, job: Job, end: JobState | str,
    tally: Tally, *, last: bool,
) -> Kept:  # fmt: skip
    """Keep all results of a job that has ended; ``end`` is why there are none, if the CRM has forgotten it.

    What a failed or aborted job did not come to is left to the next run: somebody may have wanted it so.
    ``last``: the run tries none of it again.
    """
    again = Kept()
    if api is not None and not isinstance(end, str):
        for kind in KINDS:
            if not _has_rows(engine, job):
                break  # every row has its result
            chunks = _chunks(api.results(job.their_id or "", kind))
            for results, made in _made(engine, context, mapping, job, kind, chunks):
                tally.add(mapping.object, "acknowledged", made.fields)
                if made.rows == len(results):
                    continue
                with engine.database.transaction() as tx:
                    if jobs.hold(tx, job) is None:
                        return Kept()
                    if kind == "unprocessed" and not end.complete:
                        markers = [r.marker for r in results if MARKER.fullmatch(r.marker)]
                        count = jobs.postpone(
                            tx, job, context.run_id, markers, f"postponed: {_words(mapping, job, end)}"
                        )
                        tally.add(mapping.object, "superseded", count)
                        continue
                    again.add(_keep(tx, engine, context, mapping, job, results, end.at, tally, last=last))
    with engine.database.transaction() as tx:
        if (held := jobs.hold(tx, job)) is not None:
            _close(tx, engine, context, mapping, held, end)
    return again


def _has_rows(engine: Engine, job: Job) -> bool:
    with engine.database.transaction() as tx:
        return jobs.has_rows(tx, job)


def _made(
    engine: Engine, context: Context, mapping: ObjectMapping, job: Job, kind: Kind, chunks: Iterator[list[RowResult]]
) -> Iterator[tuple[list[RowResult], creates.Kept]]:  # fmt: skip
    """Keep the records that the job made, as far as nothing moved since the claim; the results, and how many that were."""

    def usual(tx: Transaction, results: list[RowResult]) -> creates.Kept:
        made = [creates.Sent(r.marker, r.made) for r in results if r.made and MARKER.fullmatch(r.marker)]
        if not made or jobs.hold(tx, job, shared=True) is None:
            return NONE
        carrier = _carrier(tx, context, job)
        return creates.keep(tx, context.name, mapping, job, made, reading.next_number(tx), carrier)

    if job.op == "create" and kind == "successful":
        return side_by_side(engine.database, chunks, usual)
    return ((results, NONE) for results in chunks)


def _carrier(tx: Transaction, context: Context, job: Job) -> trail.Carrier:
    calls = parking.calls_since(tx, context.run_id, job.opened_at) / max(1, job.rows)
    return trail.Carrier(f"job {job.their_id}", calls)


def _keep(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, job: Job, results: list[RowResult],
    done_by: datetime, tally: Tally, *, last: bool,
) -> Kept:  # fmt: skip
    by_marker = {result.marker: result for result in results if MARKER.fullmatch(result.marker)}
    known = jobs.known(tx, job, list(by_marker))
    sending = [_sending(mapping, row) for row in known]
    answers = [
        _shown(row, by_marker[row.intent_id].answer(sent.write, done_by))
        for row, sent in zip(known, sending, strict=True)
    ]
    sent_no = reading.next_number(tx)
    carrier = _carrier(tx, context, job)
    kept = keep_answers(
        tx, engine, context, mapping, sending, answers, sent_no, tally, last=last, carrier=carrier
    )
    jobs.rows_done(tx, [row.intent_id for row in known])
    return kept


def _sending(mapping: ObjectMapping, known: Known) -> Sending:
    """What was claimed, as much of it as T2 asks for."""
    creates = known.op == "create"
    values = {c: v for c, v in known.values.items() if c != KEY}
    reference = mapping.reference.ours if mapping.reference else KEY
    if values.get(reference) is not None:
        values[reference] = known.job.parent
    times = {column: datetime.fromisoformat(at) for column, at in known.times.items()}
    plain = creates or not values
    link = Link(
        known.link_id, mapping.object, known.our_id, known.their_id, "creating" if creates else "live",
        seen_recv=known.job.seen_recv if plain else STRANGER, seen_stamp=known.read_at, seen=known.expected,
        base_theirs=known.base,
    )  # fmt: skip
    held = {reference: known.our_id} if known.job.waits else {}  # only whether there is one matters
    ours = OurRecord(known.our_id, known.job.our_version, held, {}, known.sent_at)
    change = trail.Change(
        mapping.object, "theirs", known.op, known.link_id, known.our_id, known.their_id, known.before, known.values,
        known.base, {}, change_id=known.change_id,
    )  # fmt: skip
    intent = Intent(
        known.intent_id, known.change_id, 0, known.link_id, creates, known.values, times, known.expected,
        known.sent_at, known.read_at, known.claim_until, known.expires_at,
    )  # fmt: skip
    keyed = creates or KEY in known.values
    return Sending(
        change, link, ours, intent, Write(known.our_id, known.their_id, intent.id, values, stamp_key=keyed)
    )


def _shown(known: Known, answer: Written) -> Written:
    """The answer with what the look before the job showed; a record that was read since is read once more."""
    if answer.failures or known.op == "create":
        return answer
    if known.moved:
        return replace(answer, done_by=None)
    if known.seen is None or known.seen_stamp is None:
        return answer
    return replace(answer, before=Image(known.their_id or "", known.seen, known.seen_stamp))


def _close(
    tx: Transaction, engine: Engine, context: Context, mapping: ObjectMapping, job: Job, end: JobState | str
) -> None:
    """Name the window in which an edit may be, what went wrong, and the rows that are in doubt; end the job."""
    now = engine.now()
    left = jobs.leave_in_doubt(tx, job, now, now + context.settings.late_commit)
    what = _what(mapping, job)
    lines = []
    if job.looked_at is not None:
        until = now if isinstance(end, str) else end.at
        window = f"between {job.looked_at:%Y-%m-%d %H:%M:%S} (last look) and {until:%Y-%m-%d %H:%M:%S} UTC (its end)"
        lines.append(trail.Line(
            "bulk_window", "unseen_window", side="theirs",
            detail=f"{what}: a value typed {window} may have been overwritten unseen; field history tracking, if on, shows it",
        ))  # fmt: skip
    if isinstance(end, str):
        lines.append(trail.Line("bulk_job", "noted", side="theirs", detail=f"{what} can't be found: {end}"))
    elif not end.complete:
        lines.append(trail.Line("bulk_job", "noted", side="theirs", detail=_words(mapping, job, end)))
    if left:
        words = f"{what}: {left:,} rows are in none of its results; the next reads show what became of them"
        lines.append(trail.Line("bulk_job", "noted", side="theirs", detail=words))
    trail.note(tx, context.run_id, context.name, mapping.object, lines)
    jobs.end(tx, job, "forgotten" if isinstance(end, str) else end.state)


def _what(mapping: ObjectMapping, job: Job) -> str:
    return f"bulk job {job.their_id} of {job.rows:,} {mapping.object}s"


def _words(mapping: ObjectMapping, job: Job, end: JobState) -> str:
    why = end.message or "no reason given"
    return f"{_what(mapping, job)} ended as {end.state}: {why}; the rows that it did not come to go with the next run"


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
