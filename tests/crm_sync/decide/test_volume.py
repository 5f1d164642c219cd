"""Which API is cheaper, and how often a job is looked at."""

from __future__ import annotations

from itertools import accumulate, islice

import pytest

from crm_sync.decide.volume import calls_by_pages, calls_by_query_job, prefers_query_job, waits


@pytest.mark.parametrize(
    ("rows", "pages", "job"),
    [(0, 1, 6), (2_000, 1, 6), (2_001, 2, 6), (100_000, 50, 7), (1_000_000, 500, 25)],
)
def test_the_calls_of_a_read(rows: int, pages: int, job: int) -> None:
    assert (calls_by_pages(rows), calls_by_query_job(rows)) == (pages, job)


@pytest.mark.parametrize(
    ("rows", "page_rows", "job"),
    [
        (0, 2_000, False),
        (14_000, 2_000, False),
        (14_001, 2_000, True),
        (100_000, 2_000, True),
        (1_401, 200, True),
    ],
)
def test_a_job_is_begun_only_if_it_is_cheaper_than_what_is_left(rows: int, page_rows: int, job: bool) -> None:
    assert prefers_query_job(rows, page_rows) is job


def test_the_looks_grow_apart_to_a_minute() -> None:
    assert list(islice(waits(100_000), 6)) == [5, 10, 20, 40, 60, 60]
    assert list(islice(waits(0), 3)) == [1, 2, 4]


def test_four_looks_see_a_minute_of_a_large_job() -> None:
    assert list(accumulate(islice(waits(100_000), 4)))[-1] == 75
