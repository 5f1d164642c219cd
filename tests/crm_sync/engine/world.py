"""GPTWeb, one or two CRMs, people on all sides, and runs that stop wherever anything else may happen.

A run lives in a greenlet.  It stops before and after each of its transactions, at each point inside a call to a CRM,
and after each stage; while it stands still a test lets people edit, other runs go on, time pass, or kills it.
The product knows nothing of this: the test hands it a Database, a Store and clocks of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from greenlet import getcurrent, greenlet
from psycopg import sql
from psycopg.types.json import Jsonb

from crm_sync.engine import Engine, RunOptions, RunReport
from crm_sync.errors import ApprovalNeeded, SyncError
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.verify import verify
from crm_sync.mapping_files import load_mappings
from crm_sync.model import Image, Object, RunKind, Value, Write
from crm_sync.stores.memory import MemoryStore
from tests.crm_sync.engine.truth import FIELDS, Cell, Recorded, Truth, plain

__all__ = [
    "LAG",
    "LATE",
    "LEASE",
    "Killed",
    "Pool",
    "Running",
    "World",
    "a_database_that",
    "is_refused",
    "stop_at",
]

LAG, LEASE, LATE = 6, 10, 4
"""Seconds: how late a record may show up, how long a run holds a link, how long after that a write may commit."""

STAGES = ("pull", "plan", "push_ours", "push_theirs")
OBJECTS: tuple[Object, ...] = ("contact",)
"""What the runs of a test sync: other objects would only cost time."""

MAPPINGS = load_mappings("salesforce")
START = datetime(2026, 11, 22, 10, 0, 0, 400_000, UTC)


class Killed(BaseException):
    """The process of a run ends at once, as by ``kill -9``: nothing of the product may catch it."""


class _Database(Database):
    """Stops around every transaction, never inside one; ``dies`` ends the process with all said and nothing committed."""

    prepare_after: int | None = None
    """How often a statement is sent before it is prepared; None as in production: never."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.pause: Callable[[str], None] = lambda _label: None
        self.dies = False

    def _open(self) -> psycopg.Connection[Any]:
        connection = super()._open()
        connection.prepare_threshold = self.prepare_after
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.pause("begin")
        with super().transaction() as tx:
            yield tx
            if self.dies:
                raise Killed
        self.pause("committed")


class Pool:
    """Connections to one database: those of people and of a look around, and those of runs that have ended.

    ``prepared``: the statements of runs are prepared on the server, which spares it half its work.
    """

    def __init__(self, url: str, *, prepared: bool = False) -> None:
        self.url = url
        self.prepared = prepared
        self.client = psycopg.connect(url, autocommit=True, application_name="people")
        self.desk = Database(url)
        self.idle: list[_Database] = []

    def take(self) -> _Database:
        """A connection for a run: one whose run has ended, or a new one."""
        if self.idle:
            return self.idle.pop()
        database = _Database(self.url)
        database.prepare_after = 3 if self.prepared else None
        return database

    def close(self) -> None:
        """Close them all."""
        for database in (self.desk, *self.idle):
            database.close()
        self.client.close()


