"""Where a scene is played, and what the truth learns there of every write of the engine.

Our side tells by a trigger what the engine wrote, their side by a look at the store: nothing of what the engine
believes is asked.  Both are read whenever somebody is about to act, so that everything is known in its order.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

from psycopg import sql

from crm_sync.model import Image, Object, Value
from tests.crm_sync.engine.truth import Truth
from tests.crm_sync.engine.world import LAG, LATE, LEASE, MAPPINGS, Pool, World, is_refused, stop_at
from tests.crm_sync.soak.crm import FaultyStore
from tests.crm_sync.soak.plot import COLUMNS, Scene

__all__ = ["Record", "Stage", "json_like", "looked_at", "prepare"]

Record = tuple[str, str]
"""side ("ours" or a CRM's name), id."""

EVERY = tuple(sorted({column for columns in COLUMNS.values() for column in columns}))


def prepare(pool: Pool) -> None:
    """Make the log of what engines write into our tables."""
    pool.client.execute("create schema soak")
    pool.client.execute(
        "create unlogged table soak.log (n bigserial primary key, object text, id text, before jsonb, after jsonb)"
    )
    for object, columns in COLUMNS.items():
        row = {side: ", ".join(f"'{c}', {side}.{c}" for c in columns) for side in ("old", "new")}
        pool.client.execute(
            f"""create function soak.note_{object}() returns trigger language plpgsql as $$ begin
              insert into soak.log (object, id, before, after) values ('{object}', new.id::text,
                case when tg_op = 'UPDATE' and old.deleted_at is null then jsonb_build_object({row["old"]}) end,
                case when new.deleted_at is null then jsonb_build_object({row["new"]}) end);
              return null;
            end $$""".encode()
        )
        pool.client.execute(
            f"""create trigger soak after insert or update on gptweb.{object}s for each row
            when (current_setting('application_name') <> 'people') execute function soak.note_{object}()""".encode()
        )


class Stage(World):
    """The world of one scene; a truth per schedule.  ``lag``, ``lease``, ``late``: seconds, as the connections have them."""

    lag, lease, late = LAG, LEASE, LATE

    def __init__(self, pool: Pool, scene: Scene) -> None:
        self.scene = scene
        names = ("crm",) if scene.crms == 1 else ("crm_a", "crm_b")
        more = {
            "direction": scene.direction, "their_delete": scene.their_delete, "our_archive": scene.our_archive,
            "batch_size": scene.batch_size, "lag_seconds": self.lag, "lease_seconds": self.lease,
            "late_commit_seconds": self.late, **{f"create_{o}s": scene.creates for o in MAPPINGS},
        }  # fmt: skip
        super().__init__(pool.url, scene.policy, names, scene.skew, pool, **more)
        self.watched = False
        self.truths = [Truth(EVERY) for _ in scene.schedules]
        self.owner: dict[Record, int] = {}
        self.objects: dict[Record, Object] = {}
        self.shown: dict[Record, dict[str, Value]] = {}
        self.counts: Counter[str] = Counter()
        self.strange: list[str] = []
        self.twins: set[str] = set()
        self.winners: set[Record] = set()
        self._unread: dict[str, set[str]] = {}
        self._logged = 0

    def new_crm(self) -> FaultyStore:
        """A CRM whose network breaks; if the scene says so, it writes telephone numbers its own way.

        Where we only push, what commits later than is assumed stays (docs/flow.md), so that none does; both ways it is pulled.
        """
        return FaultyStore(
            MAPPINGS, clock=lambda: self.now + self.skew, monotonic=self.monotonic, on_step=stop_at, skew=self.skew,
            refusals={(o, c): is_refused for o in MAPPINGS for c in ("title", "phone")}, jitter=self.scene.jitter,
            page_size=self.scene.page_size, render=_respelled if self.scene.spells else _as_it_is,
            patience=self.lease if self.scene.direction == "push" else None,
        )  # fmt: skip

    @property
    def stores(self) -> dict[str, FaultyStore]:
        """The CRMs by name."""
        return {name: crm for name, crm in self.crms.items() if isinstance(crm, FaultyStore)}

    def crm_of(self, number: int) -> str:
        """A connection's name."""
        return list(self.crms)[number % len(self.crms)]

    def died_unread(self, person: str, cause: str) -> None:
        """A record is gone that nobody ever carried over."""
        self._unread.setdefault(cause, set()).add(person)

    def unread_of(self, cause: str) -> set[str]:
        """Whose records died so."""
        return self._unread.get(cause, set())

    # -------------------------------------------------------------------------------- what the engine wrote

    def catch_up(self) -> None:
        """Tell the truths what the engine has written since the last time, on our side and on theirs."""
        touched = set(self._ours_written())
        for name, store in self.stores.items():
            touched |= set(self._theirs_written(name, store))
        for schedule in touched:
            self._compare(schedule)

    def _ours_written(self) -> Iterable[int]:
        rows = self.client.execute(
            "select n, object, id, before, after from soak.log where n > %s order by n", (self._logged,)
        ).fetchall()
        for n, object, id, before, after in rows:
            self._logged = n
            record = ("ours", id)
            if after is None:
                self.shown.pop(record, None)
            elif before is None:
                self._born(record, object, self._labelled(after))
            else:
                self._written(record, self._labelled(after))
            if record in self.owner:
                yield self.owner[record]

    def _theirs_written(self, name: str, store: FaultyStore) -> Iterable[int]:
        there = store.living()
        for id, image in there.items():
            record = (name, id)
            object = self.objects.get(record) or store.object_of(id)
            values = self._labelled(looked_at(object, image))
            if record not in self.shown:
                self._born(record, object, values)
            elif self.shown[record] != values:
                self._written(record, values)
            else:
                continue
            yield self.owner.get(record, 0)
        for record in [r for r in self.shown if r[0] == name and r[1] not in there]:
            del self.shown[record]

    def _written(self, record: Record, values: dict[str, Value]) -> None:
        truth = self.truths[self.owner.get(record, 0)]
        for column, value in values.items():
            if self.shown[record][column] != value:
                truth.written((*record, column), self.shown[record][column], value)
        self.shown[record] = values

    def _born(self, record: Record, object: Object, values: dict[str, Value]) -> None:
        self.objects[record] = object
        self.shown[record] = values
        if record not in self.owner and not self._place(record):
            self.strange.append(f"nobody knows where {record} comes from")
            self.owner[record] = 0
        truth = self.truths[self.owner[record]]
        for column, value in values.items():
            truth.born((*record, column), value)

    def _place(self, record: Record) -> bool:
        """Whom a record stands for that a run has just made."""
        side, id = record
        if side == "ours":
            found = self.client.execute(
                "select connection, their_id from crm_sync.link where our_id = %s and their_id is not null",
                (id,),
            ).fetchall()
            sources = [(str(crm), str(their_id)) for crm, their_id in found]
        else:
            sources = [("ours", str(self.stores[side].image(id).our_id))]
        for source in sources:
            if source in self.owner:
                self.introduce(record, self.owner[source], self.truths[self.owner[source]].person(*source))
                return True
        return False

    def introduce(self, record: Record, schedule: int, person: str) -> None:
        """The record stands for this person of this schedule."""
        self.owner[record] = schedule
        self.truths[schedule].names[record] = person

    def label(self, value: Value) -> Value:
        """An account's id, ours or theirs, as the account that it stands for."""
        if not isinstance(value, str) or len(value) not in (18, 36):
            return value
        for side in ("ours", *self.crms):
            if (side, value) in self.owner:
                return "@" + self.truths[self.owner[side, value]].person(side, value)
        return value

    def _labelled(self, values: dict[str, Value]) -> dict[str, Value]:
        if values.get("account_id") is not None:
            return {**values, "account_id": self.label(values["account_id"])}
        return values

    def _compare(self, schedule: int) -> None:
        """What a person's records show alike on two sides has arrived."""
        truth = self.truths[schedule]
        people: dict[str, list[Record]] = {}
        for record, person in truth.names.items():
            if record in self.shown:
                people.setdefault(person, []).append(record)
        pairs = [
            (a, b) for records in people.values() for a in records if a[0] == "ours" for b in records if b[0] != "ours"
        ]  # fmt: skip
        truth.compare(
            pairs, {(*r, c): v for rs in people.values() for r in rs for c, v in self.shown[r].items()}
        )

    # ------------------------------------------------------------------------------------------- the ends

    def work_left(self) -> bool:
        """Whether the next run would have anything to look at."""
        return bool(self.count(
            """select (exists (select 1 from crm_sync.link where dirty or reread)
              or exists (select 1 from crm_sync.intent where closed_by is null)
              or exists (select 1 from crm_sync.outbox))::int"""
        ))  # fmt: skip

    def versions(self) -> list[tuple[Any, ...]]:
        """The version of every record of ours."""
        return self.client.execute(
            "select id, version from gptweb.contacts union all select id, version from gptweb.accounts "
            "union all select id, version from gptweb.leads order by 1"
        ).fetchall()

    def held(self, id: str, object: Object) -> dict[str, Value]:
        """What a record of ours holds, deleted or not."""
        columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS[object]))
        row = self.client.execute(
            sql.SQL("select {} from gptweb.{} where id = %s").format(columns, sql.Identifier(f"{object}s")), (id,)
        ).fetchone()  # fmt: skip
        return self._labelled(dict(zip(COLUMNS[object], map(json_like, row or ()), strict=False)))


def looked_at(object: Object, image: Image) -> dict[str, Value]:
    """What an image shows of what is looked at."""
    return {column: image.values[column] for column in COLUMNS[object]}


def json_like(value: Any) -> Value:
    """A value of our tables as the log of the triggers has it."""
    if value is None or isinstance(value, (str, bool)):
        return value
    return str(value) if isinstance(value, uuid.UUID) else float(value)


def _respelled(_object: Object, column: str, value: Value) -> Value:
    if column != "phone" or not isinstance(value, str):
        return value
    return value.split("~")[0] + "~"


def _as_it_is(_object: Object, _column: str, value: Value) -> Value:
    return value
