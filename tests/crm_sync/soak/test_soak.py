"""Random fault schedules with a fixed seed, on the store in memory and on the stand-in over a socket.

No lost update, no duplicate, no wrong silence; the ledger and our side are a real Postgres in both.  What is counted is told at the end, also when all is well.  ``make soak`` plays others, as many as one likes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crm_sync.soak.runner import Result, soak, soak_standin

SCHEDULES, SEED = 10_000, 1
STANDIN_SCHEDULES, STANDIN_SEED = 300, 3

HAPPENED = (
    "kill", "kill before commit", "kill, served late", "lease runs out", "machine sleeps", "overtaken", "not sent",
    "reply lost", "connection lost", "request served late", "page missing", "server down", "locked row",
    "stage repeated", "backfill run", "dry run", "limited run", "one-way run", "edits ours", "edits theirs", "clears ours",
    "clears theirs", "back to the first value, ours", "back to the first value, theirs", "types the same", "creates",
    "refused value typed, ours", "deletes", "takes back", "merges", "converts", "moves",
)  # fmt: skip
"""What must have happened often, or the schedules show nothing."""


@pytest.fixture(scope="module")
def result(postgres_server: str) -> Result:
    return soak(postgres_server, SCHEDULES, SEED)


def test_every_promise_holds(result: Result, record_property: Callable[[str, object], None]) -> None:
    record_property(f"soak on the memory store, seed {SEED}", str(result))
    assert not result.problems


def test_everything_happened(result: Result) -> None:
    assert result.counts["schedules"] >= SCHEDULES
    assert [name for name in HAPPENED if result.counts[name] < SCHEDULES / 500] == []
    assert result.counts["accounts merged"] >= SCHEDULES / 1000


@pytest.fixture(scope="module")
def standin_result(postgres_server: str) -> Result:
    return soak_standin(postgres_server, STANDIN_SCHEDULES, STANDIN_SEED)


def test_every_promise_holds_on_the_standin(
    standin_result: Result, record_property: Callable[[str, object], None]
) -> None:
    record_property(f"soak on the stand-in, seed {STANDIN_SEED}", str(standin_result))
    assert not standin_result.problems
    assert standin_result.counts["schedules"] >= STANDIN_SCHEDULES


def test_everything_happened_on_the_standin(standin_result: Result) -> None:
    names = ("kill", "kill before commit", "overtaken", "not sent", "reply lost", "connection lost", "page missing",
             "server down", "locked row", "stage repeated", "edits ours", "edits theirs", "deletes", "merges", "moves")  # fmt: skip
    assert [name for name in names if not standin_result.counts[name]] == []
