"""Volume decides the API: pure arithmetic on the calls that pages, batches and bulk jobs cost (facts/salesforce.md 3.3, 5).

A page or a batch is a call.  A job is a handful of calls however large it is: open it, look at it until it has ended,
fetch its results; an ingest job also takes its data and the word to begin.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["RESULT_ROWS", "calls_by_pages", "calls_by_query_job", "prefers_query_job", "waits"]

PAGE_ROWS = 2_000
"""Rows of a page of a query, unless the org or the store makes them smaller."""
RESULT_ROWS = 50_000
"""Rows that are asked for with one call of a query job's results."""
LOOKS = 4
"""How often a job is looked at until it has ended, as ``waits`` goes: about a minute for 100,000 rows."""


def calls_by_pages(rows: int, page_rows: int = PAGE_ROWS) -> int:
    """The calls of a query of so many rows."""
    return max(1, _parts(rows, page_rows))


def calls_by_query_job(rows: int) -> int:
    """The calls of a query job: it is made, looked at, and its results are fetched."""
    return 1 + LOOKS + max(1, _parts(rows, RESULT_ROWS))


def prefers_query_job(rows: int, page_rows: int = PAGE_ROWS) -> bool:
    """Whether a query whose first page has come is cheaper begun anew as a job."""
    return calls_by_query_job(rows) < calls_by_pages(rows, page_rows) - 1


def waits(rows: int) -> Iterator[float]:
    """Seconds between two looks at a job: some for its rows at first, then twice as many, at most a minute."""
    seconds = 1 + rows / 25_000
    while True:
        yield min(seconds, 60.0)
        seconds *= 2


def _parts(rows: int, size: int) -> int:
    return -(-rows // size)
