"""The first sync asks a person when it would make many records, on the real engine and Postgres."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from crm_sync.engine import RunOptions
from crm_sync.engine.notes import noted, settle
from crm_sync.errors import ApprovalNeeded, Misconfigured
from crm_sync.ledger import settings
from tests.crm_sync.engine.world import Running, World

MakeWorld = Callable[..., World]
ALL = ("account", "contact", "lead")


def new_world(
    make_world: MakeWorld, ours: int = 3, theirs: int = 2, most: int | None = 4, **more: object
) -> World:
    """People on both sides whom the other side does not know; more than ``most`` are not made unasked."""
    world = make_world(approve_creations_above=most, **more)
    world.watched = False
    for i in range(ours):
        world.our_new(email=f"o{i}@example.com", total_score=i)
    for i in range(theirs):
        world.their_new(email=f"t{i}@example.com")
    return world


def run(world: World, **options: Any) -> Running:
    world.tick(20)
    return world.run(objects=ALL, **options)


def digest(ended: Running) -> str:
    """What the preview tells a person to approve."""
    assert isinstance(ended.error, ApprovalNeeded)
    assert ended.report is not None
    assert ended.report.state == "waiting_approval"
    found = re.search(r"approve = ([0-9a-f]{16});", str(ended.error))
    assert found, str(ended.error)
    return found[1]


def sizes(world: World) -> tuple[int, int]:
    """How many contacts there are, ours and theirs."""
    return world.count("select count(*) from gptweb.contacts"), len(world.crms["crm"].images("contact"))


def test_few_records_are_made_unasked(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=5)
    assert run(world).error is None
    assert sizes(world) == (5, 5)


def test_many_records_wait_with_a_preview(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    ended = run(world)
    said = str(ended.error)
    assert digest(ended)
    assert (
        "would make 5 records (3 in the CRM, 2 in GPTWeb), with about 3 API calls; nothing was written"
        in said
    )
    assert re.search(r"^contact +2 +3$", said, re.MULTILINE), said
    assert sizes(world) == (3, 2)
    assert world._miscounted() == []


def test_what_was_approved_is_carried_out_and_then_nobody_is_asked(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    first = run(world)
    approved = run(world, approve=digest(first))
    assert (approved.error, approved.run_id) == (None, first.run_id)
    assert approved.report is not None
    assert approved.report.state == "succeeded"
    assert sizes(world) == (5, 5)
    assert [line.detail for line in world.trail() if line.rule == "first_sync_approved"] == [
        f"plan {digest(first)} of run {first.run_id} was approved"
    ]
    for i in range(9):
        world.our_new(email=f"n{i}@example.com")
    assert run(world).error is None
    assert sizes(world) == (14, 14)
    assert world._miscounted() == []


def test_only_what_was_approved_is_carried_out(make_world: MakeWorld) -> None:
    """Somebody new, and somebody who changed since, wait for the next run."""
    world = new_world(make_world)
    first = run(world)
    changed = world.client.execute("select id::text from gptweb.contacts order by email limit 1").fetchone()
    assert changed
    world.client.execute("update gptweb.contacts set title = 'O1' where id = %s", changed)
    world.our_new(email="new@example.com")
    approved = run(world, approve=digest(first))
    assert approved.report is not None
    assert approved.report.counts["superseded"] > 0
    assert sizes(world) == (6, 4)
    assert run(world).error is None
    assert sizes(world) == (6, 6)
    assert world._miscounted() == []


def test_later_runs_plan_nothing_while_it_waits(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    first = run(world)
    planned = world._planned()
    again = run(world)
    assert digest(again) == digest(first)
    assert world._planned() == planned
    assert run(world, approve=digest(first)).error is None
    assert sizes(world) == (5, 5)


def test_another_digest_is_refused(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    engine = world.engine(world.desk, "crm")
    with pytest.raises(Misconfigured, match="no plan of crm waits for approval"):
        engine.open_run(RunOptions("crm", dag_run_id="x", approve="0" * 16))
    run(world)
    with pytest.raises(Misconfigured, match="not 0000000000000000: look at its preview"):
        engine.open_run(RunOptions("crm", dag_run_id="x", approve="0" * 16))
    assert sizes(world) == (3, 2)


def test_another_scope_makes_another_preview(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    first = digest(run(world))
    scope = {"contact": {"ours": [{"field": "total_score", "op": ">=", "value": 2}]}}
    with world.desk.transaction() as tx:
        settings.change_settings(tx, "crm", {"scope": scope, "approve_creations_above": 2})
    second = run(world)
    assert digest(second) != first
    assert "would make 3 records (1 in the CRM, 2 in GPTWeb)" in str(second.error)
    with pytest.raises(Misconfigured, match="look at its preview"):
        world.engine(world.desk, "crm").open_run(RunOptions("crm", approve=first))


def test_an_approval_after_the_settings_changed_is_void(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    first = digest(run(world))
    with world.desk.transaction() as tx:
        settings.change_settings(tx, "crm", {"create_leads": False})
    with pytest.raises(Misconfigured, match="no plan of crm waits for approval"):
        world.engine(world.desk, "crm").open_run(RunOptions("crm", approve=first))


def test_a_trial_is_no_first_sync(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=2)
    assert run(world, limit=1).error is None
    world.start(objects=ALL, dry_run=True).to("plan").kill()  # its pushes are left out by the DAG
    assert digest(run(world, limit=9))


def test_none_means_never(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=None)
    assert run(world).error is None
    assert sizes(world) == (5, 5)


def test_the_run_says_how_to_approve_and_goes_on_as_if_nothing_had_been(make_world: MakeWorld) -> None:
    """As Airflow's tasks run the stages: each noted, then settled with the name of the one that failed."""
    world = new_world(make_world)
    engine = world.engine(world.desk, "crm")
    run_id = engine.open_run(RunOptions("crm", dag_run_id="first"))
    with noted(world.desk, run_id):
        engine.pull(run_id)
    with pytest.raises(ApprovalNeeded, match="approve = ") as caught, noted(world.desk, run_id):
        engine.plan(run_id)
    report = settle(engine, run_id, ["plan"])
    assert (report.state, report.message) == ("waiting_approval", f"plan failed: {caught.value}")
    found = re.search(r"approve = (\w+);", report.message)
    assert found
    assert engine.open_run(RunOptions("crm", dag_run_id="second", approve=found[1])) == run_id
    assert engine.open_run(RunOptions("crm", dag_run_id="second", approve=found[1])) == run_id, (
        "a cleared task"
    )
    for stage in (engine.pull, engine.plan, engine.push_ours, engine.push_theirs):
        with noted(world.desk, run_id):
            stage(run_id)
    assert settle(engine, run_id, []).state == "succeeded"
    assert sizes(world) == (5, 5)
