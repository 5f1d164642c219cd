"""Where a scene is played: people who act at their moments, and what the truth learns of every write of the engine.

Our side tells by a trigger what the engine wrote, their side by a look at the store: nothing of what the engine
believes is asked.  Both are read whenever somebody is about to act, so that everything is known in its order.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from crm_sync.model import Image, Object, Value, Write
from tests.crm_sync.engine.truth import Truth
from tests.crm_sync.engine.world import MAPPINGS, Pool, World, is_refused, stop_at
from tests.crm_sync.soak.crm import FaultyStore
from tests.crm_sync.soak.plot import COLUMNS, Act, Scene, Schedule

__all__ = ["Record", "Stage", "prepare"]

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
    """The world of one scene; a truth per schedule."""

    def __init__(self, pool: Pool, scene: Scene) -> None:
        self.scene = scene
        names = ("crm",) if scene.crms == 1 else ("crm_a", "crm_b")
        more = {
            "direction": scene.direction, "their_delete": scene.their_delete, "our_archive": scene.our_archive,
            "batch_size": scene.batch_size, **{f"create_{o}s": scene.creates for o in MAPPINGS},
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
        self._logged = 0

    def new_crm(self) -> FaultyStore:
        """A CRM whose network breaks; if the scene says so, it writes telephone numbers its own way."""
        return FaultyStore(
            MAPPINGS, clock=lambda: self.now + self.skew, monotonic=self.monotonic, on_step=stop_at, skew=self.skew,
            refusals={(o, c): is_refused for o in MAPPINGS for c in ("title", "phone")}, jitter=self.scene.jitter,
            page_size=self.scene.page_size, render=_respelled if self.scene.spells else _as_it_is,
        )  # fmt: skip

    @property
    def stores(self) -> dict[str, FaultyStore]:
        """The CRMs by name."""
        return {name: crm for name, crm in self.crms.items() if isinstance(crm, FaultyStore)}

    def crm_of(self, number: int) -> str:
        """A connection's name."""
        return list(self.crms)[number % len(self.crms)]

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
        for id, image in living(store):
            record, values = (
                (name, id),
                self._labelled(_looked_at(self.objects.get((name, id)), image, store)),
            )
            if record not in self.shown:
                self._born(record, store._records[id].object, values)
            elif self.shown[record] != values:
                self._written(record, values)
            else:
                continue
            yield self.owner.get(record, 0)
        for record in [r for r in self.shown if r[0] == name and not is_living(store, r[1])]:
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
            sources = [("ours", str(self.crms[side].image(id).our_id))]
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

    # ------------------------------------------------------------------------------------------- people act

    def begin(self) -> None:
        """Those whom both sides know meet."""
        for number, schedule in enumerate(self.scene.schedules):
            for who, character in enumerate(schedule.cast):
                if character.known:
                    self._appear(number, schedule, who)
        for _ in range(self.scene.calm):
            self.run_all()
            self.tick(20)
        self.catch_up()

    def _appear(self, number: int, schedule: Schedule, who: int) -> None:
        sides = ["ours"] if self.scene.direction != "pull" else []
        if self.scene.direction == "pull" or not self.scene.creates:
            sides += list(self.crms)
        for side in sides:
            self._create(number, schedule.cast[who].object, who, side, "n0", 0)

    def act(self, number: int, act: Act) -> None:
        """Somebody does what the schedule says, if that is possible now; who is not there does nothing."""
        done = getattr(self, "_" + act.verb.replace(" ", "_"))(number, self.scene.schedules[number], act)
        if done:
            self.counts[act.verb if act.verb != "edits" else _kind_of(act)] += 1
            self._compare(number)

    def find(self, number: int, who: int, side: str, *, alive: bool = True) -> str | None:
        """The id of a character's record on a side."""
        person = f"{number}.{who}"
        found = [id for (s, id), p in self.truths[number].names.items() if s == side and p == person]
        living = [id for id in found if (side, id) in self.shown]
        return (living or [None])[-1] if alive else (living or found or [None])[-1]  # type: ignore[list-item]

    def _sides(self, act: Act) -> list[str]:
        crm = self.crm_of(act.crm)
        return {"ours": ["ours"], "theirs": [crm], "both": ["ours", crm]}[act.side]

    def _edits(self, number: int, _schedule: Schedule, act: Act) -> bool:
        side = self._sides(act)[0]
        id = self.find(number, act.who, side)
        return id is not None and self._type(number, (side, id), act.column, act.value, act.late)

    def _types_the_same(self, number: int, _schedule: Schedule, act: Act) -> bool:
        found = [(side, self.find(number, act.who, side)) for side in self._sides(act)]
        return all(id is not None for _, id in found) and all(
            self._type(number, (side, str(id)), act.column, act.value, 0) for side, id in found
        )

    def _moves(self, number: int, schedule: Schedule, act: Act) -> bool:
        """A contact gets another account, or none."""
        side = self._sides(act)[0]
        id = self.find(number, act.who, side)
        accounts = [who for who, c in enumerate(schedule.cast) if c.object == "account"]
        account = self.find(number, accounts[act.other % len(accounts)], side) if act.other else None
        if id is None or (act.other and account is None):
            return False
        return self._type(number, (side, id), "account_id", account, act.late)

    def _type(self, number: int, record: Record, column: str, value: Value, late: int) -> bool:
        side, id = record
        object, label = self.objects[record], self.label(value)
        if column not in COLUMNS[object]:
            return False  # a lead that has become a contact has no such column
        if side != "ours":
            label = self.crms[side].render(object, column, label)
        if self.shown[record][column] == label:
            return False
        self.truths[number].typed((side, id, column), label)
        if side == "ours":
            self._update(object, id, column, value)
        else:
            self.crms[side].person_edits(id, column, value, stamp=self._stamp(side, id, late))
        self.shown[record] = {**self.shown[record], column: label}
        return True

    def _update(self, object: Object, id: str, column: str, value: Value) -> None:
        # The trigger takes column times only from the engine, so the statement says it is one.
        self.client.execute(
            sql.SQL(
                "update gptweb.{} set {} = %s, changed_at = changed_at || %s "
                "from (select set_config('crm_sync.engine', 'on', true) as engine) s where id = %s and s.engine = 'on'"
            ).format(sql.Identifier(f"{object}s"), sql.Identifier(column)),
            (value, Jsonb({column: self.now.isoformat()}), id),
        )

    def _stamp(self, crm: str, id: str, late: int) -> Any:
        """A long transaction commits now and is stamped with its beginning, when it had locked the record."""
        if not late:
            return None
        begun = (self.now + self.skew - timedelta(seconds=late)).replace(microsecond=0)
        return max(begun, self.crms[crm].image(id).stamp)

    def _creates(self, number: int, schedule: Schedule, act: Act) -> bool:
        object, made = schedule.cast[act.who].object, False
        for side in self._sides(act):
            if self.find(number, act.who, side, alive=False) is None:
                self._create(number, object, act.who, side, act.value, act.late)
                made = True
        return made

    def _create(self, number: int, object: Object, who: int, side: str, value: Value, late: int) -> None:
        name = f"p{number}-{who}"
        common: dict[str, Value] = (
            {"name": f"Account {name}"} if object == "account" else {"last_name": "Doe", "email": f"{object}{name}@example.com"}
        )  # fmt: skip
        typed: dict[str, Value] = {COLUMNS[object][0]: value} | (
            {"company": "Acme"} if object == "lead" else {}
        )
        row = {**common, **typed}
        if side == "ours":
            row["total_score"] = 1.0
            id = self._insert(object, row)
        else:
            id = self.crms[side].person_creates(object, **row)
            if late:
                column = COLUMNS[object][0]
                stamp = (self.now + self.skew - timedelta(seconds=late)).replace(microsecond=0)
                self.crms[side].person_edits(id, column, value, stamp=stamp)
        record = (side, id)
        self.objects[record] = object
        self.introduce(record, number, f"{number}.{who}")
        shown = {c: row.get(c) for c in COLUMNS[object]}
        if side != "ours":
            shown = dict(_looked_at(object, self.crms[side].image(id), self.stores[side]))
        elif object == "contact":
            shown["do_not_call"] = False
        self.shown[record] = shown
        for column, held in shown.items():
            if column in row:
                self.truths[number].typed((*record, column), held)

    def _insert(self, object: Object, row: dict[str, Value]) -> str:
        self._made += 1
        id = str(uuid.UUID(int=self._made))
        self.client.execute(
            sql.SQL("insert into gptweb.{} (id, created_at, {}) values (%s, %s, {})").format(
                sql.Identifier(f"{object}s"), sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            (id, self.now, *row.values()),
        )  # fmt: skip
        return id

    # ------------------------------------------------------------------------- deletes, merges, conversions

    def _deletes(self, number: int, _schedule: Schedule, act: Act) -> bool:
        side = self._sides(act)[0]
        id = self.find(number, act.who, side)
        if id is None:
            return False
        if side == "ours":
            self.client.execute(
                sql.SQL("update gptweb.{} set deleted_at = now() where id = %s").format(self._table((side, id))), (id,)
            )  # fmt: skip
            del self.shown[side, id]
            return True
        store, known = self.stores[side], {their_id for _, _, their_id in self.links()}
        before = {i for i, _ in living(store)}
        store.person_deletes(id)
        for gone in before - {i for i, _ in living(store)}:
            if (
                gone not in known and store.image(gone).our_id is None
            ):  # nobody ever carried over what it held
                self.excused.add(f"{self.truths[number].person(side, gone)}")
            self.shown.pop((side, gone), None)
        return True

    def _takes_back(self, number: int, _schedule: Schedule, act: Act) -> bool:
        side = self._sides(act)[0]
        id = self.find(number, act.who, side, alive=False)
        if id is None or (side, id) in self.shown:
            return False
        if side == "ours":
            archived = self.client.execute(
                sql.SQL("update gptweb.{} set deleted_at = null where id = %s and {} returning {}").format(
                    self._table((side, id)), sql.SQL("deleted_at is not null"),
                    sql.SQL(", ").join(map(sql.Identifier, COLUMNS[self.objects[side, id]])),
                ),
                (id,),
            ).fetchone()  # fmt: skip
            if archived is None or self._is_converted(id):
                return archived is not None
            values = dict(zip(COLUMNS[self.objects[side, id]], map(_json_like, archived), strict=True))
            self.shown[side, id] = self._labelled(values)
            return True
        image = self.crms[side].image(id)
        if not image.deleted or image.merged_into or image.converted_to:
            return False
        self.crms[side].person_undeletes(id)
        self.shown[side, id] = self._labelled(
            _looked_at(self.objects[side, id], self.crms[side].image(id), self.stores[side])
        )
        return True

    def _is_converted(self, our_id: str) -> bool:
        return bool(
            self.count("select count(*) from crm_sync.link where our_id = %s and state = 'converted'", our_id)
        )

    def _table(self, record: Record) -> sql.Identifier:
        return sql.Identifier(f"{self.objects[record]}s")

    def _merges(self, number: int, schedule: Schedule, act: Act) -> bool:
        """Their record is merged into another of the cast, or into a stranger."""
        crm = self.crm_of(act.crm)
        loser, store = self.find(number, act.who, crm), self.stores[crm]
        if loser is None:
            return False
        object = self.objects[crm, loser]
        others = [
            id for who in range(len(schedule.cast))
            if (id := self.find(number, who, crm)) not in (None, loser) and self.objects[crm, str(id)] == object
        ]  # fmt: skip
        if not others:
            stranger = len(schedule.cast) + len(self.truths[number].names)
            self._create(number, object, stranger, crm, f"w{number}.{stranger}", 0)
            others = [str(self.find(number, stranger, crm))]
        winner = others[act.other % len(others)]
        take = ("", "title", "phone")[act.other % 3]
        self._merge(number, crm, store, object, winner, loser, (take,) if take else ())
        return True

    def _merge(
        self, number: int, crm: str, store: FaultyStore, object: Object, winner: str, loser: str, take: tuple[str, ...]
    ) -> None:  # fmt: skip
        """From then on the two are one person, unless the winner is known as somebody else (``World.their_merge``)."""
        truth = self.truths[number]
        known = self._known(number, crm)
        before = store.image(winner).values
        if loser not in known:
            self.excused.add(truth.person(crm, loser))
        person = truth.person(crm, loser)
        if any(
            r[0] == crm and r[1] not in (loser, winner) and truth.person(*r) == person
            for r in self.shown
            if r in truth.names
        ):
            self.twins.add(person)  # who goes on as somebody else leaves a twin that is a person of its own
        store.person_merges(loser, winner, *take)
        after, gone = store.image(winner).values, store.image(loser).values
        # The survivor of a merge answers no opt-out: a blank box is nobody's word.
        columns = [c for c in COLUMNS[object] if c != "account_id" and (c != "do_not_call" or after[c])]
        if winner not in known and loser in known:
            truth.becomes((crm, winner), (crm, loser))
            self.winners.add((crm, winner))
            chosen = [c for c in columns if c in take or after[c] not in (None, gone[c])]
        else:
            chosen = [c for c in columns if after[c] != before[c]]
        for column in chosen:
            old = truth.cells.get((crm, loser, column))
            truth.typed((crm, winner, column), after[column])
            if old and old.reached and after[column] == gone[column]:
                truth.events[-1].reached = True  # it stays what both sides had agreed on
        self.shown.pop((crm, loser), None)
        self.shown[crm, winner] = self._labelled(_looked_at(object, store.image(winner), store))

    def _known(self, number: int, crm: str) -> set[str]:
        """Their records that stand for somebody whom a link knows, also those into which a linked one was merged."""
        linked = {their_id for _, _, their_id in self.links()}
        names = self.truths[number].names
        people = {person for (side, id), person in names.items() if side == crm and id in linked}
        return linked | {
            id
            for (side, id), person in names.items()
            if side == crm and person in people and (side, id) in self.winners
        }

    def _converts(self, number: int, schedule: Schedule, act: Act) -> bool:
        """A lead becomes a contact that holds what the lead held; the person stays the same."""
        crm = self.crm_of(act.crm)
        lead = self.find(number, act.who, crm)
        if lead is None or self.objects[crm, lead] != "lead":
            return False
        store, truth = self.stores[crm], self.truths[number]
        if lead not in {their_id for _, _, their_id in self.links()}:
            self.excused.add(truth.person(crm, lead))
        contact = store.person_converts(lead)
        self.objects[crm, contact] = "contact"
        self.introduce((crm, contact), number, truth.person(crm, lead))
        for column in COLUMNS["contact"]:
            truth.cells[crm, contact, column] = truth.cells.get((crm, lead, column))
        self.shown.pop((crm, lead), None)
        self.shown[crm, contact] = self._labelled(_looked_at("contact", store.image(contact), store))
        return True

    def _locks(self, number: int, _schedule: Schedule, act: Act) -> bool:
        """Somebody's import holds the record: the next writes to it are refused."""
        crm = self.crm_of(act.crm)
        id = self.find(number, act.who, crm)
        if id is not None:
            self.stores[crm].locked[id] += 1 + act.other
        return id is not None

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
        return self._labelled(dict(zip(COLUMNS[object], map(_json_like, row or ()), strict=False)))

    def deliver(self, crm: str, request: tuple[Object, tuple[Write, ...]]) -> None:
        """A request whose sender gave up is carried out after all."""
        self.catch_up()
        self.crms[crm].serve_late(request)
        self.catch_up()


def living(store: FaultyStore) -> list[tuple[str, Image]]:
    """Records that are there and go on as themselves."""
    return [(r.id, store._image(r)) for r in store._records.values() if is_living(store, r.id)]


def is_living(store: FaultyStore, id: str) -> bool:
    """Whether a record is there and goes on as itself."""
    record = store._records[id]
    return not record.deleted and record.converted_to is None


def _looked_at(object: Object | None, image: Image, store: FaultyStore) -> dict[str, Value]:
    object = object or store._records[image.id].object
    return {column: image.values[column] for column in COLUMNS[object]}


def _json_like(value: Any) -> Value:
    if value is None or isinstance(value, (str, bool)):
        return value
    return str(value) if isinstance(value, uuid.UUID) else float(value)


def _kind_of(act: Act) -> str:
    if act.value is None:
        return f"clears {act.side}"
    if act.value == "n0":
        return f"back to the first value, {act.side}"
    return f"refused value typed, {act.side}" if is_refused(act.value) else f"edits {act.side}"


def _respelled(_object: Object, column: str, value: Value) -> Value:
    if column != "phone" or not isinstance(value, str):
        return value
    return value.split("~")[0] + "~"


def _as_it_is(_object: Object, _column: str, value: Value) -> Value:
    return value
