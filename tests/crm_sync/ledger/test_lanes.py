"""Chunks on two connections: in their order, each a transaction, and an error ends them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.lanes import side_by_side

PATIENCE = 30.0
"""Seconds until a test that waits for the other lane has failed."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        with database.transaction() as tx:
            tx.run("create table public.lane_test (chunk integer, backend integer)")
        yield database
        with database.transaction() as tx:
            tx.run("drop table public.lane_test")


def note(tx: Transaction, chunk: int) -> int:
    """Leave a row, and say by which connection."""
    backend = int(tx.one("select pg_backend_pid()"))
    tx.run("insert into public.lane_test values (%s, %s)", (chunk, backend))
    return backend


def noted(database: Database) -> list[int]:
    with database.transaction() as tx:
        return [row[0] for row in tx.rows("select chunk from public.lane_test order by chunk")]


def backend_of(database: Database) -> int:
    with database.transaction() as tx:
        return int(tx.one("select pg_backend_pid()"))


def test_two_chunks_are_under_way_at_once_and_their_results_in_order(database: Database) -> None:
    meeting = threading.Barrier(2)

    def work(tx: Transaction, chunk: int) -> int:
        meeting.wait(PATIENCE)  # for the other lane, which is in the middle of its own
        return note(tx, chunk)

    done = list(side_by_side(database, range(6), work))
    assert [chunk for chunk, _ in done] == noted(database) == [*range(6)]
    assert len({backend for _, backend in done}) == 2


def test_a_single_chunk_needs_no_other_connection(database: Database) -> None:
    assert list(side_by_side(database, [7], note)) == [(7, backend_of(database))]
    assert list(side_by_side(database, [], note)) == []


def test_a_single_lane_is_the_callers_connection(database: Database) -> None:
    mine = backend_of(database)
    assert list(side_by_side(database, range(3), note, lanes=1)) == [(0, mine), (1, mine), (2, mine)]


def test_the_callers_connection_is_free_meanwhile(database: Database) -> None:
    seen = [len(noted(database)) for _ in side_by_side(database, range(5), note)]
    assert seen[-1] == 5


def test_an_error_ends_it_and_what_is_committed_stays(database: Database) -> None:
    drawn: list[int] = []

    def chunks() -> Iterator[int]:
        for chunk in range(100):
            drawn.append(chunk)
            yield chunk

    def work(tx: Transaction, chunk: int) -> int:
        note(tx, chunk)
        if chunk == 3:
            raise LookupError("chunk 3")
        return chunk

    done: list[int] = []
    with pytest.raises(LookupError, match="chunk 3"):
        done.extend(chunk for chunk, _ in side_by_side(database, chunks(), work))
    assert len(drawn) < 10
    assert 3 not in noted(database)
    assert set(noted(database)) <= set(drawn)
    assert noted(database)[:3] == [0, 1, 2]


def test_who_stops_listening_leaves_nothing_under_way(database: Database) -> None:
    running = side_by_side(database, range(50), note)
    next(iter(running))
    running.close()  # type: ignore[attr-defined]  # it is a generator
    left = noted(database)
    assert 0 in left
    assert len(left) < 50
    assert noted(database) == left


def test_further_connections_are_closed_with_the_first(database: Database) -> None:
    backends = [backend for _, backend in side_by_side(database, range(4), note)]
    database.close()
    with database.transaction() as tx:
        alive = tx.one("select count(*) from pg_stat_activity where pid = any(%s)", (backends,))
    assert alive == 0
