"""Chunks on two connections at once: one Postgres backend uses one core, and a large push waited for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from crm_sync.ledger.database import Database, Transaction

__all__ = ["LANES", "side_by_side"]

LANES = 2
C = TypeVar("C")
R = TypeVar("R")


def side_by_side(
    database: Database, chunks: Iterable[C], work: Callable[[Transaction, C], R], lanes: int = LANES
) -> Iterator[tuple[C, R]]:
    """Do the work on each chunk in a transaction of its own, ``lanes`` at a time; what it made of them comes in their order.

    ``work`` must touch only rows of its chunk, or wait for nobody while it holds others; ``chunks`` is drawn from by the
    caller's thread, and not far ahead.  A single chunk, or a single lane, is done there too, on the caller's connection.
    The first error ends it: what is under way comes to its end, nothing more is begun.
    """
    rest = iter(chunks)
    first = list(islice(rest, 2))
    if lanes == 1 or len(first) < LANES:
        yield from ((chunk, _done(database, chunk, work)) for chunk in chain(first, rest))
        return
    idle = database.twins(lanes)

    def on_a_lane(chunk: C) -> R:
        lane = idle.pop()
        try:
            return _done(lane, chunk, work)
        finally:
            idle.append(lane)

    pool = ThreadPoolExecutor(lanes, "lane")
    under_way: deque[tuple[C, Future[R]]] = deque()
    try:
        for chunk in chain(first, rest):
            under_way.append((chunk, pool.submit(on_a_lane, chunk)))
            if len(under_way) > lanes:  # one more than the lanes, so that none of them waits for us
                yield _result(under_way.popleft())
        while under_way:
            yield _result(under_way.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _done(database: Database, chunk: C, work: Callable[[Transaction, C], R]) -> R:
    with database.transaction() as tx:
        return work(tx, chunk)


def _result(one: tuple[C, Future[R]]) -> tuple[C, R]:
    chunk, future = one
    return chunk, future.result()
