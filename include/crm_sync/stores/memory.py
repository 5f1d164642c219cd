"""A CRM that lives in this process: the fake with which every rule of the engine is tested.

It passes the same contract as the real stores and misbehaves like them: stamps of whole seconds, values respelt when
they are stored, refused fields, deletes, merges, and people who edit at any moment, also inside one of our calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from crm_sync.decide.conversion import RENAMED
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.values import canonical
from crm_sync.errors import NotSent
from crm_sync.model import ClockReading, Failure, Image, Object, Page, Read, Row, Value, Write, Written
from crm_sync.stores.memory_records import PREFIX, Record, matches

__all__ = ["MemoryStore"]

Render = Callable[[Object, str, Value], Value]
Refuse = Callable[[Value], bool]


@dataclass
class MemoryStore:
    """The Store Protocol over a dict.

    ``clock`` is the server's clock, ``skew`` how far it is ahead of ours.  ``refusals`` maps (object, column) to a
    test that says whether a value is refused.  ``render`` gives the form in which a written value is kept.
    ``on_step`` is called at each point inside a call ("sent", "retrieved", "written", "answered"), so that a test can
    let a person act there, or raise Unanswered.  ``calls`` counts API calls, ``written`` the rows written by us.
    ``unserved``: requests whose sender died or gave up before they were carried out; ``serve_late`` commits one.
    """

    mappings: Mapping[Object, ObjectMapping]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    page_size: int = 2000
    skew: timedelta = timedelta(0)
    render: Render = lambda _object, _column, value: value
    refusals: dict[tuple[Object, str], Refuse] = field(default_factory=dict)
    hidden: set[tuple[Object, str]] = field(default_factory=set)
    on_step: Callable[[str], None] = lambda _step: None
    monotonic: Callable[[], float] = time.monotonic
    calls: int = 0
    written: int = 0
    unserved: list[tuple[Object, tuple[Write, ...]]] = field(default_factory=list)
    _records: dict[str, Record] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------- Store

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        """Yield the pages of all reads; their first pages share one call, each further page costs one."""
        if not reads:
            return
        self.calls += 1
        start = self._now()
        found = [(read, self._find(read)) for read in reads]
        self.on_step("answered")
        for read, images in found:
            for first in range(0, max(len(images), 1), self.page_size):
                if first:
                    self.calls += 1
                page = tuple(images[first : first + self.page_size])
                last = first + self.page_size >= len(images)
                yield Page(read, page, last, start, ClockReading(self.skew, timedelta(0)))

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        """Retrieve, write, retrieve again, in one call."""
        if not writes:
            return ()
        if self.monotonic() >= deadline:
            raise NotSent(
                f"{len(writes)} {object} records were not sent: the claim on them is about to run out"
            )
        self.calls += 1
        try:
            self.on_step("sent")
            before = [self._retrieve(object, write.id) for write in writes]
            self.on_step("retrieved")
        except BaseException:
            self.unserved.append((object, tuple(writes)))
            raise
        answers = [self._apply(object, write) for write in writes]
        self.on_step("written")
        after = [self._retrieve(object, write.id) if write.values else None for write in writes]
        self.on_step("answered")
        return [replace(a, before=b, after=c) for a, b, c in zip(answers, before, after, strict=True)]

    def serve_late(self, request: tuple[Object, tuple[Write, ...]]) -> None:
        """Carry out a request of ``unserved`` now, long after its sender stopped waiting."""
        self.unserved.remove(request)
        for write in request[1]:
            self._apply(request[0], write)

    # ------------------------------------------------------------------------------------------ people

    def person_creates(self, object: Object, /, **values: Value) -> str:
        """A person (or an import) makes a record; answers its id."""
        record = self._new(object)
        self._store(record, values)
        return record.id

    def person_edits(self, id: str, column: str, value: Value, *, stamp: datetime | None = None) -> None:
        """A person types a value.  ``stamp`` in the past is a transaction that was long open and commits now."""
        record = self._records[id]
        self._store(record, {column: value}, stamp)

    def person_deletes(self, id: str) -> None:
        """A person deletes a record; an account takes its contacts along."""
        for record in [self._records[id], *self._children(id)]:
            record.deleted = True
            self._touch(record)

    def person_undeletes(self, id: str) -> None:
        """A person takes a record out of the recycle bin; a key that another record took meanwhile is lost."""
        record = self._records[id]
        if self._holder(record.object, record.our_id):
            record.our_id = None
        record.deleted = False
        self._touch(record)

    def person_merges(self, loser: str, winner: str, *take: str) -> None:
        """A person merges two records: the loser is deleted and names the winner, its children move over.

        The winner ``take``s these columns from the loser.
        """
        for child in self._children(loser):
            self._store(child, {self._reference(child.object): winner})
        self._records[loser].merged_into = winner
        self._records[loser].deleted = True
        self._touch(self._records[loser])
        self._store(self._records[winner], {column: self._records[loser].values[column] for column in take})

    def person_converts(self, lead: str, contact: str | None = None) -> str:
        """A person converts a lead into a contact, a new one unless named, which gets what it has columns for."""
        record = self._records[lead]
        if contact is None:
            names = {
                f.ours: RENAMED.get(f.ours, f.ours) for f in self.mappings["lead"].fields if not f.create
            }
            shared = {n: c for n, c in names.items() if c in self.mappings["contact"].by_ours}
            contact = self.person_creates("contact", **{c: record.values[n] for n, c in shared.items()})
        record.converted_to = contact
        self._touch(record)
        return contact

    def image(self, id: str) -> Image:
        """The record as a read would show it now, deleted or not."""
        return self._image(self._records[id])

    def everybody(self, object: Object) -> list[str]:
        """The ids of all records of an object, deleted ones included."""
        return [record.id for record in self._records.values() if record.object == object]

    def images(self, object: Object) -> list[Image]:
        """All living records of an object."""
        return [self._image(r) for r in self._records.values() if r.object == object and not r.deleted]

    # ------------------------------------------------------------------------------------------- inside

    def _now(self) -> datetime:
        # Salesforce keeps whole seconds, so ties are normal (facts/salesforce.md 9).
        return self.clock().astimezone(UTC).replace(microsecond=0)

    def _new(self, object: Object) -> Record:
        blank: dict[str, Value] = {f.ours: canonical(f, None) for f in self.mappings[object].fields}
        record = Record(f"{PREFIX[object]}{len(self._records) + 1:015d}", object, blank, self._now())
        self._records[record.id] = record
        return record

    def _touch(self, record: Record, stamp: datetime | None = None, *, by_us: bool = False) -> None:
        record.stamp = stamp or self._now()
        record.modified_by_us = by_us

    def _store(
        self, record: Record, values: Row, stamp: datetime | None = None, *, by_us: bool = False
    ) -> None:
        fields = self.mappings[record.object].by_ours
        for column, value in values.items():
            record.values[column] = self.render(record.object, column, canonical(fields[column], value))
        self._touch(record, stamp, by_us=by_us)

    def _children(self, parent: str) -> list[Record]:
        return [
            record
            for record in self._records.values()
            if (m := self.mappings[record.object].reference)
            and record.values.get(m.ours) == parent
            and not record.deleted
        ]

    def _reference(self, object: Object) -> str:
        reference = self.mappings[object].reference
        return reference.ours if reference else ""

    def _image(self, record: Record) -> Image:
        return record.image({column for object, column in self.hidden if object == record.object})

    def _find(self, read: Read) -> list[Image]:
        found = [r for r in self._records.values() if matches(read, r, self.mappings[r.object])]
        found.sort(key=lambda r: (r.stamp, r.id))
        return [self._image(record) for record in found]

    def _retrieve(self, object: Object, id: str | None) -> Image | None:
        record = self._records.get(id or "")
        return None if record is None or record.deleted or record.object != object else self._image(record)

    def _apply(self, object: Object, write: Write) -> Written:
        record = self._target(object, write)
        if write.id is not None and record is None:
            gone = Failure(
                "gone", "NOT_FOUND", f"{write.id} does not exist any more", (), "It is read again by its id."
            )
            return Written(write.our_id, write.id, failures=(gone,))
        if write.deletes and record is not None:
            return self._delete(write, record)
        if record is not None and record.converted_to is not None:
            text = "cannot reference converted lead"
            gone = Failure("gone", "CANNOT_UPDATE_CONVERTED_LEAD", text, (), "It goes on as its contact.")
            return Written(write.our_id, record.id, failures=(gone,))
        failures = tuple(self._refused(object, write.values))
        holder = self._holder(object, write.our_id)
        if write.stamp_key and holder and holder is not record:
            text = f"duplicate value found: our key duplicates value on record with id: {holder.id}"
            failures += (Failure("permanent", "DUPLICATE_VALUE", text, (), "Merge the two records."),)
        if failures:
            return Written(write.our_id, write.id, failures=failures)
        created = record is None
        record = record or self._new(object)
        if write.stamp_key or write.id is None:
            record.our_id = write.our_id
        record.marker = write.marker
        self._store(record, write.values, by_us=True)
        self.written += 1
        return Written(write.our_id, record.id, created=created)

    def _delete(self, write: Write, record: Record) -> Written:
        for one in [record, *self._children(record.id)]:
            one.deleted = True
            self._touch(one, by_us=True)
        self.written += 1
        return Written(write.our_id, record.id)

    def _target(self, object: Object, write: Write) -> Record | None:
        if write.id is not None:
            record = self._records.get(write.id)
            return record if record and record.object == object and not record.deleted else None
        return self._holder(object, write.our_id)

    def _holder(self, object: Object, our_id: str | None) -> Record | None:
        """The living record with our key; a deleted one does not match it (algorithm.md 6.1, 3)."""
        alive = (r for r in self._records.values() if r.object == object and not r.deleted)
        return next((r for r in alive if our_id is not None and r.our_id == our_id), None)

    def _refused(self, object: Object, values: Row) -> Iterator[Failure]:
        for column, value in values.items():
            if column == self._reference(object) and value is not None:
                parent = self._records.get(str(value))
                if parent is None or parent.deleted:
                    text = f"invalid cross reference id {value}"
                    yield Failure(
                        "transient",
                        "INVALID_CROSS_REFERENCE_KEY",
                        text,
                        (column,),
                        "The account is read again.",
                    )
            refuses = self.refusals.get((object, column))
            if (object, column) in self.hidden or (refuses and refuses(value)):
                message = f"{column}: {value!r} is not accepted"
                yield Failure("permanent", "REFUSED", message, (column,), f"Correct {column} on either side.")
