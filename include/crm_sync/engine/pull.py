"""Pull: read what changed there since the cursor, and by id what is in doubt, in as few calls as possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from psycopg import sql

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine.context import Context, Engine
from crm_sync.engine.conversion import tell_unread
from crm_sync.engine.reports import PullReport, Tally
from crm_sync.errors import Misconfigured, Unreadable
from crm_sync.ledger import absence, conversions, cursor, merges, query_jobs, reading, runs, trail, window
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.identity import FIRST_ID
from crm_sync.ledger.query_jobs import Begun
from crm_sync.ledger.records import match_function, table
from crm_sync.model import ById, ByMatchKey, ByOurKey, ChangedSince, ClockReading, Object, Page, Read

__all__ = ["compared", "pull", "under_way"]

KEYS_PER_READ = 500
KEYS_PER_CALL = 2500
NOTHING: Mapping[Object, Begun] = MappingProxyType({})


def pull(engine: Engine, context: Context) -> PullReport:
    """Read and store page by page; the cursor of an object moves with its last page.

    An object that can't be read is left out of this run, which will end red for it; the others go on.
    """
    tally = Tally()
    context = _with_all(engine, context)
    left_out: dict[str, str] = {}
    while True:
        objects = [mapping for mapping in context.objects if mapping.object not in left_out]
        try:
            _pull(engine, context, objects, tally)
        except Unreadable as error:
            left_out[error.object] = str(error)
            if len(objects) == 1:
                raise Misconfigured("; ".join(left_out.values())) from error
        else:
            break
    if left_out:
        with engine.database.transaction() as tx:
            runs.leave_out(tx, context.run_id, left_out)
    return PullReport(context.run_id, tally.numbers, tally.total())


def _with_all(engine: Engine, context: Context) -> Context:
    """A pull that is repeated tries all objects anew."""
    if not context.run.left_out:
        return context
    with engine.database.transaction() as tx:
        runs.leave_out(tx, context.run_id, {})
    return engine.context(context.run_id)


def _pull(engine: Engine, context: Context, objects: Sequence[ObjectMapping], tally: Tally) -> None:
    with engine.database.transaction() as tx:
        earlier = under_way(tx, context)
        reads = [read for mapping in objects for read in _reads(tx, context, mapping, earlier)]
        sent_no = reading.next_number(tx)
    _read(engine, context, reads, sent_no, tally, earlier)
    if context.run.has_window:
        for mapping in objects:
            _read_counterparts(engine, context, mapping, sent_no, tally)


def _read_counterparts(
    engine: Engine, context: Context, mapping: ObjectMapping, first_no: int, tally: Tally
) -> None:
    """What changed here in the window is compared with what stands there now, if this pull has not shown that yet."""
    after = FIRST_ID
    while True:
        with engine.database.transaction() as tx:
            changed = window.changed_here(tx, context.run, mapping, after, first_no, KEYS_PER_CALL)
            sent_no = reading.next_number(tx)
        if changed:
            ids = tuple(their_id for _, their_id in changed)
            _read(engine, context, [ById(mapping.object, ids)], sent_no, tally)
        if len(changed) < KEYS_PER_CALL:
            return
        after = changed[-1][0]


def under_way(tx: Transaction, context: Context) -> dict[Object, Begun]:
    """The query jobs of an earlier try; what was asked by another mapping is read anew."""
    found = query_jobs.begun(tx, context.run_id)
    return {o: read for o, read in found.items() if read.mapping == query_jobs.digest_of(context.mappings[o])}


def _read(
    engine: Engine, context: Context, reads: Sequence[Read], sent_no: int, tally: Tally,
    earlier: Mapping[Object, Begun] = NOTHING,
) -> None:  # fmt: skip
    """Store what some reads bring; ``sent_no`` was taken before they leave.

    What a job of an ``earlier`` try brings is dated by that try; a new job is kept before it is waited for.
    """
    began = engine.now()
    jobs = dict(earlier)
    starts: dict[Read, datetime] = {}
    received: dict[Read, set[str]] = {}
    for page in engine.open_store(context.connection, context.run).read(reads):
        first = not starts
        start = starts.setdefault(page.read, page.read_start)
        if not isinstance(page.read, ChangedSince):
            received.setdefault(page.read, set()).update(_asked_for(page))
        mapping = context.mappings[page.read.object]
        with engine.database.transaction() as tx:
            asked = jobs.get(mapping.object)
            if asked is None or asked.job != page.job:
                asked = Begun(
                    page.job, query_jobs.digest_of(mapping) if page.job else "", sent_no, began, start
                )
                if page.job:
                    jobs[mapping.object] = asked
                    query_jobs.keep(tx, context.run_id, mapping.object, asked)
            changed = reading.store_page(
                tx, context.name, context.run_id, mapping, page.images, asked.sent_no, asked.began
            )
            if first:
                runs.set_clock(tx, context.run_id, compared(tx, page.clock))
            if page.last:
                ahead = compared(tx, page.clock).offset
                _close_read(tx, context, mapping, page.read, asked, ahead, received.get(page.read, set()))
        tally.add(mapping.object, "read", len(page.images))
        tally.add(mapping.object, "differ", changed)


def _reads(
    tx: Transaction, context: Context, mapping: ObjectMapping, earlier: Mapping[Object, Begun]
) -> Iterable[Read]:
    name, object, run = context.name, mapping.object, context.run
    job = earlier[object].job if object in earlier else ""
    position = None
    if run.kind == "backfill":
        yield ChangedSince(object, run.since, run.until, job)
    elif run.kind != "reconcile":  # that one has read everything before
        position = tx.one(
            "select position from crm_sync.cursor where connection = %s and object = %s", (name, object)
        )
        yield ChangedSince(object, position, job=job)
    for ids in _chunks(_ids_in_doubt(tx, name, mapping) + _survivors(tx, context, mapping)):
        yield ById(object, ids)
    for our_ids in _chunks(_creates_in_doubt(tx, name, object)):
        yield ByOurKey(object, our_ids)
    if run.kind in ("backfill", "reconcile") or position is not None:
        for keys in _chunks(_keys_about_to_be_created(tx, context, mapping)):
            yield ByMatchKey(object, keys)


def _ids_in_doubt(tx: Transaction, name: str, mapping: ObjectMapping) -> list[str]:
    """Links whose image or whose last write is in doubt (a job under way tells of its own), and strangers that two reads showed differently."""
    rows = tx.rows(
        """select their_id from crm_sync.link where connection = %(c)s and object = %(o)s and reread and their_id is not null
        union
        select l.their_id from crm_sync.intent i join crm_sync.link l using (link_id)
        where l.connection = %(c)s and l.object = %(o)s and i.closed_by is null and l.their_id is not null
          and i.job_id is null
        union
        select their_id from crm_sync.stray where connection = %(c)s and object = %(o)s and reread
        order by 1""",
        {"c": name, "o": mapping.object},
    )
    return [row[0] for row in rows]


def _survivors(tx: Transaction, context: Context, mapping: ObjectMapping) -> list[str]:
    """What merged records and converted leads go on as, as far as it was not read yet."""
    survivors = merges.awaited(tx, context.name, mapping, merges.unfollowed(tx, context.name))
    if mapping.object == "contact":
        survivors += merges.awaited(tx, context.name, mapping, [
            ("contact", 0, became) for _, became in conversions.unfollowed(tx, context.name)
        ])  # fmt: skip
    return survivors


def _creates_in_doubt(tx: Transaction, name: str, object: str) -> list[str]:
    rows = tx.rows(
        """select l.our_id::text from crm_sync.link l
        where l.connection = %s and l.object = %s and l.their_id is null
          and exists (select 1 from crm_sync.intent i where i.link_id = l.link_id and i.closed_by is null
            and i.job_id is null)
        order by 1""",
        (name, object),
    )
    return [row[0] for row in rows]


def _keys_about_to_be_created(tx: Transaction, context: Context, mapping: ObjectMapping) -> list[str]:
    """A twin may have been made a moment ago, or outside a backfill's window: ask before creating."""
    if context.rules.direction == "pull" or not context.settings.creates(mapping.object):
        return []
    keys: set[str] = set()
    for column in mapping.match:
        query = sql.SQL(
            """select distinct {function}(o.{column}) from crm_sync.outbox b
            cross join lateral (select * from {table} o where o.id = b.our_id offset 0) o
            where b.connection = %(c)s and b.object = %(o)s and o.deleted_at is null and {function}(o.{column}) is not null
              and {within}
              and not exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
                              and l.our_id = b.our_id and l.their_id is not null offset 0)
              and not exists (select 1 from (select * from crm_sync.parked p where p.our_id = b.our_id offset 0) p
                              where p.connection = %(c)s and p.object = %(o)s and p.held and p.lifted_at is null
                              and p.field is null and coalesce(p.our_version, o.version) = o.version)"""
        ).format(
            function=match_function(mapping, column), column=sql.Identifier(column), table=table(mapping),
            within=window.within(context.run, sql.SQL("o.updated_at")),
        )  # fmt: skip
        parameters = {"c": context.name, "o": mapping.object, **window.bounds(context.run)}
        keys |= {row[0] for row in tx.rows(query, parameters)}
    return sorted(keys)


