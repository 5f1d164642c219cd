"""Merges in the CRM on the real engine and Postgres: algorithm.md 6.2 and its holes 35, 42, 45 to 48 and 53."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from crm_sync.model import Value
from tests.crm_sync.engine.world import LEASE, World

MakeWorld = Callable[..., World]


def stranger(world: World, **values: Value) -> str:
    """A record there that nobody has read yet."""
    return world.their_new("crm", **{"title": "Wn", "phone": "Wp", "email": "e9@example.com", **values})


def known(world: World, **values: Value) -> tuple[str, str]:
    """A record there that is linked: its id, and that of ours."""
    id = stranger(world, **values)
    world.run()
    world.tick(20)
    world.run()
    world.tick(20)
    (ours,) = [our_id for _, our_id, their_id in world.links() if their_id == id]
    return id, ours


def parked(world: World) -> list[str]:
    """The codes of what is left to a person."""
    rows = world.client.execute("select code from crm_sync.parked where lifted_at is null order by 1")
    return [row[0] for row in rows]


def overruled(world: World) -> list[Value]:
    """The values that lost."""
    return [line.before for line in world.trail() if line.outcome == "overruled"]


def people(world: World) -> int:
    """How many contacts we have."""
    return world.count("select count(*) from gptweb.contacts where deleted_at is null")


def test_merged_into_unknown_winner(world: World) -> None:
    """45: a merge is no delete: the link goes on with the survivor, and no second record of ours is made."""
    winner = stranger(world)
    world.their_merge(winner)
    world.assert_sound()
    assert world.linked(world.ours) == winner
    assert people(world) == 1
    assert world.our_value("title") == "Wn"


def test_survivor_that_was_not_read_yet_is_asked_for(world: World) -> None:
    winner = stranger(world)
    world.their_merge(winner)
    world.crms["crm"]._records[winner].stamp -= timedelta(days=1)
    world.run()
    assert world.linked(world.ours) == world.theirs["crm"]
    assert people(world) == 1
    world.tick(20)
    world.assert_sound()
    assert world.linked(world.ours) == winner
    assert people(world) == 1


def test_survivor_that_nobody_can_read_is_left_to_a_person(world: World) -> None:
    winner = stranger(world)
    world.their_merge(winner)
    del world.crms["crm"]._records[winner]
    world.drain()
    assert parked(world) == ["lost"]
    assert people(world) == 1
    assert world._noise() == []


def test_merged_with_unsent_edit(world: World) -> None:
    """45: nor does the unsent edit make the merged person again."""
    winner = stranger(world)
    world.our_edit("phone", "O1")
    world.their_merge(winner)
    world.assert_sound()
    assert len(world.crms["crm"].images("contact")) == 1


def test_merged_between_pull_and_push(world: World) -> None:
    """35: NOT_FOUND is no delete: the record is read again, and then the merge is followed."""
    world.our_edit("title", "O1")
    run = world.start().to("push_ours").to("sent")
    winner = stranger(world)
    world.their_merge(winner)
    world.move_cursor(1)
    run.finish()
    world.assert_sound()
    assert world.linked(world.ours) == winner
    assert people(world) == 1


def test_merge_result_overruled_by_old_values(make_world: MakeWorld) -> None:
    """46: the base is kept: what the merging person chose is no conflict with a value that nobody touched here."""
    world = make_world(policy="gptweb_wins").with_person()
    winner = stranger(world)
    world.their_merge(winner)
    world.assert_sound()
    assert world.our_value("title") == "Wn"


def test_blank_of_the_winner_is_no_clear(world: World) -> None:
    """47: what the survivor lacks is filled from ours."""
    winner = stranger(world, phone=None)
    world.their_merge(winner)
    world.assert_sound()
    assert world.our_value("phone") == "p0"
    assert world.their_value("phone", id=winner) == "p0"


def test_typed_into_the_blank_of_the_winner(make_world: MakeWorld) -> None:
    """It is an edit, not a conflict with what nobody touched here."""
    world = make_world(policy="gptweb_wins").with_person()
    winner = stranger(world, phone=None)
    world.their_merge(winner)
    world.start().to("plan").kill()
    world.their_edit("phone", "T1", id=winner)
    world.assert_sound()
    assert world.our_value("phone") == "T1"


def test_typed_into_the_blank_just_before_it_is_filled(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    winner = stranger(world, phone=None)
    world.their_merge(winner)
    run = world.start().to("push_ours")
    world.their_edit("phone", "T1", id=winner)
    run.finish()
    world.assert_sound()
    assert world.our_value("phone") == "T1"


def test_unread_edit_of_the_loser(world: World) -> None:
    """47: an edit that no run had carried over is recorded."""
    winner = stranger(world)
    world.their_edit("title", "T1")
    world.their_merge(winner)
    world.assert_sound()
    assert "T1" in overruled(world)


def _merged_in_turn(world: World, last: str) -> None:
    """The record that the merge went to is edited, and merged away before any run has followed."""
    between = world.their_new("crm", email="e8@example.com")
    world.their_merge(between)
    world.their_edit("phone", "T1", id=between)
    world.their_merge(last, between)
    world.assert_sound()
    assert "T1" in overruled(world)


def test_edit_of_a_record_merged_in_turn(world: World) -> None:
    """Found by the soak."""
    _merged_in_turn(world, stranger(world, title="W2"))


def test_edit_of_a_record_merged_in_turn_into_a_known_one(world: World) -> None:
    _merged_in_turn(world, known(world)[0])


def test_opt_out_of_a_record_merged_in_turn(world: World) -> None:
    """It was typed for this person, and wins as if it had been typed a merge earlier."""
    last, between = stranger(world), world.their_new("crm", email="e8@example.com")
    world.their_merge(between)
    world.crms["crm"].person_edits(between, "do_not_call", True)
    world.their_merge(last, between)
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts where do_not_call") == 1
    assert world.image(id=last).values["do_not_call"] is True


def test_merged_into_linked_winner(world: World) -> None:
    """47: the survivor is not taken from whom it belongs to; ours is left to a person, with what it held."""
    winner, other = known(world)
    world.our_edit("title", "O1")
    world.their_merge(winner)
    world.assert_sound()
    assert world.linked(other) == winner
    assert "O1" in overruled(world)
    assert parked(world) == ["merged"]
    assert people(world) == 2
    assert (
        world.count("select count(*) from crm_sync.link where state = 'merged' and successor is not null")
        == 1
    )
    world.our_archive()
    world.assert_sound()
    assert parked(world) == []
    assert not world.image(id=winner).deleted


def test_chain_through_an_id_that_moved_on(world: World) -> None:
    """L2 merged into L1, L1 into a stranger: L1's link moves first, and L2's names an id that nobody holds any more."""
    second, ours = known(world)
    world.their_merge(world.theirs["crm"], second)
    world.tick()
    third = stranger(world, email="e8@example.com")
    world.their_merge(third)
    world.assert_sound()
    assert world.linked(world.ours) == third
    assert world.count("select count(*) from crm_sync.link where state = 'merged' and our_id = %s", ours) == 1


def test_chain_of_strangers(world: World) -> None:
    first, second = stranger(world), stranger(world, email="e8@example.com")
    world.their_merge(first)
    world.their_merge(second, first)
    world.assert_sound()
    assert world.linked(world.ours) == second
    assert people(world) == 1


def test_merged_then_winner_deleted(world: World) -> None:
    """53: a blank that would be filled is no edit against the delete of the survivor."""
    winner = stranger(world, phone=None)
    world.their_merge(winner)
    world.crms["crm"].person_deletes(winner)
    world.assert_sound()
    assert people(world) == 0
    assert world.crms["crm"].images("contact") == []


def test_create_in_doubt_then_merged(world: World) -> None:
    """42: the record that we made was merged before its answer came: nothing is made again."""
    id = world.our_new(title="X", email="e7@example.com")
    world.start().to("push_ours").to("written").kill()
    (made,) = [i.id for i in world.crms["crm"].images("contact") if i.our_id == id]
    world.compare()
    winner = stranger(world)
    world.their_merge(winner, made)
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.linked(id) == winner
    assert len(world.crms["crm"].images("contact")) == 2


def test_our_twin_of_a_merge_winner(world: World) -> None:
    """48: ours that has the survivor's e-mail is not made beside it."""
    winner = stranger(world)
    world.our_new(title="Y", email="e9@example.com")
    world.their_merge(winner)
    world.run()
    world.drain()
    assert len(world.crms["crm"].images("contact")) == 1
    assert parked(world) == ["possible_duplicate"]