class Running(greenlet):  # type: ignore[misc]  # greenlet brings no types
    """One run under way."""

    def __init__(
        self, world: World, options: RunOptions, run_id: int | None = None, stages: tuple[str, ...] = STAGES
    ):
        super().__init__()
        self.world = world
        self.options = options
        self.run_id = run_id
        self.stages = stages
        self.at = "start"
        self.report: RunReport | None = None
        self.error: SyncError | None = None
        self.asked: ApprovalNeeded | None = None
        self.database = world.connection(self.stop)
        self.engine = world.engine(self.database, options.connection)

    def run(self) -> None:
        """What Airflow does: the stages one after the other, and settle whatever happened."""
        if self.run_id is None:
            self.run_id = self.engine.open_run(self.options)
            self.stop("opened")
        try:
            for stage in self.stages:
                self._carry_out(stage, self.run_id)
                self.stop(stage)
        except SyncError as error:
            self.error = error
        self.report = self.engine.settle(self.run_id)

    def _carry_out(self, stage: str, run_id: int) -> None:
        """A stage that asks a person stands still meanwhile; after a yes it begins again, after anything else the run ends."""
        try:
            getattr(self.engine, stage)(run_id)
        except ApprovalNeeded as asked:
            self.asked = asked
            self.stop("asked")
            if self.engine.context(run_id).run.approved is None:
                raise
            getattr(self.engine, stage)(run_id)

    def stop(self, label: str) -> None:
        """Stand still until the test lets the run go on."""
        if getcurrent() is self:
            self.parent.switch(label)

    # --------------------------------------------------------------------------------- what a test may say

    def step(self) -> str:
        """Go on to the next point where anything else may happen."""
        if self.dead:
            return self.at
        before = self.world.look()
        self.at = self.switch()
        if self.dead:
            self.at = "end"
            self.world.pool.idle.append(self.database)
        self.world.noticed(before)
        return self.at

    def to(self, label: str) -> Running:
        """Go on until the run stands at ``label``: a stage that is done, or a point inside a call."""
        while self.step() != label:
            assert not self.dead, f"the run ended without ever standing at {label!r}: {self.error}"
        return self

    def until(self, happened: Callable[[], object]) -> Running:
        """Go on until something shows from outside."""
        while not happened():
            self.step()
            assert not self.dead, f"the run ended, and it never happened: {self.error}"
        return self

    def finish(self) -> Running:
        """Go on to the end."""
        while not self.dead:
            self.step()
        return self

    def kill(self) -> None:
        """End its process where it stands; what it sent and the CRM has not carried out yet may still be."""
        before = self.world.look()
        with suppress(Killed):
            self.throw(Killed)
        self.at = "end"
        self.database.close()
        self.world.noticed(before)

    def kill_before_commit(self) -> None:
        """End its process inside its next transaction, with every statement done and nothing committed."""
        self.database.dies = True
        with suppress(Killed):
            self.finish()
        assert self.dead
        self.at = "end"
        self.database.close()


@dataclass(frozen=True)
class Line:
    """One row of crm_sync.audit_trail, as far as tests look at it."""

    run_id: int | None
    our_id: str | None
    side: str | None
    field: str | None
    before: Value
    after: Value
    rule: str
    outcome: str
    detail: str | None
    their_id: str | None


