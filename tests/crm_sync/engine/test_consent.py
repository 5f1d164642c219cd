"""Opt-outs on the real engine and Postgres: they travel both ways, and in a conflict the opt-out wins."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.crm_sync.engine.world import World

MakeWorld = Callable[..., World]
EMAIL, CALLS = "opted_out_of_email", "do_not_call"


def ours(world: World, column: str = EMAIL) -> bool:
    """What our one contact says."""
    row = world.client.execute(f"select {column} from gptweb.contacts").fetchone()
    assert row is not None
    return bool(row[0])


def we_say(world: World, value: bool, column: str = EMAIL) -> None:
    """Somebody of ours ticks or clears the box."""
    world.client.execute(f"update gptweb.contacts set {column} = %s", (value,))


def they_say(world: World, value: bool, column: str = EMAIL) -> None:
    """Somebody ticks or clears the box in the CRM."""
    world.crms["crm"].person_edits(world.theirs["crm"], column, value)


def both(world: World, column: str = EMAIL) -> tuple[bool, object]:
    """What ours and theirs hold, after the sync had its runs."""
    world.assert_sound()
    return ours(world, column), world.image(id=world.linked(world.ours)).values[column]


def told(world: World) -> list[tuple[str | None, str, str]]:
    """What the trail says of the field: side, rule, outcome."""
    return [(line.side, line.rule, line.outcome) for line in world.trail(EMAIL)]


@pytest.mark.parametrize("column", [EMAIL, CALLS])
def test_an_opt_out_travels_both_ways(world: World, column: str) -> None:
    we_say(world, True, column)
    assert both(world, column) == (True, True)
    we_say(world, False, column)
    assert both(world, column) == (False, False)
    they_say(world, True, column)
    assert both(world, column) == (True, True)
    they_say(world, False, column)
    assert both(world, column) == (False, False)


@pytest.mark.parametrize("policy", ["crm_wins", "gptweb_wins", "most_recent"])
@pytest.mark.parametrize("we", [True, False])
def test_opted_out_wins_at_a_first_link(make_world: MakeWorld, policy: str, we: bool) -> None:
    world = make_world(policy=policy)
    world.ours = world.our_new(email="e0@example.com", opted_out_of_email=we)
    world.theirs = {"crm": world.their_new(email="e0@example.com", opted_out_of_email=not we)}
    assert both(world) == (True, True)
    written = "theirs" if we else "ours"
    assert sorted(told(world)) == [
        (written, "opt_out_wins", "acknowledged"), (written, "opt_out_wins", "overruled")
    ]  # fmt: skip


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_one_direction_never_takes_an_opt_out_back(make_world: MakeWorld, direction: str) -> None:
    world = make_world(direction=direction)
    world.ours = world.our_new(email="e0@example.com", opted_out_of_email=direction == "pull")
    world.theirs = {"crm": world.their_new(email="e0@example.com", opted_out_of_email=direction == "push")}
    world.watched = False  # the two sides stay apart: nothing of this may be written
    assert both(world) == (direction == "pull", direction == "push")


def test_an_opt_out_in_a_record_that_was_never_read_goes_into_ours(world: World) -> None:
    world.their_new(email="e1@example.com", opted_out_of_email=True)
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts where opted_out_of_email") == 1


def test_a_merge_does_not_take_an_opt_out_back(world: World) -> None:
    """The survivor's box was never ticked: that is nobody's answer to the opt-out of the one that is gone."""
    we_say(world, True)
    world.run()
    world.tick(20)
    survivor = world.their_new(email="other@example.com")
    world.their_merge(survivor)
    assert both(world) == (True, True)


def test_the_box_is_never_blank(world: World) -> None:
    world.client.execute("update gptweb.contacts set opted_out_of_email = null")
    assert ours(world) is False
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        world.client.execute("update gptweb.contacts set opted_out_of_email = 'maybe'")
