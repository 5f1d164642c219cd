"""Plays scenes by number on databases of their own, in several processes, and adds up what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from crm_sync.ledger.migrate import migrate
from tests.crm_sync.engine.world import Pool
from tests.crm_sync.soak.play import Played, play, play_on
from tests.crm_sync.soak.plot import PER_SCENE, Scene, scene
from tests.crm_sync.soak.stage import prepare
from tests.crm_sync.soak.standin import StandinStage, adapted
from tests.crm_sync.soak.verdict import KINDS
from tests.crm_sync.stores.standin import standin_org

__all__ = ["Result", "Theatre", "soak", "soak_standin", "theatre"]

ROOT = Path(__file__).resolve().parents[3]
INCLUDE = ROOT / "include"
SCENES_PER_TRUNCATE = 20
"""Deletes are ten times faster than truncate on tables of a few rows, and leave them behind as waste."""


class Theatre:
    """A database on which scenes are played one after the other."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(
                "do $$ begin execute format('alter database %I set synchronous_commit = off', current_database()); end $$"
            )
        self.pool = Pool(url, prepared=True)
        prepare(self.pool)
        tables = self.pool.client.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname in ('gptweb', 'crm_sync', 'soak') and tablename <> 'alembic_version'"
        ).fetchall()
        names = [sql.Identifier(*table) for table in tables]
        self._delete = sql.SQL("; ").join(sql.SQL("delete from {}").format(name) for name in names)
        self._truncate = sql.SQL("truncate {}").format(sql.SQL(", ").join(names))
        self._played = 0

    def play(self, scene: Scene, *, tell: bool = False) -> Played:
        """Play a scene on empty tables."""
        self.clean()
        return play(self.pool, scene, tell=tell)

    def clean(self) -> None:
        """Empty all tables."""
        client = self.pool.client
        client.execute("set session_replication_role = replica")  # the audit trail refuses deletes by trigger
        client.execute(self._truncate if self._played % SCENES_PER_TRUNCATE == 0 else self._delete)
        client.execute("set session_replication_role = origin")
        self._played += 1


@contextmanager
def theatre(server: str, name: str) -> Iterator[Theatre]:
    """A theatre on a database of its own."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    url = server.rsplit("/", 1)[0] + f"/{name}"
    try:
        migrate(url)
        house = Theatre(url)
        yield house
        house.pool.close()
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@dataclass
class Result:
    """The sums over all scenes; ``problems``: scene, kind, and what it is in words."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, played: Played) -> None:
        """Add a scene."""
        self.counts.update(played.counts)
        self.counts["scenes"] += 1
        self.problems += [(played.scene.name, p.kind, p.text) for p in played.problems]

    def broken(self, kind: str) -> int:
        """How many problems of a kind."""
        return sum(k == kind for _, k, _ in self.problems)

    def __str__(self) -> str:
        verdict = ", ".join(f"{self.broken(kind)} × {kind}" for kind in KINDS)
        first = ("schedules", "scenes", "runs", "calls")
        rest = sorted((name, count) for name, count in self.counts.items() if name not in first and count)
        sums = [f"{self.counts[name]:,} {name}" for name in first] + [
            f"{name} {count:,}" for name, count in rest
        ]
        return f"{verdict}\n{', '.join(sums)}"


def part(server: str, seed: int, numbers: Iterable[int]) -> Result:
    """Play these scenes in this process."""
    result = Result()
    numbers = list(numbers)
    with theatre(server, f"soak_{os.getpid()}") as house:
        for number in numbers:
            result.add(house.play(scene(seed, number)))
    return result


def soak(server: str, schedules: int, seed: int, processes: int = 2, include: Path = INCLUDE) -> Result:
    """Play at least so many schedules, in so many processes, on the product in ``include``."""
    path = os.pathsep.join(map(str, (include, ROOT / "plugins", ROOT)))
    scenes = -(-schedules // PER_SCENE)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.crm_sync.soak.runner", server, str(seed), str(n), str(scenes), str(processes)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
        )
        for n in range(min(processes, scenes))
    ]  # fmt: skip
    total = Result()
    for worker in workers:
        said, _ = worker.communicate()
        if worker.returncode:
            raise RuntimeError(f"a process of the soak ended with {worker.returncode}; its words are above")
        told = json.loads(said)
        total.counts.update(told["counts"])
        total.problems += [tuple(problem) for problem in told["problems"]]
    return total


def soak_standin(server: str, schedules: int, seed: int) -> Result:
    """Play at least so many schedules against a stand-in of their own."""
    result = Result()
    with standin_org() as org, theatre(server, f"soak_standin_{os.getpid()}") as house:
        for number in range(-(-schedules // PER_SCENE)):
            house.clean()
            result.add(play_on(StandinStage(house.pool, adapted(scene(seed, number)), org)))
    return result


def main(server: str, seed: str, first: str, scenes: str, step: str) -> None:
    """One process's part."""
    result = part(server, int(seed), range(int(first), int(scenes), int(step)))
    print(json.dumps({"counts": result.counts, "problems": result.problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])
