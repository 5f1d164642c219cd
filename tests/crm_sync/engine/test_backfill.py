"""Backfill: each run syncs the records whose last change, on either side, lies in its own window, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.crm_sync.engine.world import Running, World

A_MOMENT = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)


def window_here(world: World, our_id: str) -> dict[str, Any]:
    """Just long enough to hold the last change of one record of ours; the database dates it by its own clock."""
    row = world.client.execute("select updated_at from gptweb.contacts where id = %s", (our_id,)).fetchone()
    assert row is not None
    return {"since": row[0], "until": row[0] + A_MOMENT}


def window_there(world: World, their_id: str) -> dict[str, Any]:
    """The second in which theirs last changed."""
    stamp = world.image(id=their_id).stamp
    return {"since": stamp, "until": stamp + SECOND}


def backfill(world: World, window: dict[str, Any]) -> Running:
    return world.run(kind="backfill", **window)


def planned(run: Running) -> int:
    assert run.report is not None
    assert run.report.state == "succeeded", run.report
    return run.report.counts["planned"]


def test_each_window_has_its_own_records_of_either_side(world: World) -> None:
    before, here = world.our_new(title="b", email="b@example.com"), world.our_new(email="c@example.com")
    there = world.their_new(title="d", email="d@example.com")
    world.tick(5)
    world.their_edit("phone", "T1")
    assert planned(backfill(world, window_here(world, here))) > 0
    assert set(world.outbox()) == {before}, "what changed at another time waits for the next sync"
    assert world.our_value("phone") == "p0"
    backfill(world, window_there(world, world.theirs["crm"]))
    assert world.our_value("phone") == "T1"
    assert there not in {their_id for _, _, their_id in world.links()}
    assert planned(backfill(world, window_there(world, there))) > 0
    assert there in {their_id for _, _, their_id in world.links()}
    world.assert_sound()


def test_what_changed_again_since_belongs_to_a_later_window(world: World) -> None:
    world.our_edit("title", "O1")
    old = window_here(world, world.ours)
    world.our_edit("title", "O2")
    assert planned(backfill(world, old)) == 0
    assert planned(backfill(world, window_here(world, world.ours))) == 1
    assert world.their_value("title") == "O2"
    world.assert_sound()


def test_theirs_is_read_where_only_ours_changed_in_the_window(world: World) -> None:
    """A value that changed there without any stamp: nothing but a look at the record itself finds it."""
    world.our_edit("title", "O1")
    world.run()
    world.their_edit("phone", "T1", stamp=world.now - timedelta(days=3))
    world.run()
    assert world.our_value("phone") == "p0"
    backfill(world, window_here(world, world.ours))
    assert world.our_value("phone") == "T1"
    world.assert_sound()


def test_a_window_in_which_all_agree_costs_one_call_and_writes_nothing(world: World) -> None:
    crm = world.crms["crm"]
    calls, written = crm.calls, crm.written
    assert planned(backfill(world, window_there(world, world.theirs["crm"]))) == 0
    long_ago = world.now - timedelta(days=400)
    assert planned(backfill(world, {"since": long_ago, "until": long_ago + timedelta(days=1)})) == 0
    assert (crm.calls - calls, crm.written) == (2, written)


def test_a_backfill_moves_no_cursor(world: World) -> None:
    cursor = "select position from crm_sync.cursor where object = 'contact'"
    before = world.client.execute(cursor).fetchone()
    world.their_edit("phone", "T1")
    backfill(world, window_there(world, world.theirs["crm"]))
    assert world.client.execute(cursor).fetchone() == before


def test_the_same_window_again_writes_nothing(world: World) -> None:
    world.our_edit("title", "O1")
    window = window_here(world, world.ours)
    written = world.crms["crm"].written
    run = world.start(kind="backfill", **window).finish()
    again = world.start(kind="backfill", **window)
    again.options = run.options
    again.finish()
    assert again.run_id == run.run_id, "a DAG run that is reprocessed is the same run of the ledger"
    assert world.crms["crm"].written - written == 1
    assert planned(again) == 1
    world.assert_sound()


@pytest.mark.parametrize("stage", ["opened", "pull", "plan", "sent", "written", "answered", "push_theirs"])
def test_two_backfill_runs_and_a_sync_at_once(world: World, stage: str) -> None:
    other = world.our_new(title="x", email="x@example.com")
    world.run()
    world.tick(20)
    world.our_edit("title", "O1")
    world.our_edit("phone", "O2", id=other)
    first = world.start(kind="backfill", **window_here(world, world.ours)).to(stage)
    second = world.start(kind="backfill", **window_here(world, other)).to(stage)
    assert first.report is None, "a backfill run that is at work is not taken for dead"
    states = "select count(*) from crm_sync.run where kind = 'backfill' and ended_at is null"
    assert world.count(states) == 2
    world.run()
    for run in (second, first):
        run.finish()
        assert run.report is not None
        assert run.report.state in ("succeeded", "failed"), run.report
    assert world.their_value("title") == "O1"
    assert world.their_value("phone", id=world.linked(other)) == "O2"
    world.assert_sound()


def test_a_backfill_run_that_died_is_closed_by_a_later_one(make_world: Callable[..., Any]) -> None:
    world: World = make_world().with_person()
    world.our_edit("title", "O1")
    dead = world.start(kind="backfill", **window_here(world, world.ours)).to("plan")
    dead.kill()
    world.client.execute(
        "update crm_sync.run set started_at = now() - interval '37 hours' where run_id = %s", (dead.run_id,)
    )
    backfill(world, window_here(world, world.ours))
    assert world.count("select count(*) from crm_sync.run where ended_at is null") == 0
    assert world.their_value("title") == "O1"
    world.assert_sound()
