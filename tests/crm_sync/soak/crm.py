"""The CRM in memory, and what goes wrong on the way to it: lost replies, cut pages, locked rows, stamps that jitter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from crm_sync.errors import IncompleteRead, NotSent, RetryLater, Unanswered
from crm_sync.model import Failure, Image, Object, Page, Read, Write, Written
from crm_sync.stores.memory import MemoryStore
from crm_sync.stores.memory_records import Record

__all__ = ["NETWORK", "READING", "FaultyStore"]

NETWORK = ("not sent", "reply lost", "connection lost", "connection lost, served late")
READING = ("page missing", "server down")


@dataclass
class FaultyStore(MemoryStore):
    """A MemoryStore whose network breaks.

    ``strikes``: what happens to the coming writes, one word a call ("" nothing).  ``cut``: the next read breaks off after
    so many pages.  ``locked``: their id -> how many more writes of it meet a lock.  ``jitter``: stamps may be a second old.
    ``patience``: after so many seconds on its way a request is lost.  ``happened`` counts what did go wrong.
    """

    strikes: list[str] = field(default_factory=list)
    cut: int | None = None
    locked: Counter[str] = field(default_factory=Counter)
    jitter: bool = False
    patience: float | None = None
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        step = self.on_step

        def stand(label: str) -> None:
            since = self.clock()
            step(label)
            if (
                label == "sent"
                and self.patience is not None
                and self.clock() - since > timedelta(seconds=self.patience)
            ):
                raise Unanswered("the request was never carried out")

        self.on_step = stand

    def arm(self, fault: str, call: int) -> None:
        """What breaks in the coming run by itself: the write of this number, or a read after so many pages."""
        self.mend()
        if fault in NETWORK:
            self.strikes = [""] * call + [fault]
        elif fault in READING:
            self.cut = 0 if fault == "server down" else 1 + call

    def mend(self) -> None:
        """Nothing breaks any more."""
        self.strikes, self.cut = [], None

    def lock(self, id: str, times: int) -> None:
        """Somebody holds a record: so many writes of it are refused."""
        self.locked[id] += times

    def calm(self) -> None:
        """Nothing breaks, and nobody holds a record."""
        self.mend()
        self.locked.clear()

    def living(self) -> dict[str, Image]:
        """Records that are there and go on as themselves."""
        return {
            r.id: self._image(r) for r in self._records.values() if not r.deleted and r.converted_to is None
        }

    def object_of(self, id: str) -> Object:
        """What a record is."""
        return self._records[id].object

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        cut, self.cut = self.cut, None
        if cut == 0 and reads:
            self.happened["server down"] += 1
            raise RetryLater("the server is down")
        for number, page in enumerate(super().read(reads), 1):
            yield page
            if number == cut:
                self.happened["page missing"] += 1
                raise IncompleteRead("a page is missing")

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        strike = self.strikes.pop(0) if writes and self.strikes else ""
        if strike:
            self.happened[strike] += 1
        if strike == "not sent":
            raise NotSent("the server is too busy")
        if strike.startswith("connection lost"):
            self.calls += 1
            self.unserved.append((object, tuple(writes)))
            raise Unanswered("the connection broke")
        locked = [write.id is not None and self._meets_lock(write.id) for write in writes]
        free = super().write(
            object, [w for w, waits in zip(writes, locked, strict=True) if not waits], deadline
        )
        if strike == "reply lost":
            raise Unanswered("the connection broke after the call was carried out")
        answers = iter(free)
        return [self._refusal(w) if waits else next(answers) for w, waits in zip(writes, locked, strict=True)]

    def _meets_lock(self, id: str) -> bool:
        if not self.locked[id]:
            return False
        self.locked[id] -= 1
        self.happened["locked row"] += 1
        return True

    def _refusal(self, write: Write) -> Written:
        busy = Failure(
            "transient", "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access", (), "Tried again."
        )
        image = self._retrieve(self.object_of(write.id or ""), write.id)
        return Written(write.our_id, write.id, before=image, after=image, failures=(busy,))

    def _touch(self, record: Record, stamp: datetime | None = None, *, by_us: bool = False) -> None:
        late = timedelta(seconds=self.calls % 2) if self.jitter and stamp is None else timedelta(0)
        super()._touch(record, (stamp or self._now()) - late, by_us=by_us)
