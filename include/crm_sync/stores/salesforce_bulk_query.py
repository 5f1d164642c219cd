"""Reading by a query job of Bulk API 2.0: for reads so large that their pages would cost more calls than a job does.

The rows pass through as they arrive and feed the same pages as a query does; no result is ever held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crm_sync.errors import IncompleteRead, RetryLater, SyncError
from crm_sync.model import Image
from crm_sync.stores.salesforce_bulk import Job, job_of, rows_of, wait_for
from crm_sync.stores.salesforce_composite import Composite
from crm_sync.stores.salesforce_csv import CsvRecords
from crm_sync.stores.salesforce_records import Records
from crm_sync.stores.salesforce_soql import IN_ORDER

__all__ = ["Sizes", "query_pages"]

PAGE = 2_000
"""Rows of one page, as of a query."""
PATIENCE = 1_800.0
"""Seconds after which a query job counts as stuck (facts/salesforce.md 5.3: a batch is re-queued after 5 minutes)."""
LAST = "null"
"""What the locator of the last results says."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked for at once: rows of a page (None: the org's usual), rows of a part of a job's results.

    ``sleep``: how to wait between two looks at a job.
    """

    page: int | None
    result: int
    sleep: Callable[[float], None]


def query_pages(
    composite: Composite, records: Records, soql: str, rows: int, sizes: Sizes
) -> Iterator[tuple[list[Image], bool]]:
    """The pages of a statement of about ``rows`` rows, and whether each is the last.

    IncompleteRead before the last page if fewer or more rows arrived than the org announced, in a part or altogether.
    """
    what = f"reading {records.mapping.theirs} by a query job"
    job = _ended(composite, records, soql.removesuffix(IN_ORDER), rows, sizes.sleep, what)
    received = 0
    held: list[Image] = []
    for image in _images(composite, records, job, sizes.result, what):
        if len(held) == PAGE:
            yield held, False
            held = []
        held.append(image)
        received += 1
    if received != job.processed:
        raise IncompleteRead(
            f"{what}: {received} rows arrived, {job.processed} were announced by job {job.id}; the read begins again"
        )
    yield held, True


def _ended(
    composite: Composite, records: Records, soql: str, rows: int, sleep: Callable[[float], None], what: str
) -> Job:
    address, purpose = f"{composite.base}/jobs/query", f"{composite.purpose} {records.mapping.object}"
    call = composite.transport.call
    made = call("POST", address, json={"operation": "queryAll", "query": soql}, purpose=purpose)
    job = job_of(made, what)

    def look() -> Job:
        return job_of(call("GET", f"{address}/{job.id}", purpose=purpose), what)

    end = wait_for(look, rows, sleep, PATIENCE)
    if end.state == "JobComplete":
        return end
    if end.ended:
        raise RetryLater(
            f"{what}: job {job.id} ended as {end.state}: {end.message or 'no reason given'}; it is read again"
        )
    try:
        call("PATCH", f"{address}/{job.id}", json={"state": "Aborted"}, purpose=purpose)
    except SyncError as error:
        also = f" (it could not be aborted: {error})"
    else:
        also = ", and was aborted"
    raise RetryLater(
        f"{what}: job {job.id} was still {end.state} after {PATIENCE / 60:.0f} minutes{also}; it is read again"
    )


def _images(composite: Composite, records: Records, job: Job, size: int, what: str) -> Iterator[Image]:
    """All rows, part by part; each part has the rows that its header announces."""
    locator = ""
    while locator != LAST:
        params = {"maxRecords": str(size)} | ({"locator": locator} if locator else {})
        path = f"{composite.base}/jobs/query/{job.id}/results"
        with rows_of(composite, path, records.mapping.object, params) as (headers, names, rows):
            image = CsvRecords(records, names).image
            received = 0
            for row in rows:
                yield image(row)
                received += 1
            announced, following = headers.get("Sforce-NumberOfRecords"), headers.get("Sforce-Locator")
        if announced != str(received) or not following or following == locator:
            raise IncompleteRead(
                f"{what}: {received} rows arrived, {announced} were announced for this part, "
                f"the next part is {following!r}; the read begins again"
            )
        locator = following
