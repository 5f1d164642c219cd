"""Records in a Salesforce org: the Store that reads by SOQL and writes by collections, as few calls as possible.

Its parts are ``salesforce_read`` and ``salesforce_write``; the spelling of records is in ``salesforce_records``, the
statements are in ``salesforce_soql``, the one kind of call in ``salesforce_composite``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.decide.volume import RESULT_ROWS
from crm_sync.model import Object, Page, Read, Write, Written
from crm_sync.stores.salesforce_bulk_ingest import IngestJobs
from crm_sync.stores.salesforce_bulk_query import PATIENCE, Sizes
from crm_sync.stores.salesforce_composite import Composite, Transport
from crm_sync.stores.salesforce_read import read_pages
from crm_sync.stores.salesforce_records import Records
from crm_sync.stores.salesforce_write import BATCH, BatchWriter

__all__ = ["SalesforceStore"]


class SalesforceStore:
    """The Store Protocol over one org.

    ``user_id`` is asked once, when the first record is read: whose writes are ours.  ``owner_id`` owns the records
    that are created (None: the integration user).  ``page_size``: rows a page, 200 to 2,000 (None: the org's 2,000); ``result_size``:
    rows that are asked of a query job at once; ``sleep``: between two looks at a job; ``query_patience``: seconds for which a
    query job is waited for, if the read may be left then.
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
        result_size: int = RESULT_ROWS,
        sleep: Callable[[float], None] = time.sleep,
        query_patience: float = PATIENCE,
    ) -> None:
        self._composite = Composite(transport, api_version, purpose)
        self._mappings = mappings
        self._user_id = user_id
        self._owner_id = owner_id
        self._sizes = Sizes(page_size, result_size, sleep, query_patience)
        self._records: dict[Object, Records] = {}

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        """Yield the pages of all reads: five first pages a call, then one call a page, or by a query job if that is less."""
        asked = [(read, self._of(read.object)) for read in reads]
        return read_pages(self._composite, asked, self._sizes)

    def write(self, object: Object, writes: Sequence[Write], deadline: float) -> Sequence[Written]:
        """Write a batch of updates or of creates in one call; updates show each record before and after."""
        if not writes:
            return ()
        kinds = {(write.id is None, write.deletes) for write in writes}
        if len(writes) > BATCH or len(kinds) > 1:
            raise ValueError(f"a batch holds at most {BATCH} rows, all updates, all creates or all deletes")
        return BatchWriter(self._composite, self._of(object), deadline).write(writes)

    def jobs(self, object: Object) -> IngestJobs:
        """The bulk jobs of one object."""
        return IngestJobs(self._composite, self._of(object), self._sizes.sleep)

    def _of(self, object: Object) -> Records:
        if object not in self._records:
            self._records[object] = Records(self._mappings[object], self._user_id(), self._owner_id)
        return self._records[object]
