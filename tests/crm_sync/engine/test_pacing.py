"""Noisy measures on the real engine and Postgres: at most once an hour, and never a silent loss."""

from __future__ import annotations

from tests.crm_sync.engine.world import Running, World

HOUR = 3600


def visit(world: World, count: int, **more: object) -> Running:
    """The person visits once more, perhaps with something else, and a run follows."""
    for column, value in {"visit_count": count, **more}.items():
        world.client.execute(f"update gptweb.contacts set {column} = %s".encode(), (value,))
    world.tick()
    return world.run()


def told(world: World) -> object:
    """The count that the CRM shows."""
    return world.their_value("visit_count")


def planned(world: World, run: Running) -> int:
    """How many records a run planned."""
    return world.count("select count(*) from crm_sync.change where run_id = %s", run.run_id)


def test_at_most_once_an_hour(world: World) -> None:
    visit(world, 1)
    assert told(world) == 1
    world.tick(HOUR / 2)
    assert planned(world, visit(world, 2)) == 0
    assert told(world) == 1
    world.tick(HOUR / 2 + 1)
    assert planned(world, world.run()) == 1
    assert told(world) == 2
    world.assert_sound()


def test_what_waits_is_silent_and_no_work_left_undone(world: World) -> None:
    visit(world, 1)
    run = visit(world, 2)
    assert run.report is not None
    assert (run.report.state, run.report.counts["planned"]) == ("succeeded", 0)
    assert world.outbox() == [world.ours]
    assert world.count("select count(*) from crm_sync.link where dirty") == 0
    world.assert_sound()  # an idle run plans nothing and costs one call
    assert told(world) == 1


def test_at_once_when_the_lead_becomes_qualified(world: World) -> None:
    visit(world, 1)
    visit(world, 2)
    visit(world, 3, is_dql=True)
    assert (told(world), world.their_value("is_dql")) == (3, True)
    visit(world, 4)
    assert told(world) == 3


def test_whatever_else_is_sent_takes_it_along(world: World) -> None:
    visit(world, 1)
    visit(world, 2)
    world.our_edit("title", "O1")
    world.run()
    assert (told(world), world.their_value("title")) == (2, "O1")
    world.assert_sound()


def test_what_they_edit_still_arrives(world: World) -> None:
    visit(world, 1)
    visit(world, 2)
    world.their_edit("title", "T1")
    world.run()
    assert (told(world), world.our_value("title")) == (1, "T1")
    world.assert_sound()
    world.tick(HOUR)
    world.run()
    assert told(world) == 2


def test_their_edit_does_not_wait_with_it(world: World) -> None:
    visit(world, 1)
    world.client.execute("update gptweb.contacts set visit_count = 2")
    world.their_edit("title", "T1")
    world.start().to("plan").kill()
    world.tick(20)
    world.run()
    assert (told(world), world.our_value("title")) == (1, "T1")


def test_an_edit_of_the_measure_there_is_restored_at_once(world: World) -> None:
    visit(world, 1)
    visit(world, 2)
    world.crms["crm"].person_edits(world.theirs["crm"], "visit_count", 99)
    world.run()
    assert told(world) == 2


def test_back_to_what_they_have_is_nothing_to_send(world: World) -> None:
    visit(world, 1)
    visit(world, 2)
    visit(world, 1)
    assert world.outbox() == []
    world.tick(HOUR)
    assert planned(world, world.run()) == 0


def test_a_killed_run_loses_nothing_that_waited(world: World) -> None:
    visit(world, 1)
    world.client.execute("update gptweb.contacts set visit_count = 2")
    world.tick(HOUR + 1)
    world.start().to("push_ours").to("sent").kill()
    world.tick(60)
    world.assert_sound()
    assert told(world) == 2
