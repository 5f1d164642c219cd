"""Volume decides the API: pure arithmetic on the calls that pages, batches and bulk jobs cost (facts/salesforce.md 3.3, 5).

A page or a batch is a call.  A job is a handful of calls however large it is: open it, look at it until it has ended,
fetch its results; an ingest job also takes its data and the word to begin.  A large push goes in two halves, so that the
CRM works on one while the other is filled, or its results are kept.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AT_ONCE",
    "LOOKS",
    "LOOK_ROWS",
    "RESULT_ROWS",
    "RETRIEVED",
    "LargePushes",
    "calls_by_batches",
    "calls_by_ingest_job",
    "calls_by_pages",
    "calls_by_query_job",
    "first_wait",
    "in_words",
    "next_wait",
    "prefers_ingest_job",
    "prefers_query_job",
    "rows_of_a_job",
]

LargePushes = Literal["auto", "composite", "bulk"]
"""How a large push goes: as the arithmetic says, always in batches, or always by a job."""

PAGE_ROWS = 2_000
"""Rows of a page of a query, unless the org or the store makes them smaller."""
RESULT_ROWS = 50_000
"""Rows that are asked for with one call of a query job's results."""
HALF = 2
"""An ingest job has to halve the calls at least: it costs a person minutes, and the database more than batches do."""
LOOKS = 5
"""How often a query job is looked at until it has ended: half a minute for 100,000 rows."""
INGEST_LOOKS = 3
"""The same of an ingest job, which says how far it is."""
RETRIEVED = 2_000
"""Records that one retrieve shows at most (facts/salesforce.md 4.3)."""
LOOK_ROWS = 5 * RETRIEVED
"""Records that are looked at with one call before a job overwrites them."""
AT_ONCE = 2
"""Ingest jobs of one push under way at a time."""
WORTH_TWO = 20_000
"""Rows from which a push goes in two jobs."""
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 60.0


def calls_by_pages(rows: int, page_rows: int = PAGE_ROWS) -> int:
    """The calls of a query of so many rows."""
    return max(1, _parts(rows, page_rows))


def calls_by_query_job(rows: int) -> int:
    """The calls of a query job: it is made, looked at, and its results are fetched."""
    return 1 + LOOKS + max(1, _parts(rows, RESULT_ROWS))


def prefers_query_job(rows: int, page_rows: int = PAGE_ROWS) -> bool:
    """Whether a query whose first page has come is cheaper begun anew as a job."""
    return calls_by_query_job(rows) < calls_by_pages(rows, page_rows) - 1


def calls_by_batches(rows: int, batch_rows: int) -> int:
    """The calls of a push in batches."""
    return _parts(rows, batch_rows)


def rows_of_a_job(rows: int) -> int:
    """How many of so many rows the first ingest job gets."""
    return _parts(rows, AT_ONCE) if rows >= WORTH_TWO else rows


def calls_by_ingest_job(rows: int, op: str) -> int:
    """The calls of a push by ingest jobs, each made, filled, begun, looked at, and asked for its results.

    An update also looks at the records before.  Where rows were refused their results cost two calls more.
    """
    jobs = 1 if rows < WORTH_TWO else AT_ONCE
    looks = jobs * _parts(_parts(rows, jobs), LOOK_ROWS) if op == "update" else 0
    return jobs * (3 + INGEST_LOOKS + 1) + looks


def prefers_ingest_job(rows: int, op: str, batch_rows: int, large_pushes: LargePushes) -> bool:
    """Whether so many creates or updates go by a job."""
    if op not in ("create", "update") or rows == 0 or large_pushes == "composite":
        return False
    return large_pushes == "bulk" or HALF * calls_by_ingest_job(rows, op) < calls_by_batches(rows, batch_rows)


def in_words(object: str, op: str, rows: int, batch_rows: int, large_pushes: LargePushes) -> str:
    """How a push will go, with what each way costs, for the plan's report."""
    batches, job = calls_by_batches(rows, batch_rows), calls_by_ingest_job(rows, op)
    what = f"{object}s: {rows:,} {op}s"
    if prefers_ingest_job(rows, op, batch_rows, large_pushes):
        return f"{what} by bulk, about {job} calls; by composite {batches:,}"
    return f"{what} by composite, {batches:,} calls; by bulk about {job}"


def first_wait(rows: int) -> float:
    """Seconds before the first look at a job: a few for its rows."""
    return 1 + rows / 100_000


def next_wait(last: float, rows: int, processed: int, before: int, working: float) -> float:
    """Seconds before the next look at a job that has come to ``processed`` rows in ``working`` seconds.

    It lasts a tenth longer than the rest takes at the pace since the look before, ``last`` seconds ago at ``before`` rows:
    a look too early costs a call.  But no longer than the job works already, and not less than a twentieth of that.  While
    nothing moves, half as many again as the last time.  At most a minute.
    """
    pace = (processed - before) / (last if before else working) if processed > before else 0
    if not pace:
        return min(1.5 * max(last, 1), LONGEST_WAIT)
    rest = max(1.1 * (rows - processed) / pace, SHORTEST_WAIT, working / 20)
    return min(rest, working, LONGEST_WAIT)


def _parts(rows: int, size: int) -> int:
    return -(-rows // size)
