"""The forecast of a run: calls its lane has left, calls its backlog needs, and how long until a call is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from crm_sync.decide.budget import Backlog, Clocks, calls_needed, in_words, org_wait
from crm_sync.decide.settings import Settings
from crm_sync.ledger import allocation, runs, settings
from crm_sync.ledger.database import Transaction
from crm_sync.ledger.pacing import WAITING
from crm_sync.ledger.spending import LaneRoom, database_clock, lane_room
from crm_sync.model import Object, RunKind

__all__ = ["Forecast", "note", "wait_of"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a lane has left of the day, and what waits for it; ``wait``: until it, or the org, has a call again."""

    lane: RunKind
    room: LaneRoom
    needed: int
    wait: timedelta

    def __str__(self) -> str:
        told = (
            f"{self.room.left:,} of {self.room.limit:,} calls left in the next 24 h for lane {self.lane}; "
            f"{self.needed:,} needed for the backlog"
        )
        return f"{told}; the next call is free in {in_words(self.wait)}" if self.wait else told


def note(tx: Transaction, run_id: int) -> Forecast:
    """Make the forecast of this moment and keep it in the run's summary."""
    run = runs.load(tx, run_id)
    chosen = settings.load(tx, run.connection).settings
    room, wait = _room(tx, run.connection, run.kind, chosen)
    backlog = [_backlog(tx, run.connection, object, chosen, run) for object in run.objects]
    found = Forecast(run.kind, room, calls_needed(backlog, chosen.batch_size), wait)
    tx.run(
        "update crm_sync.run set calls_left = %s, calls_needed = %s where run_id = %s",
        (found.room.left, found.needed, run_id),
    )
    return found


def wait_of(tx: Transaction, connection: str, lane: RunKind, calls: int = 1) -> tuple[timedelta, timedelta]:
    """How long a paused lane has to wait by the settings of this moment, and how often it should look.

    Until it has that many calls (or all that it may use) it waits at least for one more look.
    """
    chosen = settings.load(tx, connection).settings
    room, wait = _room(tx, connection, lane, chosen)
    every = timedelta(seconds=chosen.look_seconds)
    return (wait if room.left >= min(calls, room.limit) else max(wait, every)), every


def _room(tx: Transaction, connection: str, lane: RunKind, chosen: Settings) -> tuple[LaneRoom, timedelta]:
    now = database_clock(tx)
    room = lane_room(tx, connection, chosen.daily_calls, lane, Clocks(now, now))
    return room, max(room.wait, org_wait(allocation.load(tx, connection), now))


def _backlog(tx: Transaction, connection: str, object: Object, chosen: Settings, run: runs.Run) -> Backlog:
    """What is dirty or in the outbox, as far as this run's direction lets it out."""
    updates, creates, rereads = _counts(tx, connection, object)
    if (run.direction or chosen.direction) == "pull":
        return Backlog(rereads=rereads)
    return Backlog(updates, creates if chosen.creates(object) else 0, rereads)


def _counts(tx: Transaction, connection: str, object: Object) -> Sequence[int]:
    query = sql.SQL("""select
        (select count(*) from (
          select link_id from crm_sync.link
          where connection = %(c)s and object = %(o)s and dirty and their_id is not null
          union
          select l.link_id from crm_sync.outbox b
          cross join lateral (select link_id from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
            and l.our_id = b.our_id and l.their_id is not null offset 0) l
          where b.connection = %(c)s and b.object = %(o)s and not {waiting}) left_over),
        (select count(*) from crm_sync.outbox b where b.connection = %(c)s and b.object = %(o)s
          and not exists (select 1 from crm_sync.link l where l.connection = %(c)s and l.object = %(o)s
            and l.our_id = b.our_id and l.their_id is not null offset 0)
          and not exists (select 1 from (select * from crm_sync.parked p where p.our_id = b.our_id offset 0) p
            where p.connection = %(c)s and p.object = %(o)s and p.held and p.lifted_at is null and p.field is null)),
        (select count(*) from crm_sync.link where connection = %(c)s and object = %(o)s and reread)""").format(
        waiting=WAITING
    )
    return tx.rows(query, {"c": connection, "o": object, "now": database_clock(tx)})[0]
