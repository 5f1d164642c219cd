"""Reading from Salesforce: the first pages of all reads share a call, and no read ends without all its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote as encode

from crm_sync.access.replies import call_error
from crm_sync.access.transport import Reply
from crm_sync.decide.volume import prefers_query_job
from crm_sync.errors import IncompleteRead, Misconfigured, Unreadable
from crm_sync.model import ByMatchKey, ChangedSince, ClockReading, Image, Page, Read
from crm_sync.stores.salesforce_bulk_query import Sizes, query_pages
from crm_sync.stores.salesforce_composite import SUBREQUESTS, Composite, SubReply, SubRequest
from crm_sync.stores.salesforce_records import Records
from crm_sync.stores.salesforce_soql import statements

__all__ = ["read_pages"]

GRAIN = timedelta(seconds=1)
"""Of the Date header."""
UNREADABLE = 400
"""The status of a statement that names what is missing or hidden; other refusals are about more than one object."""
NOT_ASKED = ClockReading(timedelta(0), timedelta(days=365))
"""Of a read that needs no call: nothing is known of the other clock."""


@dataclass(frozen=True, slots=True)
class _Query:
    """One statement of a read, empty when the read asks for no keys; the ``last`` of a read closes it."""

    read: Read
    records: Records
    soql: str
    last: bool


def read_pages(composite: Composite, reads: Sequence[tuple[Read, Records]], sizes: Sizes) -> Iterator[Page]:
    """The pages of all reads in their order; lazy, so a page can be stored before the next is asked for."""
    queries = [query for read, records in reads for query in _queries(read, records)]
    answers = _first_answers(composite, [query for query in queries if query.soql], _options(sizes))
    seen: set[str] = set()
    for query in queries:
        if not query.soql:
            yield Page(query.read, (), query.last, datetime.now(UTC), NOT_ASKED)
            continue
        reply, answer = next(answers)
        for images, done, latest, job in _pages(composite, query, reply, answer, sizes):
            found = images
            if isinstance(query.read, ByMatchKey):  # several statements may find the same record
                found = [image for image in images if image.id not in seen]
                seen.update(image.id for image in found)
            yield Page(
                query.read, tuple(found), done and query.last, reply.server_date - reply.took, _clock(latest),
                job,
            )  # fmt: skip
        if query.last:
            seen = set()


def _queries(read: Read, records: Records) -> list[_Query]:
    lines = statements(read, records.mapping) or [""]
    return [
        _Query(read, records, line, last)
        for line, last in zip(lines, [False] * (len(lines) - 1) + [True], strict=True)
    ]


def _first_answers(
    composite: Composite, queries: list[_Query], headers: Mapping[str, str]
) -> Iterator[tuple[Reply, SubReply]]:
    """Ask the queries five a call; a call leaves when the answers of the one before are used up."""
    for first in range(0, len(queries), SUBREQUESTS):
        urls = (
            f"{composite.base}/queryAll?q={encode(q.soql, safe='')}"
            for q in queries[first : first + SUBREQUESTS]
        )
        reply, answers = composite.send(
            [SubRequest("GET", url, headers=headers) for url in urls], writes=False
        )
        answers.reverse()
        while answers:  # each is let go once it is read: five pages of JSON are some 40 MB
            yield reply, answers.pop()


def _options(sizes: Sizes) -> dict[str, str]:
    return {"Sforce-Query-Options": f"batchSize={sizes.page}"} if sizes.page else {}


def _pages(
    composite: Composite, query: _Query, reply: Reply, answer: SubReply, sizes: Sizes
) -> Iterator[tuple[list[Image], bool, Reply, str]]:
    """The pages of one statement with the reply that brought each; IncompleteRead before a last page that is short.

    The first page tells how many rows there are: so many that a job is cheaper are read by one, that page included.
    """
    what = f"reading {query.records.mapping.theirs}"
    if answer.failed:
        connection = composite.transport.connection
        error = call_error(answer.status, answer.body, writes=False, what=what, connection=connection)
        if answer.status == UNREADABLE and isinstance(error, Misconfigured):
            raise Unreadable(str(error), query.read.object)
        raise error
    total, received, body = None, 0, answer.body
    while True:
        records, done, following, announced = _page(body, what)
        received += len(records)
        total = announced if total is None else total
        if announced != total or (done and received != total) or (not done and not (records and following)):
            raise IncompleteRead(
                f"{what}: {received} rows arrived, {total} were announced at first and {announced} at last, "
                f"{'no' if done or not following else 'a'} page was to follow; the read begins again"
            )
        if (
            total == announced
            and received == len(records)
            and not done
            and prefers_query_job(total, len(records))
        ):
            known = query.read.job if isinstance(query.read, ChangedSince) else None
            for images, last, job in query_pages(composite, query.records, query.soql, total, sizes, known):
                yield images, last, reply, job
            return
        image = query.records.image
        yield [image(record) for record in records], done, reply, ""
        if done:
            return
        reply = composite.get(following, _options(sizes), query.read.object)
        body = reply.body


def _page(body: Any, what: str) -> tuple[list[Any], bool, str, int]:
    try:
        return body["records"], bool(body["done"]), body.get("nextRecordsUrl", ""), int(body["totalSize"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise IncompleteRead(
            f"{what}: a page came without its records or totals; the read begins again"
        ) from None


def _clock(reply: Reply) -> ClockReading:
    """The server's Date lies somewhere in the call, and somewhere in its second."""
    middle = reply.sent_at + reply.took / 2
    return ClockReading(reply.server_date + GRAIN / 2 - middle, (reply.took + GRAIN) / 2)