def test_winner_is_the_twin_of_our_create(world: World) -> None:
    """Both sides make e9; between our look-up and our create the linked record is merged into theirs: two remain there."""
    world.our_new(title="Y", email="e9@example.com")
    run = world.start().to("answered")
    winner = stranger(world)
    world.their_merge(winner)
    run.finish()
    world.drain()
    assert world.linked(world.ours) == winner
    assert parked(world) == ["merged_twin"]
    assert world._noise() == []


def test_merged_back_into_what_it_had_been(world: World) -> None:
    """Made again by us, the old one undeleted, and the two merged into the old one."""
    old = world.theirs["crm"]
    world.our_edit("title", "O1")
    world.their_delete()
    world.run()
    world.tick(20)
    world.their_undelete()
    world.run()
    made = world.linked(world.ours)
    world.tick(20)
    world.crms["crm"].person_merges(made, old, "title")
    world.drain(4)
    assert world.linked(world.ours) == old
    assert people(world) == 1
    assert world._noise() == []


def test_merge_of_two_strangers_is_one_record_of_ours(world: World) -> None:
    winner, loser = stranger(world, email=None), stranger(world, email=None)
    world.their_merge(winner, loser)
    world.assert_sound()
    assert people(world) == 2


def test_parked_stranger_that_is_merged_needs_nobody(world: World) -> None:
    """A twin of a linked record was left to a person, who merged the two."""
    twin = stranger(world, email="e0@example.com")
    world.run()
    assert parked(world) == ["possible_duplicate"]
    world.tick(20)
    world.crms["crm"].person_merges(twin, world.theirs["crm"])
    world.drain()
    assert parked(world) == []
    assert world._noise() == []
