"""What people typed, kept outside the engine, and whether anything of it was lost.

Every edit is an event that knows what it was typed over.  What the engine writes is noticed by comparing both sides
around each of its steps: so the servers say what was overwritten, not the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_sync.model import Value

__all__ = ["FIELDS", "OWNED", "Cell", "Event", "Recorded", "Truth", "plain"]

FIELDS = ("title", "phone", "total_score")
OWNED = frozenset({"total_score"})

Cell = tuple[str, str, str]
"""side ("ours" or a CRM's name), record id, column."""
Person = str
Snapshot = Mapping[Cell, Value]


def plain(value: Value) -> Value:
    """A value without the mark that a CRM of the tests puts behind it when it spells it its own way."""
    return value.split("~")[0] if isinstance(value, str) else value


@dataclass(eq=False)
class Event:
    """Somebody typed ``value`` where ``over`` stood; ``reached``: it has been on both sides."""

    side: str
    person: Person
    column: str
    value: Value
    over: Event | None
    reached: bool = False

    def __repr__(self) -> str:
        return f"{self.value!r} typed into {self.column} of {self.person} in {self.side}"


@dataclass(frozen=True)
class Recorded:
    """One line of the audit trail that says what became of a value; ``unseen`` names a window instead of a value."""

    person: Person
    column: str
    value: Value
    winner: Value
    overruled: bool
    unseen: bool


@dataclass
class Truth:
    """Events, and who is who: records of the same person on different sides share a name.

    ``columns``: those that are looked at.
    """

    columns: tuple[str, ...] = FIELDS
    events: list[Event] = field(default_factory=list)
    cells: dict[Cell, Event | None] = field(default_factory=dict)
    names: dict[tuple[str, str], Person] = field(default_factory=dict)
    overwritten: list[tuple[Event, Value]] = field(default_factory=list)
    engine_writes: int = 0

    def person(self, side: str, id: str) -> Person:
        """Whose record it is."""
        return self.names.get((side, id), f"{side}:{id}")

    def becomes(self, one: tuple[str, str], other: tuple[str, str]) -> None:
        """Somebody merged two records: what was typed into one of them was typed into the other's person."""
        old, new = self.person(*one), self.person(*other)
        for event in self.events:
            if event.person == old and event.side == one[0]:
                event.person = new
        self.names[one] = new
        for column in self.columns:
            self.cells[*one, column] = self.cells.get((*other, column))

    def typed(self, cell: Cell, value: Value) -> None:
        """A person typed a value."""
        side, id, column = cell
        event = Event(side, self.person(side, id), column, plain(value), self.cells.get(cell))
        self.events.append(event)
        self.cells[cell] = event

    def written(self, cell: Cell, before: Value, after: Value) -> None:
        """The engine wrote a value: what stood there must have been on the other side, or be recorded."""
        side, id, column = cell
        self.engine_writes += 1
        if plain(before) == plain(after):
            return
        lost, source = self.cells.get(cell), self._source(self.person(side, id), column, after)
        if lost and not lost.reached and column not in OWNED and not (source and self._led_to(lost, source)):
            self.overwritten.append((lost, plain(after)))
        if source:
            source.reached = True
        self.cells[cell] = source

    def born(self, cell: Cell, value: Value) -> None:
        """The engine made a record: its values come from the other side."""
        self.cells[cell] = self._source(self.person(*cell[:2]), cell[2], value)

    def compare(self, pairs: list[tuple[tuple[str, str], tuple[str, str]]], now: Snapshot) -> None:
        """What both sides show at this moment has reached the other side."""
        for ours, theirs in pairs:
            for column in self.columns:
                a, b = (*ours, column), (*theirs, column)
                if a in now and b in now and plain(now[a]) == plain(now[b]):
                    for cell in (a, b):
                        event = self.cells.get(cell)
                        if event and event.value == plain(now[cell]):
                            event.reached = True

    # ------------------------------------------------------------------------------------------ verdicts

    def lost(
        self,
        recorded: list[Recorded],
        final: Mapping[tuple[Person, str], list[Value]],
        excused: set[Person],
        excused_columns: set[tuple[Person, str]],
    ) -> list[str]:
        """Edits that are on neither side at the end and nowhere recorded."""
        known = {(r.person, r.column, plain(r.value)) for r in recorded}
        windows = {(r.person, r.column) for r in recorded if r.unseen}
        problems = [
            f"{event} was overwritten by {winner!r} and is nowhere recorded"
            for event, winner in self.overwritten
            if not event.reached
            and event.person not in excused
            and (event.person, event.column, event.value) not in known
            and (event.person, event.column) not in windows
        ]
        last = {(e.side, e.person, e.column): e for e in self.events}
        for event in last.values():
            where = (event.person, event.column)
            values = [plain(v) for v in final.get(where, [])]
            if event.column in OWNED or event.person in excused or where in excused_columns or not values:
                continue
            if event.value in values or (*where, event.value) in known or where in windows:
                continue
            sources = self._events_of(event.person, event.column, values[0])
            if any(self._led_to(event, source) for source in sources):
                continue
            if any(self._led_to(event, later) for later in self.events if later.side != event.side):
                continue
            problems.append(f"{event} is lost: in the end there is {values[0]!r}")
        return problems

    def wrong_winners(self, recorded: list[Recorded]) -> list[str]:
        """A value that overruled an edit typed on top of it: both sides agreed once, so there was no conflict."""
        problems = []
        for r in recorded:
            losers = self._events_of(r.person, r.column, r.value)
            winners = self._events_of(r.person, r.column, r.winner)
            if (
                not r.overruled
                or r.column in OWNED
                or r.value is None
                or len(losers) != 1
                or len(winners) != 1
            ):
                continue
            if winners[0] in self._ancestors(losers[0], widely=False):
                problems.append(f"{winners[0]} overruled its own successor {losers[0]}")
        return problems

    def _events_of(self, person: Person, column: str, value: Value) -> list[Event]:
        wanted = plain(value)
        return [e for e in self.events if (e.person, e.column, e.value) == (person, column, wanted)]

    def _source(self, person: Person, column: str, value: Value) -> Event | None:
        found = self._events_of(person, column, value)
        return found[-1] if found else None

    def _led_to(self, earlier: Event, later: Event) -> bool:
        return earlier in self._ancestors(later, widely=True)

    def _ancestors(self, event: Event, *, widely: bool) -> set[Event]:
        """What an event was typed over, and over what that was typed; widely: equal values count as one event."""

        def alike(e: Event) -> list[Event]:
            return self._events_of(e.person, e.column, e.value) if widely else [e]

        found: set[Event] = set()
        todo, done = alike(event), set[Event]()
        while todo:
            current = todo.pop()
            if current in done:
                continue
            done.add(current)
            if current.over is not None:
                parents = alike(current.over)
                found.update(parents)
                todo.extend(parents)
        return found