class World:
    """The records of GPTWeb and of its CRMs, everybody's clock, and the people."""

    def __init__(
        self,
        url: str,
        policy: str = "crm_wins",
        crms: tuple[str, ...] = ("crm",),
        skew: int = 0,
        pool: Pool | None = None,
        **more: object,
    ) -> None:
        self.url = url
        self.pool = pool or Pool(url)
        self.shares_pool = pool is not None
        self.now = START
        self.suspended = timedelta(0)
        self.truth = Truth()
        self.client, self.desk = self.pool.client, self.pool.desk
        self.skew = timedelta(seconds=skew)
        self.crms = {name: self.new_crm() for name in crms}
        self.ours: str = ""
        self.theirs: dict[str, str] = {}
        self.runs: list[Running] = []
        self._made = 0
        self.excused: set[str] = set()
        self.their_delete_is = more.get("their_delete", "archive")
        self.our_archive_is = more.get("our_archive", "keep")
        self.inside = False
        self.watched = True
        with self.desk.transaction() as tx:
            for name in crms:
                settings.connect(tx, name, "salesforce", {
                    "conflict_policy": policy, "lag_seconds": LAG, "lease_seconds": LEASE, "late_commit_seconds": LATE,
                    "approve_share_above": None, **more
                })  # fmt: skip

    def new_crm(self) -> MemoryStore:
        """A CRM without records, on the world's clocks."""
        return MemoryStore(
            MAPPINGS, clock=lambda: self.now + self.skew, monotonic=self.monotonic, on_step=stop_at, skew=self.skew,
            refusals={(o, c): is_refused for o in MAPPINGS for c in ("title", "phone")},
        )  # fmt: skip

    def engine(self, database: Database, crm: str) -> Engine:
        """An engine as the composition root would make it, with the world's clocks."""
        return Engine(
            database, MAPPINGS, lambda _connection, _run: self.crms[crm], now=lambda: self.now, sleep=self._sleep,
            monotonic=self.monotonic,
        )  # fmt: skip

    def connection(self, pause: Callable[[str], None]) -> _Database:
        """A connection of its own for a run."""
        database = self.pool.take()
        database.dies = False
        database.pause = pause
        return database

    def monotonic(self) -> float:
        """The clock of time-outs."""
        return (self.now - START - self.suspended).total_seconds()

    def close(self) -> None:
        """End what still runs."""
        for run in self.runs:
            if not run.dead:
                run.kill()
        if not self.shares_pool:
            self.pool.close()

    def _sleep(self, seconds: float) -> None:
        """A worker that waits for a busy record: people's time does not stand still, but a test's does."""

    # -------------------------------------------------------------------------------------------- people

    def with_person(self) -> World:
        """Somebody whom all sides know and agree upon."""
        self.ours = self.our_new(title="n0", phone="p0", total_score=1, email="e0@example.com")
        self.run_all()
        self.theirs = {crm: self.linked(self.ours, crm) for crm in self.crms}
        self.tick(20)
        self.run_all()
        self.tick(20)
        return self

    def our_new(self, **values: Value) -> str:
        """Somebody makes a contact of ours."""
        self._made += 1
        id = str(uuid.UUID(int=self._made))
        row = {"last_name": "Doe", **values}
        self._client(
            sql.SQL("insert into gptweb.contacts (id, created_at, {}) values (%s, %s, {})").format(
                sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(sql.Placeholder() * len(row))
            ),
            (id, self.now, *row.values()),
        )
        self._introduce("ours", id, values.get("email"))
        for column in FIELDS:
            if column in values:
                self.truth.typed(("ours", id, column), values[column])
        return id

    def our_edit(self, column: str, value: Value, id: str = "") -> None:
        """Somebody of ours types a value; None clears."""
        id = id or self.ours
        if self.look().get(("ours", id, column)) == value:
            return
        self.truth.typed(("ours", id, column), value)
        self._client(
            sql.SQL(
                "update gptweb.contacts set {0} = %s, changed_at = changed_at || %s where id = %s"
            ).format(sql.Identifier(column)),
            (value, Jsonb({column: self.now.isoformat()}), id),
        )
        self.compare()

    def our_archive(self, id: str = "") -> None:
        """Somebody of ours deletes the contact, as GPTWeb does it."""
        self.client.execute("update gptweb.contacts set deleted_at = now() where id = %s", (id or self.ours,))

    def our_unarchive(self, id: str = "") -> None:
        """Somebody of ours takes it back."""
        self.client.execute("update gptweb.contacts set deleted_at = null where id = %s", (id or self.ours,))

    def their_new(self, crm: str = "", **values: Value) -> str:
        """Somebody makes a contact in the CRM."""
        crm = crm or self._first
        id = self.crms[crm].person_creates("contact", **{"last_name": "Doe", **values})
        self._introduce(crm, id, values.get("email"))
        for column in FIELDS:
            if column in values:
                self.truth.typed((crm, id, column), values[column])
        self.compare()
        return id

    def their_edit(
        self, column: str, value: Value, crm: str = "", id: str = "", stamp: datetime | None = None
    ) -> None:
        """Somebody types a value in the CRM; with an old ``stamp`` it is a long transaction that commits now."""
        crm = crm or self._first
        id = id or self.theirs[crm]
        store = self.crms[crm]
        self.truth.typed((crm, id, column), store.render("contact", column, value))
        store.person_edits(id, column, value, stamp=stamp and stamp.replace(microsecond=0))
        self.compare()

    def their_delete(self, crm: str = "") -> None:
        """Somebody of the CRM deletes the person's record there."""
        crm = crm or self._first
        self.crms[crm].person_deletes(self.theirs[crm])

    def their_undelete(self, crm: str = "") -> None:
        """Somebody of the CRM takes it out of the recycle bin."""
        crm = crm or self._first
        self.crms[crm].person_undeletes(self.theirs[crm])
        self.compare()

    def their_merge(self, winner: str, loser: str = "", *take: str) -> None:
        """Somebody of the CRM merges a record (the person's, unless named) into another; ``take``: columns kept of it.

        From then on the two are one person, unless the winner is known as somebody else; what the winner shows was chosen.
        """
        crm, loser = self._first, loser or self.theirs[self._first]
        store, known = self.crms[crm], {their_id for _, _, their_id in self.links()}
        before = store.image(winner).values
        if loser not in known:
            self.excused.add(self.truth.person(crm, loser))  # nobody ever carried over what it held
        store.person_merges(loser, winner, *take)
        if winner not in known and loser in known:
            self.truth.becomes((crm, winner), (crm, loser))
            after, gone = store.image(winner).values, store.image(loser).values
            chosen = [c for c in FIELDS if c in take or after[c] not in (None, gone[c])]
        else:
            chosen = [c for c in FIELDS if store.image(winner).values[c] != before[c]]
        for column in chosen:
            self.truth.typed((crm, winner, column), store.image(winner).values[column])
        self.compare()

    def tick(self, seconds: float = 1) -> None:
        """Time passes for everybody."""
        self.now += timedelta(seconds=seconds)

    def suspend(self, seconds: float) -> None:
        """The machine of the workers sleeps: time passes, and their clock of time-outs does not notice."""
        self.tick(seconds)
        self.suspended += timedelta(seconds=seconds)

    def serve_late(self, crm: str, request: tuple[Object, tuple[Write, ...]]) -> None:
        """A request whose sender is dead commits after all."""
        before = self.look()
        self.crms[crm].serve_late(request)
        self.noticed(before)

    def move_cursor(self, seconds: float) -> None:
        """The next run reads only what changes from ``seconds`` after now on."""
        self.client.execute(
            "update crm_sync.cursor set position = %s", (self.now + timedelta(seconds=seconds),)
        )

    # ---------------------------------------------------------------------------------------------- runs

    def start(self, crm: str = "", kind: RunKind = "sync", **options: Any) -> Running:
        """A run that stands before its first step."""
        number = str(len(self.runs))
        run = Running(self, RunOptions(crm or self._first, kind, number, **{"objects": OBJECTS, **options}))
        self.runs.append(run)
        return run

    def again(self, run: Running, stage: str) -> Running:
        """The task of an old run was cleared: it runs once more, then settle."""
        again = Running(self, run.options, run.run_id, (stage,))
        self.runs.append(again)
        return again

    def run(self, crm: str = "", **options: Any) -> Running:
        """A whole run."""
        return self.start(crm, **options).finish()

    def run_all(self) -> None:
        """A whole run of every connection."""
        for crm in self.crms:
            self.run(crm)

    # ------------------------------------------------------------------------------------------- looking

    def look(self) -> dict[Cell, Value]:
        """What every side holds now, deleted records left out; nothing while a test with many records looks away."""
        cells: dict[Cell, Value] = {}
        if not self.watched:
            return cells
        rows = self.client.execute(
            "select id::text, title, phone, total_score::float from gptweb.contacts where deleted_at is null"
        )
        for id, *values in rows:
            cells.update({("ours", id, column): value for column, value in zip(FIELDS, values, strict=True)})
        for name, crm in self.crms.items():
            for image in crm.images("contact"):
                cells.update({(name, image.id, column): image.values[column] for column in FIELDS})
        return cells

    def noticed(self, before: dict[Cell, Value]) -> None:
        """A run made a step: tell the truth what it wrote."""
        if not self.watched:
            return
        now = self.look()
        fresh = {cell[:2] for cell in now} - {cell[:2] for cell in before}
        if fresh:
            self._recognise(fresh)
        for cell, value in now.items():
            if cell in before:
                if before[cell] != value:
                    self.truth.written(cell, before[cell], value)
            elif cell[:2] in fresh:
                self.truth.born(cell, value)
        if fresh or now != before:
            self.compare(now)

    def compare(self, now: dict[Cell, Value] | None = None) -> None:
        """Values that stand on both sides at this moment have arrived."""
        pairs = [(("ours", our_id), (crm, their_id)) for crm, our_id, their_id in self.links()]
        self.truth.compare(pairs, now or self.look())

    def linked(self, our_id: str, crm: str = "") -> str:
        """Their id of a record of ours."""
        found = {o: t for c, o, t in self.links() if c == (crm or self._first)}
        assert our_id in found, f"{our_id} is not linked"
        return found[our_id]

    def links(self) -> list[tuple[str, str, str]]:
        """Who is linked: connection, our id, their id."""
        return self.client.execute(
            "select connection, our_id::text, their_id from crm_sync.link where their_id is not null order by 1, 2"
        ).fetchall()

    def our_value(self, column: str, id: str = "") -> Value:
        """What ours holds."""
        return self.look()["ours", id or self.ours, column]

    def their_value(self, column: str, crm: str = "", id: str = "") -> Value:
        """What theirs holds."""
        crm = crm or self._first
        return self.image(crm, id).values[column]

    def image(self, crm: str = "", id: str = "") -> Image:
        """Their record."""
        crm = crm or self._first
        return self.crms[crm].image(id or self.theirs[crm])

    def trail(self, column: str | None = None) -> list[Line]:
        """The audit trail, oldest first."""
        rows = self.client.execute(
            """select run_id, our_id::text, side, field, before, after, rule, outcome, detail, their_id
            from crm_sync.audit_trail order by at"""
        )
        lines = [Line(*row) for row in rows]
        return [line for line in lines if column in (None, line.field)]

    def outbox(self) -> list[str]:
        """Our records that wait to be planned."""
        return [row[0] for row in self.client.execute("select our_id::text from crm_sync.outbox order by 1")]

    def open_intents(self) -> int:
        """How many writes wait for an answer."""
        return self.count("select count(*) from crm_sync.intent where closed_by is null")

    def count(self, query: str, *parameters: object) -> int:
        """One number from the database."""
        row = self.client.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return int(row[0])

    # ---------------------------------------------------------------------------------------- invariants

    def drain(self, rounds: int = 2) -> None:
        """Lags, leases and open intents run out, then as many runs as the promise of convergence allows."""
        self.tick(LAG + LEASE + LATE + 3)
        for _ in range(rounds + len(self.crms) - 1):
            self.run_all()
            self.tick()

    def assert_sound(self, rounds: int = 2) -> None:
        """Everybody who runs has ended by now: the promises hold."""
        assert all(run.dead or run.at in ("start", "end") for run in self.runs), "a run is still under way"
        self.drain(rounds)
        problems = [
            *self._apart(),
            *self._unequal(),
            *self._doubled(),
            *self._forgotten(),
            *self._miscounted(),
            *self._noise(),
            *verify(self.desk).findings,
        ]
        assert not problems, "\n".join([*problems, "", *self.story()])

    def story(self) -> list[str]:
        """The trail, for a test that failed."""
        return [
            f"run {n.run_id}: {n.side} {n.field}: {n.before!r} -> {n.after!r} {n.rule} {n.outcome} {n.detail or ''}"
            for n in self.trail()
        ]

    def _apart(self) -> list[str]:
        """Convergence: living pairs agree, apart from parked values, and nobody living has no counterpart."""
        now, links = self.look(), self.links()
        parked = {
            (crm, our_id, column)
            for crm, our_id, column in self.client.execute(
                "select connection, our_id::text, field from crm_sync.parked where lifted_at is null"
            )
        }
        problems = []
        for crm, our_id, their_id in links:
            for column in FIELDS:
                ours, theirs = now.get(("ours", our_id, column), ...), now.get((crm, their_id, column), ...)
                if ours is ... or theirs is ... or (crm, our_id, column) in parked:
                    continue
                if plain(ours) != plain(theirs):
                    problems.append(f"{column} of {our_id}: ours {ours!r}, {crm} {theirs!r}")
        known = {("ours", o) for _, o, _ in links} | {(c, t) for c, _, t in links}
        waiting = self._waiting()
        alone = sorted({cell[:2] for cell in now} - known - waiting)
        return [*problems, *(f"{record} has no counterpart" for record in alone)]

    def _unequal(self) -> list[str]:
        """Existence: both sides are there, or neither is, or the settings let them differ."""
        problems = []
        rows = self.client.execute(
            "select l.connection, l.our_id::text, l.their_id, o.deleted_at is null and o.id is not null, o.archived_by "
            "from crm_sync.link l left join gptweb.contacts o on o.id = l.our_id "
            "where l.their_id is not null and l.object = 'contact' and l.state in ('live', 'gone')"
        ).fetchall()
        for crm, our_id, their_id, here, archiver in rows:
            there = not self.crms[crm].image(their_id).deleted
            if here and not there and self.their_delete_is != "keep":
                problems.append(f"{our_id} lives, {their_id} of {crm} is deleted")
            if there and not here and (self.our_archive_is != "keep" or archiver == "engine"):
                problems.append(f"{our_id} is archived by {archiver}, {their_id} of {crm} lives")
        return problems

    def _waiting(self) -> set[tuple[str, str]]:
        """Whole records that are left to a person."""
        rows = self.client.execute(
            "select connection, our_id::text, their_id from crm_sync.parked where lifted_at is null and field is null"
        )
        return {side for crm, o, t in rows for side in (("ours", o), (crm, t)) if side[1]}

    def _doubled(self) -> list[str]:
        """No person stands twice on one side, unless that is left to somebody to decide."""
        waiting = self._waiting()
        found: dict[tuple[str, str], list[str]] = {}
        for side, id in sorted({cell[:2] for cell in self.look()}):
            if (side, id) not in waiting:
                found.setdefault((side, self.truth.person(side, id)), []).append(id)
        return [
            f"{person} stands {len(ids)} times in {side}"
            for (side, person), ids in found.items()
            if len(ids) > 1
        ]

    def _forgotten(self) -> list[str]:
        """No lost update, and no false conflict."""
        recorded = [
            Recorded(self.truth.person("ours", n.our_id or ""), n.field or "", n.before, n.after,
                     n.outcome == "overruled" and not n.rule.startswith(("deleted_", "merged")), n.outcome == "unseen_window")
            for n in self.trail() if n.outcome in ("acknowledged", "overruled", "restored", "unseen_window")
        ]  # fmt: skip
        final: dict[tuple[str, str], list[Value]] = {}
        for (side, id, column), value in self.look().items():
            if side == "ours":
                final.setdefault((self.truth.person(side, id), column), []).append(value)
        for (id, column), value in self._archived().items():
            final.get((self.truth.person("ours", id), column), []).append(value)  # it lies there still
        excused = {self.truth.person(*record) for record in self._waiting()} | self.excused
        parked = self.client.execute(
            "select our_id::text, field from crm_sync.parked where lifted_at is null and field is not null"
        )
        columns = {(self.truth.person("ours", our_id), column) for our_id, column in parked}
        return [*self.truth.lost(recorded, final, excused, columns), *self.truth.wrong_winners(recorded)]

    def _archived(self) -> dict[tuple[str, str], Value]:
        """What archived records of ours hold."""
        rows = self.client.execute(
            "select id::text, title, phone, total_score::float from gptweb.contacts where deleted_at is not null"
        )
        return {(id, c): value for id, *values in rows for c, value in zip(FIELDS, values, strict=True)}

    def _miscounted(self) -> list[str]:
        """Accounting: every run that ended can say what became of each planned change."""
        rows = self.client.execute(
            """select run_id, state, planned, acknowledged, parked, superseded, in_doubt from crm_sync.run_summary
            where ended_at is not null and planned is distinct from acknowledged + parked + superseded + in_doubt"""
        )
        return [f"run {row[0]} does not add up: {row[1:]}" for row in rows]

    def _noise(self) -> list[str]:
        """Silence: one more run plans nothing, writes nothing on either side, and costs one call."""
        problems = []
        for name, crm in self.crms.items():
            before = (
                self._planned(),
                self._versions(),
                [crm.image(i.id) for i in crm.images("contact")],
                crm.written,
            )
            calls = crm.calls
            run = self.run(name)
            after = (
                self._planned(),
                self._versions(),
                [crm.image(i.id) for i in crm.images("contact")],
                crm.written,
            )
            if after != before:
                problems.append(f"an idle run of {name} was not silent: {before} became {after}")
            if crm.calls - calls != 1:
                problems.append(f"an idle run of {name} cost {crm.calls - calls} calls")
            if run.report is None or run.report.state not in ("succeeded", "succeeded_with_parked"):
                problems.append(f"an idle run of {name} ended {run.report}")
        return problems

    def _planned(self) -> int:
        return self.count("select count(*) from crm_sync.change")

    def _versions(self) -> list[tuple[Any, ...]]:
        return self.client.execute("select id, version from gptweb.contacts order by 1").fetchall()

    # -------------------------------------------------------------------------------------------- inside

    @property
    def _first(self) -> str:
        return next(iter(self.crms))

    def _client(self, statement: sql.Composed, parameters: tuple[object, ...]) -> None:
        """A session of a person; the trigger takes column times only from the engine, so the session says it is one."""
        with self.client.transaction():
            self.client.execute("select set_config('crm_sync.engine', 'on', true)")
            self.client.execute(statement, parameters)

    def _introduce(self, side: str, id: str, email: Value) -> None:
        if email is not None:
            self.truth.names[side, id] = str(email)

    def _recognise(self, fresh: set[tuple[str, str]]) -> None:
        """Who the records are that a run has just made."""
        for side, id in fresh:
            if side == "ours":
                found = [(c, t) for c, o, t in self.links() if o == id]
                source = found[0] if found else None
            else:
                key = self.crms[side].image(id).our_id
                source = ("ours", key) if key else None
            if source:
                self.truth.names[side, id] = self.truth.person(*source)


def stop_at(step: str) -> None:
    """A point inside a call: the run that calls stands still.  Between our two looks at a record it does not."""
    run = getcurrent()
    if isinstance(run, Running) and (step != "retrieved" or run.world.inside):
        run.stop(step)


def is_refused(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("bad")


@contextmanager
def a_database_that(world: World, do: str, undo: str) -> Iterator[None]:
    """Ours is somebody's own database: it may have triggers and limits of its own."""
    world.client.execute(do.encode())
    try:
        yield
    finally:
        world.close()
        with psycopg.connect(world.url, autocommit=True) as client:
            client.execute(undo.encode())
