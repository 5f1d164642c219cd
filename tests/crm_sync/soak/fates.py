"""People on a stage who decide about whole records: they delete, take back, merge, convert, and hold records locked."""

from __future__ import annotations

from psycopg import sql

from crm_sync.model import Object, Write
from tests.crm_sync.soak.crm import FaultyStore
from tests.crm_sync.soak.people import PeopledStage
from tests.crm_sync.soak.plot import COLUMNS, Act, Schedule
from tests.crm_sync.soak.stage import Record, json_like, looked_at

__all__ = ["FullStage"]


class FullStage(PeopledStage):
    """A stage on which everything happens."""

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
        before = store.living().keys()
        store.person_deletes(id)
        for gone in before - store.living().keys():
            if (
                gone not in known and store.image(gone).our_id is None
            ):  # nobody ever carried over what it held
                self.died_unread(self.truths[number].person(side, gone), "deleted unread")
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
            values = dict(zip(COLUMNS[self.objects[side, id]], map(json_like, archived), strict=True))
            self.shown[side, id] = self._labelled(values)
            return True
        image = self.stores[side].image(id)
        if not image.deleted or image.merged_into or image.converted_to:
            return False
        self.stores[side].person_undeletes(id)
        self.shown[side, id] = self._labelled(looked_at(self.objects[side, id], self.stores[side].image(id)))
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
        take = ("", COLUMNS[object][0], "phone")[act.other % 3]
        self._merge(number, crm, store, object, winner, loser, (take,) if take else ())
        self.counts["accounts merged"] += object == "account"
        return True

    def _merge(
        self, number: int, crm: str, store: FaultyStore, object: Object, winner: str, loser: str, take: tuple[str, ...]
    ) -> None:  # fmt: skip
        """From then on the two are one person, unless the winner is known as somebody else (``World.their_merge``)."""
        truth = self.truths[number]
        known = self._known(number, crm)
        known |= {
            id for id in (winner, loser) if store.image(id).our_id
        }  # made by a call whose reply was lost
        before = store.image(winner).values
        if loser not in known:
            self.died_unread(truth.person(crm, loser), "merged unread")
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
        self.shown[crm, winner] = self._labelled(looked_at(object, store.image(winner)))
        self._go_over(crm, store)  # once it is settled who the survivor is

    def _go_over(self, crm: str, store: FaultyStore) -> None:
        """The contacts of an account go over to the one that goes on: so decided who merged them."""
        for record in [r for r in self.shown if r[0] == crm and self.objects[r] == "contact"]:
            image = store.image(record[1])
            label = self.label(image.values["account_id"])
            if not image.deleted and label != self.shown[record]["account_id"]:
                self.truths[self.owner[record]].typed((*record, "account_id"), label)
                self.shown[record] = {**self.shown[record], "account_id": label}

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
        contact = store.person_converts(lead)
        self.objects[crm, contact] = "contact"
        self.introduce((crm, contact), number, truth.person(crm, lead))
        for column in COLUMNS["contact"]:
            truth.cells[crm, contact, column] = truth.cells.get((crm, lead, column))
        self.shown.pop((crm, lead), None)
        self.shown[crm, contact] = self._labelled(looked_at("contact", store.image(contact)))
        return True

    def _locks(self, number: int, _schedule: Schedule, act: Act) -> bool:
        """Somebody's import holds the record: the next writes to it are refused."""
        crm = self.crm_of(act.crm)
        id = self.find(number, act.who, crm)
        if id is not None:
            self.stores[crm].lock(id, 1 + act.other)
        return id is not None

    def deliver(self, crm: str, request: tuple[Object, tuple[Write, ...]]) -> None:
        """A request whose sender gave up is carried out after all."""
        self.catch_up()
        self.stores[crm].serve_late(request)
        self.catch_up()
