"""Records in a Salesforce org: the Store that reads by SOQL and writes by collections, as few calls as possible.

Reading is in ``salesforce_read``, the spelling of records in ``salesforce_records``, the call in ``salesforce_composite``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_sync.access.refusals import row_failures
from crm_sync.access.replies import call_error
from crm_sync.decide.mapping import ObjectMapping
from crm_sync.errors import Unanswered
from crm_sync.model import Failure, Image, Object, Page, Read, Write, Written
from crm_sync.stores.salesforce_composite import COLLECTION, Composite, SubReply, SubRequest, Transport
from crm_sync.stores.salesforce_read import read_pages
from crm_sync.stores.salesforce_records import Records

__all__ = ["SalesforceStore"]

BATCH = 500
"""Rows a write: three collections and the two retrieves around them are the five of a composite."""


class SalesforceStore:
    """The Store Protocol over one org.

    ``user_id`` is asked once, when the first record is read: whose writes are ours.  ``owner_id`` owns the records
    that are created (None: the integration user).  ``page_size``: rows a page, 200 to 2,000 (None: the org's 2,000).
    Of ``write``'s errors only Unanswered leaves a doubt; after any other nothing of the batch was processed.
    """

    def __init__(
        self,
        transport: Transport,
        mappings: Mapping[Object, ObjectMapping],
        user_id: Callable[[], str],
        *,
        owner_id: str | None = None,
        purpose: str = "sync",
        api_version: str = "66.0",
        page_size: int | None = None,
    ) -> None:
        self._composite = Composite(transport, api_version, purpose)
        self._mappings = mappings
        self._user_id = user_id
        self._owner_id = owner_id
        self._page_size = page_size
        self._records: dict[Object, Records] = {}

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        """Yield the pages of all reads: five first pages a call, then one call a page."""
        return read_pages(self._composite, [(read, self._of(read.object)) for read in reads], self._page_size)

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        """Write a batch of updates or of creates in one call; updates show each record before and after."""
        if not writes:
            return ()
        creates = writes[0].id is None
        if len(writes) > BATCH or any((write.id is None) != creates for write in writes):
            raise ValueError(f"a batch holds at most {BATCH} rows, all updates or all creates")
        records = self._of(object)
        chunks = [writes[first : first + COLLECTION] for first in range(0, len(writes), COLLECTION)]
        if creates:
            _reply, answers = self._send([self._create(records, chunk) for chunk in chunks], deadline)
            return self._written(records, chunks, answers)
        retrieve = self._retrieve(records, writes)
        requests = [retrieve, *(self._update(records, chunk) for chunk in chunks), retrieve]
        _reply, (before, *answers, after) = self._send(requests, deadline)
        written = self._written(records, chunks, answers)
        shown = zip(
            written, self._images(records, before, writes), self._images(records, after, writes), strict=True
        )
        return [Written(w.our_id, w.id, before=b, after=a, failures=w.failures) for w, b, a in shown]

    # ------------------------------------------------------------------------------------------- inside

    def _of(self, object: Object) -> Records:
        if object not in self._records:
            self._records[object] = Records(self._mappings[object], self._user_id(), self._owner_id)
        return self._records[object]

    def _send(self, requests: list[SubRequest], deadline: float) -> tuple[object, list[SubReply]]:
        return self._composite.send(requests, writes=True, deadline=deadline)

    def _update(self, records: Records, writes: Sequence[Write]) -> SubRequest:
        body = {"allOrNone": False, "records": list(map(records.update, writes))}
        return SubRequest("PATCH", f"{self._composite.base}/composite/sobjects", body)

    def _create(self, records: Records, writes: Sequence[Write]) -> SubRequest:
        mapping = records.mapping
        body = {"allOrNone": False, "records": list(map(records.create, writes))}
        url = f"{self._composite.base}/composite/sobjects/{mapping.theirs}/{mapping.key.theirs}"
        return SubRequest("PATCH", url, body)

    def _retrieve(self, records: Records, writes: Sequence[Write]) -> SubRequest:
        url = f"{self._composite.base}/composite/sobjects/{records.mapping.theirs}"
        return SubRequest("POST", url, records.retrieve([write.id for write in writes]))

    def _images(self, records: Records, answer: SubReply, writes: Sequence[Write]) -> list[Image | None]:
        """What a retrieve showed of each row; nothing at all when it was refused or does not fit the batch."""
        if answer.failed or not isinstance(answer.body, list) or len(answer.body) != len(writes):
            return [None] * len(writes)
        return [record and records.image(record) for record in answer.body]

    def _written(
        self, records: Records, chunks: list[Sequence[Write]], answers: list[SubReply]
    ) -> list[Written]:
        written: list[Written] = []
        for chunk, answer in zip(chunks, answers, strict=True):
            if answer.failed:
                written += self._refused(records, chunk, answer)
            elif not isinstance(answer.body, list) or len(answer.body) != len(chunk):
                raise self._composite.garbled("an answer does not fit its rows", writes=True)
            else:
                written += map(_written, [records.mapping] * len(chunk), chunk, answer.body)
        return written

    def _refused(self, records: Records, chunk: Sequence[Write], answer: SubReply) -> list[Written]:
        """A collection that was refused as a whole: none of its rows was processed."""
        what = f"writing {len(chunk)} {records.mapping.theirs}"
        connection = self._composite.transport.connection
        error = call_error(answer.status, answer.body, writes=True, what=what, connection=connection)
        if isinstance(error, Unanswered):
            raise error
        return [
            Written(w.our_id, w.id, failures=row_failures(answer.body, records.mapping, w)) for w in chunk
        ]


def _written(mapping: ObjectMapping, write: Write, answer: Any) -> Written:
    """The answer to one row."""
    if answer.get("success") is True:
        return Written(write.our_id, answer.get("id") or write.id, created=answer.get("created") is True)
    failures: tuple[Failure, ...] = row_failures(answer.get("errors"), mapping, write)
    return Written(write.our_id, write.id, failures=failures)
