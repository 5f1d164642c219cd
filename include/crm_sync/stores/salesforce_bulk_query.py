"""Reading by a query job of Bulk API 2.0: for reads so large that their pages would cost more calls than a job does.

The rows pass through as they arrive and feed the same pages as a query does; no result is ever held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_sync.errors import IncompleteRead, JobUnderWay, Missing, RetryLater, SyncError
from crm_sync.model import Image
from crm_sync.stores.salesforce_bulk import Job, job_of, rows_of, wait_for
from crm_sync.stores.salesforce_composite import Composite
from crm_sync.stores.salesforce_csv import CsvRecords
from crm_sync.stores.salesforce_records import Records
from crm_sync.stores.salesforce_soql import IN_ORDER

__all__ = ["PATIENCE", "Sizes", "query_pages"]

PAGE = 2_000
"""Rows of one page, as of a query."""
PATIENCE = 1_800.0
"""Seconds after which a query job counts as stuck (facts/salesforce.md 5.3: a batch is re-queued after 5 minutes)."""
LAST = "null"
"""What the locator of the last results says."""


SOONEST, LATEST = timedelta(seconds=30), timedelta(minutes=10)
"""How long a read that was left waits at least and at most before it looks at its job again."""
Look = tuple[Job, datetime]
"""A job as the org last said, and when it was made."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is asked for at once: rows of a page (None: the org's usual), rows of a part of a job's results.

    ``sleep``: how to wait between two looks at a job; ``patience``: seconds for which a job is waited for that may be left.
    """

    page: int | None
    result: int
    sleep: Callable[[float], None]
    patience: float = PATIENCE


def query_pages(
    composite: Composite, records: Records, soql: str, rows: int, sizes: Sizes, known: str | None = None
) -> Iterator[tuple[list[Image], bool, str]]:
    """The pages of a statement of about ``rows`` rows, whether each is the last, and first of all the job that reads them.

    ``known``: the job of an earlier try, see ChangedSince.  IncompleteRead before the last page if fewer or more rows
    arrived than the org announced, in a part or altogether; JobUnderWay if the job works longer than it is waited for.
    """
    what = f"reading {records.mapping.theirs} by a query job"
    job = _taken_up(composite, records, known, what) if known else None
    if job is None:
        job = _made(composite, records, soql.removesuffix(IN_ORDER), what)
    yield [], False, job.id
    job = _ended(composite, records, job, rows, sizes, what, may_leave=known is not None)
    received = 0
    held: list[Image] = []
    for image in _images(composite, records, job, sizes.result, what):
        if len(held) == PAGE:
            yield held, False, job.id
            held = []
        held.append(image)
        received += 1
    if received != job.processed:
        raise IncompleteRead(
            f"{what}: {received} rows arrived, {job.processed} were announced by job {job.id}; the read begins again"
        )
    yield held, True, job.id


def _made(composite: Composite, records: Records, soql: str, what: str) -> Job:
    made = composite.transport.call(
        "POST", f"{composite.base}/jobs/query", json={"operation": "queryAll", "query": soql},
        purpose=_purpose(composite, records),
    )  # fmt: skip
    return job_of(made, what)


def _taken_up(composite: Composite, records: Records, known: str, what: str) -> Job | None:
    """The job of an earlier try; None when it is gone or has failed, so that another one has to read."""
    try:
        job, _ = _look(composite, records, known, what)
    except Missing:
        return None
    return job if job.complete or not job.ended else None


def _look(composite: Composite, records: Records, job_id: str, what: str) -> Look:
    reply = composite.transport.call(
        "GET", f"{composite.base}/jobs/query/{job_id}", purpose=_purpose(composite, records)
    )
    try:
        made_at = datetime.fromisoformat(str(reply.body["createdDate"]))
    except (KeyError, TypeError, ValueError):
        made_at = reply.server_date  # it only tells how long the job takes already
    return job_of(reply, what), made_at


def _ended(
    composite: Composite, records: Records, job: Job, rows: int, sizes: Sizes, what: str, *, may_leave: bool
) -> Job:
    made_at = job.at

    def look() -> Job:
        nonlocal made_at
        found, made_at = _look(composite, records, job.id, what)
        return found

    if job.ended:
        return job
    end = wait_for(look, rows, sizes.sleep, min(sizes.patience, PATIENCE) if may_leave else PATIENCE)
    if end.complete:
        return end
    if end.ended:
        raise RetryLater(
            f"{what}: job {job.id} ended as {end.state}: {end.message or 'no reason given'}; it is read again"
        )
    age = end.at - made_at
    if may_leave and age < timedelta(seconds=PATIENCE):
        raise JobUnderWay(
            f"{what}: job {job.id} of about {rows:,} rows is {end.state}; the read goes on when it has ended",
            min(max(age / 2, SOONEST), LATEST),
        )
    try:
        composite.transport.call(
            "PATCH", f"{composite.base}/jobs/query/{job.id}", json={"state": "Aborted"},
            purpose=_purpose(composite, records),
        )  # fmt: skip
    except SyncError as error:
        also = f" (it could not be aborted: {error})"
    else:
        also = ", and was aborted"
    raise RetryLater(
        f"{what}: job {job.id} was still {end.state} after {PATIENCE / 60:.0f} minutes{also}; it is read again"
    )


def _purpose(composite: Composite, records: Records) -> str:
    return f"{composite.purpose} {records.mapping.object}"


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
