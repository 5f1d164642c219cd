"""Which API is cheaper, and how often a job is looked at."""

from __future__ import annotations

from itertools import accumulate, islice

import pytest

from crm_sync.decide.volume import (
    LargePushes,
    calls_by_batches,
    calls_by_ingest_job,
    calls_by_pages,
    calls_by_query_job,
    in_words,
    prefers_ingest_job,
    prefers_query_job,
    waits,
)


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


@pytest.mark.parametrize(
    ("rows", "op", "batches", "job"),
    [
        (500, "create", 1, 10),
        (100_000, "create", 200, 10),
        (100_000, "update", 200, 17),
        (1, "update", 1, 11),
    ],
)
def test_the_calls_of_a_push(rows: int, op: str, batches: int, job: int) -> None:
    assert (calls_by_batches(rows, 500), calls_by_ingest_job(rows, op)) == (batches, job)


@pytest.mark.parametrize(
    ("rows", "op", "large", "job"),
    [
        (5_000, "create", "auto", False),
        (5_001, "create", "auto", True),
        (100_000, "create", "composite", False),
        (1, "update", "bulk", True),
        (0, "update", "bulk", False),
        (100_000, "delete", "bulk", False),
    ],
)
def test_a_push_goes_the_cheaper_way_unless_somebody_chose(
    rows: int, op: str, large: LargePushes, job: bool
) -> None:
    assert prefers_ingest_job(rows, op, 500, large) is job


def test_the_plan_names_both_ways() -> None:
    assert in_words("contact", "create", 100_000, 500, "auto") == (
        "contacts: 100,000 creates by bulk, about 10 calls; by composite 200"
    )
    assert (
        in_words("lead", "update", 700, 500, "auto")
        == "leads: 700 updates by composite, 2 calls; by bulk about 11"
    )
