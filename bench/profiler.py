"""Where the time of a sync goes: our functions by cProfile, and Postgres by the place in our code that asked it."""

# ruff: noqa: PLC0415  imports are part of what is measured: each stands where a task makes it

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.cpu import on_cpu

__all__ = ["Site", "profile"]

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("run", "rows", "one", "copy")
Site = list[float]


def profile(words: list[str]) -> dict[str, Any]:
    """One sync; with the word "functions" under cProfile, with "statements" each statement is timed."""
    how, *objects = words
    from bench.ours import sync

    if how == "functions":
        # What a sync imports is not what it does.
        from crm_airflow.preload import preload

        preload()
        profiler = cProfile.Profile(time.process_time)
        said = profiler.runcall(sync, objects)
        return said | {"functions": _top(profiler)}
    sites: dict[str, Site] = defaultdict(lambda: [0, 0.0, 0.0])
    with _timed(sites):
        said = sync(objects)
    dearest = sorted(sites.items(), key=lambda item: -item[1][2])
    return said | {"statements": [[name, *site] for name, site in dearest]}


def _top(profiler: cProfile.Profile) -> list[list[Any]]:
    """Place, calls, own and cumulated seconds, by own seconds."""
    stats: Any = pstats.Stats(profiler)
    found = [
        [_place(file, line, name), calls, own, cumulated]
        for (file, line, name), (_, calls, own, cumulated, _) in stats.stats.items()
    ]
    return sorted(found, key=lambda row: -row[2])


def _place(file: str, line: int, name: str) -> str:
    path = Path(file)
    if path.is_relative_to(ROOT) and ".venv" not in path.parts:
        return f"{path.relative_to(ROOT)}:{line} {name}"
    return f"{'/'.join(path.parts[-2:])}:{line} {name}" if line else name


@contextmanager
def _timed(sites: dict[str, Site]) -> Iterator[None]:
    """Count, for each place in our code that asks the database, the questions, Postgres' CPU and ours while asking."""
    import psycopg

    from crm_sync.ledger import database

    clocks: dict[int, Callable[[], float]] = {}
    kept = {kind: getattr(database.Transaction, kind) for kind in KINDS}
    commit = psycopg.Connection.transaction

    def timed(kind: str, self: Any, *arguments: Any, **named: Any) -> Any:
        pid = self.connection.info.backend_pid
        clock = clocks.setdefault(pid, on_cpu(pid))
        site = sites[_asker(kind)]
        theirs, ours = clock(), time.process_time()
        try:
            return kept[kind](self, *arguments, **named)
        finally:
            site[0] += 1
            site[1] += time.process_time() - ours
            site[2] += clock() - theirs

    @contextmanager
    def timed_transaction(self: Any, *arguments: Any, **named: Any) -> Iterator[Any]:
        pid = self.info.backend_pid
        clock = clocks.setdefault(pid, on_cpu(pid))
        theirs = 0.0
        try:
            with commit(self, *arguments, **named) as transaction:
                yield transaction
                theirs = clock()
        finally:
            if theirs:
                site = sites["(commit)"]
                site[0] += 1
                site[2] += clock() - theirs

    for kind in KINDS:
        setattr(database.Transaction, kind, _method(partial(timed, kind)))
    psycopg.Connection.transaction = timed_transaction  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, method in kept.items():
            setattr(database.Transaction, kind, method)
        psycopg.Connection.transaction = commit  # type: ignore[method-assign]


def _asker(kind: str) -> str:
    """The place that asked, and the function that called it."""
    frame = sys._getframe(3)  # noqa: SLF001  there is no other way to our caller's caller
    above = frame.f_back
    while above is not None and above.f_code.co_filename == frame.f_code.co_filename:
        above = above.f_back
    caller = f" ← {Path(above.f_code.co_filename).stem}.{above.f_code.co_name}" if above else ""
    where = f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"
    return f"{where}:{frame.f_lineno} ({kind}){caller}"


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return function(self, *arguments, **named)

    return method