def _close_read(
    tx: Transaction, context: Context, mapping: ObjectMapping, read: Read, asked: Begun, ahead: timedelta,
    received: set[str],
) -> None:  # fmt: skip
    if isinstance(read, ChangedSince):
        if context.run.kind != "backfill":
            _move_cursor(tx, context, mapping, asked, ahead)
        if read.job or asked.job:
            query_jobs.done(tx, context.run_id, mapping.object)
    elif isinstance(read, ById):
        absent = set(read.ids) - received
        absence.mark_absent(tx, context.name, context.run_id, mapping, absent, (), asked.began)
        if absent and mapping.object == "contact":
            tell_unread(tx, context, absent)
    elif isinstance(read, ByOurKey):
        absent = set(read.our_ids) - received
        absence.mark_absent(tx, context.name, context.run_id, mapping, (), absent, asked.began)


def _move_cursor(
    tx: Transaction, context: Context, mapping: ObjectMapping, asked: Begun, ahead: timedelta
) -> None:
    lag = context.settings.lag
    back = cursor.move_cursor(tx, context.name, mapping.object, asked.read_start - lag, ahead, lag)
    if back:
        seconds = timedelta(seconds=round(back.total_seconds()))
        detail = f"the CRM's clock was set back by {seconds}; the next run reads again what changed since the last one"
        trail.note(tx, context.run_id, context.name, mapping.object, [
            trail.Line("clock", "noted", side="theirs", detail=detail)
        ])  # fmt: skip


def _asked_for(page: Page) -> set[str]:
    if isinstance(page.read, ByOurKey):
        return {image.our_id for image in page.images if image.our_id is not None}
    return {image.id for image in page.images}


def compared(tx: Transaction, clock: ClockReading) -> ClockReading:
    """Their clock against the database's, which stamps our column times; workers may run elsewhere."""
    ahead = tx.one("select clock_timestamp()") - datetime.now(UTC)
    return ClockReading(clock.offset - ahead, clock.error)


def _chunks(keys: list[str]) -> Iterable[tuple[str, ...]]:
    for i in range(0, len(keys), KEYS_PER_READ):
        yield tuple(keys[i : i + KEYS_PER_READ])
