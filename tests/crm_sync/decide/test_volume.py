"""Which API is cheaper, and how often a job is looked at."""

from __future__ import annotations

from itertools import islice

import pytest

from crm_sync.decide.volume import (
    LOOKS,
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
    [(0, 1, 7), (2_000, 1, 7), (2_001, 2, 7), (100_000, 50, 8), (1_000_000, 500, 26)],
)
def test_the_calls_of_a_read(rows: int, pages: int, job: int) -> None:
    assert (calls_by_pages(rows), calls_by_query_job(rows)) == (pages, job)


@pytest.mark.parametrize(
    ("rows", "page_rows", "job"),
    [
        (0, 2_000, False),
        (16_000, 2_000, False),
        (16_001, 2_000, True),
        (100_000, 2_000, True),
        (1_601, 200, True),
    ],
)
def test_a_job_is_begun_only_if_it_is_cheaper_than_what_is_left(rows: int, page_rows: int, job: bool) -> None:
    assert prefers_query_job(rows, page_rows) is job


def test_the_looks_grow_apart_to_a_minute() -> None:
    assert list(islice(waits(100_000), 4)) == [2, 3, 4.5, 6.75]
    assert list(islice(waits(0), 3)) == [1, 1.5, 2.25]
    assert list(islice(waits(0), 20))[-1] == 60


def test_as_many_looks_as_are_counted_see_half_a_minute_of_a_large_job() -> None:
    assert 25 < sum(islice(waits(100_000), LOOKS)) < 35


@pytest.mark.parametrize(
    ("rows", "op", "batches", "job"),
    [
        (500, "create", 1, 11),
        (100_000, "create", 200, 11),
        (100_000, "update", 200, 19),
        (1, "update", 1, 12),
    ],
)
def test_the_calls_of_a_push(rows: int, op: str, batches: int, job: int) -> None:
    assert (calls_by_batches(rows, 500), calls_by_ingest_job(rows, op)) == (batches, job)


@pytest.mark.parametrize(
    ("rows", "op", "large", "job"),
    [
        (11_000, "create", "auto", False),
        (11_001, "create", "auto", True),
        (18_000, "update", "auto", False),
        (18_001, "update", "auto", True),
        (100_000, "create", "composite", False),
        (1, "update", "bulk", True),
        (0, "update", "bulk", False),
        (100_000, "delete", "bulk", False),
    ],
)
def test_a_push_goes_by_a_job_that_halves_its_calls_unless_somebody_chose(
    rows: int, op: str, large: LargePushes, job: bool
) -> None:
    assert prefers_ingest_job(rows, op, 500, large) is job


def test_the_plan_names_both_ways() -> None:
    assert in_words("contact", "create", 100_000, 500, "auto") == (
        "contacts: 100,000 creates by bulk, about 11 calls; by composite 200"
    )
    assert (
        in_words("lead", "update", 700, 500, "auto")
        == "leads: 700 updates by composite, 2 calls; by bulk about 12"
    )
