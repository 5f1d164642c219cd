"""Promise 5: no 24 hours of true time see more calls than allowed, under processes, crashes and steps of a clock."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_sync.ledger import settings as ledger_settings
from crm_sync.ledger.database import Database
from tests.crm_sync.conftest import empty
from tests.crm_sync.ledger import bookers

LIMIT = 6
DAY = timedelta(hours=24)
START = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Advance:
    """True time goes on."""

    hours: float


@dataclass(frozen=True)
class Step:
    """One of the two clocks is set wrong, or right again with 0; the other one is right from now on."""

    clock: Literal["database", "other"]
    hours: float


@dataclass(frozen=True)
class Burst:
    """So many processes book at the same time; per process: how many calls, and how it ends."""

    bookers: tuple[tuple[int, str], ...]


Action = Advance | Step | Burst


class World:
    """True time, two clocks, and processes that book."""

    def __init__(self, url: str, nursery: subprocess.Popen[str]) -> None:
        self.url = url
        self.now = START
        self.wrong = {"database": timedelta(0), "other": timedelta(0)}
        self.ends: list[int] = []
        self._nursery = nursery
        empty(url)
        database = Database(url)
        with database.transaction() as tx:
            ledger_settings.connect(tx, bookers.NAME, "salesforce", {"daily_calls": LIMIT})
        database.close()
        with psycopg.connect(url) as connection:
            connection.execute("create schema if not exists test")
            connection.execute(
                "create table if not exists test.clock (true_at timestamptz, database_at timestamptz)"
            )
            connection.execute("create table if not exists test.sent (true_at timestamptz)")
            connection.execute("truncate test.clock, test.sent")

    def act(self, action: Action) -> None:
        match action:
            case Advance(hours):
                self.now += timedelta(hours=hours)
            case Step(clock, hours):
                self.wrong = {name: timedelta(hours=hours if name == clock else 0) for name in self.wrong}
            case Burst(each):
                self.burst(each)

    def burst(self, each: Sequence[tuple[int, str]]) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("delete from test.clock")
            connection.execute(
                "insert into test.clock values (%s, %s)", (self.now, self.now + self.wrong["database"])
            )
        asked = {
            "url": self.url,
            "other": (self.now + self.wrong["other"]).isoformat(),
            "bookers": [{"calls": calls, "dies": dies} for calls, dies in each],
        }
        assert self._nursery.stdin
        assert self._nursery.stdout
        self._nursery.stdin.write(json.dumps(asked) + "\n")
        self._nursery.stdin.flush()
        self.ends += json.loads(self._nursery.stdout.readline())

    def sent(self) -> list[datetime]:
        with psycopg.connect(self.url) as connection:
            return [row[0] for row in connection.execute("select true_at from test.sent order by 1")]

    def fullest_day(self) -> int:
        """The most calls that any 24 hours of true time saw."""
        sent = self.sent()
        return max((sum(last - DAY < at <= last for at in sent) for last in sent), default=0)


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[3]
    env = {"PYTHONPATH": f"{root / 'include'}:{root}"}
    command = [sys.executable, "-m", "tests.crm_sync.ledger.bookers"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=root
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


ENDS = st.sampled_from(["", "", "", "booked", "booking"])
HOURS = st.sampled_from([-30, -23, -9, 0, 9, 23, 30])
STEPS = st.builds(Step, st.sampled_from(["database", "other"]), HOURS)
BURSTS = st.builds(Burst, st.lists(st.tuples(st.integers(2, 4), ENDS), min_size=1, max_size=3).map(tuple))
ADVANCES = st.builds(Advance, st.sampled_from([0.1, 1.5, 6, 12, 23.9, 24.1]))
ROUNDS = st.lists(st.tuples(STEPS, BURSTS, ADVANCES), min_size=2, max_size=5)


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rounds=ROUNDS)
def test_no_day_sees_more_than_the_limit(migrated_database, nursery, rounds):
    world = World(migrated_database, nursery)
    for action in (action for each in rounds for action in each):
        world.act(action)
    world.act(Step("database", 0))
    world.act(Burst(((LIMIT, ""), (LIMIT, ""))))
    assert world.fullest_day() <= LIMIT
    # Whatever happened before: with both clocks right, after two days every call is free again.
    world.act(Advance(49))
    before = len(world.sent())
    world.act(Burst(((LIMIT, ""), (LIMIT, ""), (LIMIT, ""))))
    assert len(world.sent()) - before == LIMIT


@pytest.mark.parametrize("clock", ["database", "other"])
@pytest.mark.parametrize("hours", [23, -23])
def test_a_clock_that_is_stepped_and_set_right_again_lets_nothing_out(
    migrated_database, nursery, clock, hours
):
    world = World(migrated_database, nursery)
    full = Burst(((LIMIT, ""),))
    world.act(Burst(((LIMIT // 2, ""),)))
    for action in (
        Advance(1),
        Step(clock, hours),
        full,
        Advance(2),
        full,
        Step(clock, 0),
        full,
        Advance(12),
        full,
    ):
        world.act(action)
    assert len(world.sent()) == LIMIT


def test_a_process_that_is_killed_wastes_at_most_its_one_call(migrated_database, nursery):
    world = World(migrated_database, nursery)
    world.act(Burst(((2, "booked"),)))  # one is sent, one booked and lost
    world.act(Burst(((1, "booking"),)))  # rolled back
    world.act(Burst(((LIMIT, ""), (LIMIT, ""))))
    assert world.ends[:2] == [signal.SIGKILL, signal.SIGKILL]
    assert len(world.sent()) == LIMIT - 1


def test_the_check_sees_what_two_wrong_clocks_would_do(migrated_database, nursery):
    """Nothing can be known then; and it shows that the tests above can fail."""
    world = World(migrated_database, nursery)
    world.act(Burst(((LIMIT, ""),)))
    world.wrong = dict.fromkeys(world.wrong, timedelta(hours=25))
    world.act(Burst(((LIMIT, ""),)))
    assert world.fullest_day() == 2 * LIMIT
