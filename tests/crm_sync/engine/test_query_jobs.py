"""A read whose query job takes long is left, and goes on in another try: dated by the try that made the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_sync.errors import JobUnderWay
from crm_sync.model import ChangedSince, Page, Read
from crm_sync.stores.memory import MemoryStore
from tests.crm_sync.engine.world import LAG, Running, World

MakeWorld = Callable[..., World]


class SlowStore:
    """A CRM whose next read of changes goes by a job that takes long; it shows what was there when the job was made."""

    def __init__(self, inside: MemoryStore) -> None:
        self.inside = inside
        self.stalls = 0
        self.held: dict[str, list[Page]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inside, name)

    def read(self, reads: Sequence[Read]) -> Iterator[Page]:
        found = list(self.inside.read(reads))
        for page in found:
            asked = page.read
            if not isinstance(asked, ChangedSince) or (not asked.job and not self.stalls):
                yield page
                continue
            job = asked.job or f"750{len(self.held)}"
            if job not in self.held:
                self.held[job] = [page]
            yield replace(page, images=(), last=False, job=job)
            if self.stalls:
                self.stalls -= 1
                raise JobUnderWay(f"job {job} works", timedelta(minutes=1))
            for kept in self.held[job]:
                yield replace(kept, read=asked, job=job, read_start=page.read_start)


def slow_world(make_world: MakeWorld) -> World:
    """A world with one person, whose CRM is slow when it is told to be."""
    world = make_world()
    world.crms["crm"] = SlowStore(world.crms["crm"])  # type: ignore[assignment]  # it does all that the other does
    return world.with_person()


def leave(world: World) -> Running:
    """A run whose pull was left while its job works."""
    world.crms["crm"].stalls = 1  # type: ignore[attr-defined]
    left = world.run()
    assert isinstance(left.error, JobUnderWay)
    return left


def jobs(world: World) -> list[str]:
    return [row[0] for row in world.client.execute("select job_id from crm_sync.query_job order by job_id")]


def test_another_try_goes_on_with_the_same_job(make_world: MakeWorld) -> None:
    slow = slow_world(make_world)
    slow.their_edit("title", "T1")
    left = leave(slow)
    assert jobs(slow) == ["7500"]
    slow.again(left, "pull").finish()
    assert jobs(slow) == []
    slow.run()
    assert slow.our_value("title") == "T1"
    slow.assert_sound()


def test_what_a_job_shows_is_as_old_as_the_job(make_world: MakeWorld) -> None:
    """Within one second stamps say nothing: another run has read a newer value while the job worked."""
    slow = slow_world(make_world)
    slow.their_edit("title", "T1")
    left = leave(slow)
    slow.their_edit("title", "T2")
    slow.run()
    assert slow.our_value("title") == "T2"
    for stage in ("pull", "plan", "push_ours"):
        slow.again(left, stage).finish()
    assert slow.our_value("title") == "T2"
    slow.assert_sound()


def test_the_cursor_stays_where_the_job_began(make_world: MakeWorld) -> None:
    slow = slow_world(make_world)
    left = leave(slow)
    slow.tick(1)
    slow.their_edit("title", "T1")
    slow.tick(10 * LAG)
    slow.again(left, "pull").finish()
    slow.run()
    assert slow.our_value("title") == "T1"
    slow.assert_sound()


def test_a_job_that_was_asked_by_another_mapping_is_not_gone_on_with(make_world: MakeWorld) -> None:
    slow = slow_world(make_world)
    slow.their_edit("title", "T1")
    left = leave(slow)
    slow.client.execute("update crm_sync.query_job set mapping = 'older'")
    slow.again(left, "pull").finish()
    slow.run()
    assert slow.our_value("title") == "T1"
    assert list(slow.crms["crm"].held) == ["7500"]  # type: ignore[attr-defined]  # nothing asked for it again
