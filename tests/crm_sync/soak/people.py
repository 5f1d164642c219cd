"""People on a stage who type: they edit, clear, take back, make records, and move contacts to other accounts."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from crm_sync.model import Object, Value
from tests.crm_sync.engine.world import is_refused
from tests.crm_sync.soak.plot import COLUMNS, Act, Schedule
from tests.crm_sync.soak.stage import Record, Stage, looked_at

__all__ = ["PeopledStage"]


class PeopledStage(Stage):
    """A stage with people who type."""

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
        for number in range(len(self.truths)):
            self._compare(number)

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
            label = self.stores[side].render(object, column, label)
        if self.shown[record][column] == label:
            return False
        self.truths[number].typed((side, id, column), label)
        if side == "ours":
            self._update(object, id, column, value)
        else:
            self.stores[side].person_edits(id, column, value, stamp=self._stamp(side, id, late))
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
        return max(begun, self.stores[crm].image(id).stamp)

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
            id = self.stores[side].person_creates(object, **row)
            if late:
                column = COLUMNS[object][0]
                stamp = (self.now + self.skew - timedelta(seconds=late)).replace(microsecond=0)
                self.stores[side].person_edits(id, column, value, stamp=stamp)
        record = (side, id)
        self.objects[record] = object
        self.introduce(record, number, f"{number}.{who}")
        shown = {c: row.get(c) for c in COLUMNS[object]}
        if side != "ours":
            shown = dict(looked_at(object, self.stores[side].image(id)))
        elif object == "contact":
            shown["do_not_call"] = False
        self.shown[record] = shown
        for column, held in shown.items():
            if column in row or column == "do_not_call":
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


def _kind_of(act: Act) -> str:
    if act.value is None:
        return f"clears {act.side}"
    if act.value == "n0":
        return f"back to the first value, {act.side}"
    return f"refused value typed, {act.side}" if is_refused(act.value) else f"edits {act.side}"
