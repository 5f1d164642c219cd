"""Which API is cheaper, and how often a job is looked at."""

from __future__ import annotations

import pytest

from crm_sync.decide.volume import (
    LargePushes,
    calls_by_batches,
    calls_by_ingest_job,
    calls_by_pages,
    calls_by_query_job,
    first_wait,
    in_words,
    next_wait,
    prefers_ingest_job,
    prefers_query_job,
    rows_of_a_job,
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


@pytest.mark.parametrize(("rows", "seconds"), [(0, 1), (50_000, 1.5), (100_000, 2)])
def test_the_first_look_comes_after_a_few_seconds(rows: int, seconds: float) -> None:
    assert first_wait(rows) == seconds


@pytest.mark.parametrize(
    ("last", "processed", "before", "working", "seconds"),
    [
        (2, 0, 0, 2, 3),
        (0, 0, 0, 4, 1.5),
        (50, 0, 0, 90, 60),
        (2, 50_000, 0, 2, 2),
        (0, 50_000, 0, 4, 4),  # the first look, at a job that has worked for a while
        (2, 10_000, 0, 2, 2),  # the rest would take 18 s: not longer than it works already
        (10, 60_000, 40_000, 30, 22),  # it went faster before
        (10, 60_000, 60_000, 30, 15),  # it stands still
        (100, 20_000, 10_000, 400, 60),
        (2, 99_999, 0, 2, 0.5),
        (2, 100_000, 0, 2, 0.5),
        (10, 99_000, 49_000, 40, 2),  # just before the end of a long one
    ],
)
def test_looks_grow_apart_to_a_minute_and_come_when_the_rest_should_be_done(
    last: float, processed: int, before: int, working: float, seconds: float
) -> None:
    assert next_wait(last, 100_000, processed, before, working) == pytest.approx(seconds)


@pytest.mark.parametrize(("rows", "first"), [(1, 1), (19_999, 19_999), (20_000, 10_000), (100_001, 50_001)])
def test_a_large_push_goes_in_two_halves(rows: int, first: int) -> None:
    assert rows_of_a_job(rows) == first


@pytest.mark.parametrize(
    ("rows", "op", "batches", "job"),
    [
        (500, "create", 1, 7),
        (100_000, "create", 200, 14),
        (100_000, "update", 200, 24),
        (1, "update", 1, 8),
        (10_001, "update", 21, 9),
    ],
)
def test_the_calls_of_a_push(rows: int, op: str, batches: int, job: int) -> None:
    assert (calls_by_batches(rows, 500), calls_by_ingest_job(rows, op)) == (batches, job)


@pytest.mark.parametrize(
    ("rows", "op", "large", "job"),
    [
        (7_000, "create", "auto", False),
        (7_001, "create", "auto", True),
        (20_000, "create", "auto", True),
        (8_000, "update", "auto", False),
        (8_001, "update", "auto", True),
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
        "contacts: 100,000 creates by bulk, about 14 calls; by composite 200"
    )
    assert (
        in_words("lead", "update", 700, 500, "auto")
        == "leads: 700 updates by composite, 2 calls; by bulk about 8"
    )
