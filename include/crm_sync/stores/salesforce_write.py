"""Writing to Salesforce: retrieve, three collections, retrieve again, in one call; every row gets its own answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crm_sync.access.refusals import BYSTANDER, collection_failures, row_failures
from crm_sync.access.replies import call_error
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.errors import SyncError, Unanswered
from crm_sync.model import Image, Write, Written
from crm_sync.stores.salesforce_composite import COLLECTION, SUBREQUESTS, Composite, SubReply, SubRequest
from crm_sync.stores.salesforce_records import Records

__all__ = ["BATCH", "BatchWriter"]

BATCH = 500
"""Rows a write: three collections, with the two retrieves around them the five of a composite."""
SPLITS = 8
"""Calls that a batch may cost beyond its first, to find the rows for which a whole collection was refused."""


class BatchWriter:
    """Writes one batch of one object, all updates, all creates or all deletes."""

    def __init__(self, composite: Composite, records: Records, deadline: float) -> None:
        self._composite = composite
        self._records = records
        self._deadline = deadline
        self._splits = SPLITS

    def write(self, writes: Sequence[Write], size: int = COLLECTION) -> list[Written]:
        """One call, collections of ``size``."""
        chunks = [writes[first : first + size] for first in range(0, len(writes), size)]
        if writes[0].id is None:
            return self._written(chunks, self._send([self._create(chunk) for chunk in chunks]))
        valued = [write for write in writes if write.values]
        again = (
            [self._retrieve(valued)] if valued else []
        )  # our key alone, or a delete: nothing to see how they spell it
        rows = map(self._delete if writes[0].deletes else self._update, chunks)
        before, *answers = self._send([self._retrieve(writes), *rows, *again])
        after = iter(self._images(answers.pop(), valued) if again else ())
        written = self._written(chunks, answers)
        shown = [
            (b, next(after) if w.values else None)
            for w, b in zip(writes, self._images(before, writes), strict=True)
        ]
        # A row that was sent again by itself has the images of that call.
        return [
            w if w.before else replace(w, before=b, after=a) for w, (b, a) in zip(written, shown, strict=True)
        ]

    def _send(self, requests: list[SubRequest]) -> list[SubReply]:
        if len(requests) > SUBREQUESTS:
            raise ValueError(f"{len(requests)} sub-requests, a composite takes {SUBREQUESTS}")
        return self._composite.send(
            requests, writes=True, about=self._records.mapping.object, deadline=self._deadline
        )[1]

    def _update(self, writes: Sequence[Write]) -> SubRequest:
        body = {"allOrNone": False, "records": list(map(self._records.update, writes))}
        return SubRequest("PATCH", f"{self._composite.base}/composite/sobjects", body)

    def _delete(self, writes: Sequence[Write]) -> SubRequest:
        ids = ",".join(str(write.id) for write in writes)
        return SubRequest("DELETE", f"{self._composite.base}/composite/sobjects?ids={ids}&allOrNone=false")

    def _create(self, writes: Sequence[Write]) -> SubRequest:
        mapping = self._records.mapping
        body = {"allOrNone": False, "records": list(map(self._records.create, writes))}
        url = f"{self._composite.base}/composite/sobjects/{mapping.theirs}/{mapping.key.theirs}"
        return SubRequest("PATCH", url, body)

    def _retrieve(self, writes: Sequence[Write]) -> SubRequest:
        url = f"{self._composite.base}/composite/sobjects/{self._records.mapping.theirs}"
        return SubRequest("POST", url, self._records.retrieve([write.id for write in writes]))

    def _images(self, answer: SubReply, writes: Sequence[Write]) -> list[Image | None]:
        """What a retrieve showed of each row; nothing at all when it was refused or does not fit the batch."""
        if answer.failed or not isinstance(answer.body, list) or len(answer.body) != len(writes):
            return [None] * len(writes)
        image = self._records.image
        return [record and image(record) for record in answer.body]

    def _written(self, chunks: list[Sequence[Write]], answers: list[SubReply]) -> list[Written]:
        mapping = self._records.mapping
        written: list[Written] = []
        for chunk, answer in zip(chunks, answers, strict=True):
            if answer.failed:
                written += self._refused(chunk, answer)
            elif not isinstance(answer.body, list) or len(answer.body) != len(chunk):
                raise self._composite.garbled("an answer does not fit its rows", writes=True)
            else:
                written += [
                    _answer(mapping, write, item) for write, item in zip(chunk, answer.body, strict=True)
                ]
        return written

    def _refused(self, chunk: Sequence[Write], answer: SubReply) -> list[Written]:
        """A collection that was refused as a whole: none of its rows was processed, some of them are the cause."""
        mapping = self._records.mapping
        what = f"writing {len(chunk)} {mapping.theirs}"
        connection = self._composite.transport.connection
        error = call_error(answer.status, answer.body, writes=True, what=what, connection=connection)
        if isinstance(error, Unanswered):
            raise error
        failures = collection_failures(answer.body, mapping, chunk)
        if failures is None and self._splits > 0:
            self._splits -= 1
            try:
                return self.write(chunk, -(-len(chunk) // 3))
            except Unanswered:
                raise
            except SyncError:
                pass  # these rows were not sent; what was answered before them must not get lost
        rows = failures or [(BYSTANDER,)] * len(chunk)
        return [Written(w.our_id, w.id, failures=row) for w, row in zip(chunk, rows, strict=True)]


def _answer(mapping: ObjectMapping, write: Write, answer: Any) -> Written:
    """The answer to one row."""
    if answer.get("success") is True:
        return Written(write.our_id, answer.get("id") or write.id, created=answer.get("created") is True)
    return Written(write.our_id, write.id, failures=row_failures(answer.get("errors"), mapping, write))
