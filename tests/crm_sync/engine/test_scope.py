"""Scope on the real engine and Postgres: it decides about making records, and about nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crm_sync.errors import Misconfigured
from crm_sync.ledger import settings
from tests.crm_sync.engine.world import World

MakeWorld = Callable[..., World]
HOT = {"contact": {"ours": [{"field": "total_score", "op": ">=", "value": 30}]}}
BOSSES = {"contact": {"theirs": [{"field": "Title", "op": "in", "value": ["CEO", "CTO"]}]}}


def theirs(world: World) -> int:
    """How many contacts the CRM has."""
    return len(world.crms["crm"].images("contact"))


def ours(world: World) -> int:
    """How many contacts we have."""
    return world.count("select count(*) from gptweb.contacts")


def runs(world: World, number: int = 2) -> None:
    for _ in range(number):
        world.tick(20)
        world.run()


def test_a_visitor_outside_is_not_made_there_until_the_score_is_high_enough(make_world: MakeWorld) -> None:
    world = make_world(scope=HOT)
    cold = world.our_new(email="cold@example.com", total_score=29)
    world.our_new(email="hot@example.com", total_score=30)
    runs(world)
    assert theirs(world) == 1
    assert world.outbox() == [], "what is outside costs later runs nothing"
    assert world._noise() == []
    world.our_edit("total_score", 31, cold)
    runs(world)
    assert theirs(world) == 2


def test_a_stranger_outside_is_not_made_here_until_it_is_inside(make_world: MakeWorld) -> None:
    world = make_world(scope=BOSSES)
    clerk = world.their_new(email="clerk@example.com", title="Clerk")
    world.their_new(email="boss@example.com", title="ceo")
    runs(world)
    assert ours(world) == 1
    assert world._noise() == []
    world.their_edit("title", "CTO", id=clerk)
    runs(world)
    assert ours(world) == 2


def test_records_that_both_sides_have_are_matched_whatever_the_scope_says(make_world: MakeWorld) -> None:
    world = make_world(scope={"contact": {**HOT["contact"], **BOSSES["contact"]}})
    world.ours = world.our_new(email="e0@example.com", total_score=1)
    world.theirs = {"crm": world.their_new(email="e0@example.com", title="Clerk")}
    world.assert_sound()
    assert world.linked(world.ours) == world.theirs["crm"]
    assert world.our_value("title") == "Clerk"


def test_a_stranger_that_appears_later_is_matched_with_a_visitor_outside(make_world: MakeWorld) -> None:
    world = make_world(scope=HOT)
    world.ours = world.our_new(email="e0@example.com", total_score=1)
    runs(world)
    world.theirs = {"crm": world.their_new(email="e0@example.com", title="T1")}
    world.assert_sound()
    assert world.linked(world.ours) == world.theirs["crm"]


def test_a_linked_record_keeps_syncing_when_it_leaves_the_scope(make_world: MakeWorld) -> None:
    world = make_world(scope=HOT)
    world.ours = world.our_new(email="e0@example.com", total_score=30)
    runs(world)
    world.theirs = {"crm": world.linked(world.ours)}
    world.our_edit("total_score", 1)
    world.our_edit("title", "O1")
    world.assert_sound()
    assert (world.their_value("total_score"), world.their_value("title")) == (1, "O1")


def test_another_scope_is_applied_to_everybody_at_the_next_run(make_world: MakeWorld) -> None:
    world = make_world(scope={"contact": {**HOT["contact"], **BOSSES["contact"]}})
    world.our_new(email="cold@example.com", total_score=1)
    world.their_new(email="clerk@example.com", title="Clerk")
    runs(world)
    assert (ours(world), theirs(world)) == (1, 1)
    with world.desk.transaction() as tx:
        settings.change_settings(tx, "crm", {"scope": {}})
    world.assert_sound()
    assert (ours(world), theirs(world)) == (2, 2)


def test_leaving_the_scope_before_it_is_sent(make_world: MakeWorld) -> None:
    world = make_world(scope=HOT)
    visitor = world.our_new(email="e0@example.com", total_score=30)
    run = world.start().to("plan")
    world.our_edit("total_score", 1, visitor)
    run.finish()
    runs(world)
    assert theirs(world) == 0


def test_a_scope_that_does_not_suit_the_mapping_is_refused(make_world: MakeWorld) -> None:
    world = make_world()
    with (
        pytest.raises(Misconfigured, match=r"scope\.contact\.ours\.0: nope is not"),
        world.desk.transaction() as tx,
    ):
        settings.change_settings(
            tx, "crm", {"scope": {"contact": {"ours": [{"field": "nope", "op": "is blank"}]}}}
        )
