"""Deletes, undeletes and archives on the real engine and Postgres: algorithm.md 6.1 and its holes 29 to 44.

The settings' defaults: what is deleted in the CRM is archived here, what is deleted here stays in the CRM.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

from crm_sync.engine.context import RunOptions
from crm_sync.ledger.database import Database
from tests.crm_sync.engine.world import LEASE, World

MakeWorld = Callable[..., World]


def archived_by(world: World, id: str = "") -> str | None:
    """Who deleted ours; None while it lives."""
    row = world.client.execute(
        "select archived_by from gptweb.contacts where id = %s", (id or world.ours,)
    ).fetchone()
    assert row is not None
    return str(row[0]) if row[0] else None


def rules(world: World) -> list[str]:
    """What the trail says about existence."""
    return [line.rule for line in world.trail() if line.field in (None, "exists")]


def alive(world: World) -> int:
    """How many contacts the CRM has."""
    return len(world.crms["crm"].images("contact"))


# ------------------------------------------------------------------------------------------- their deletes


def test_deleted_there_is_archived_here(world: World) -> None:
    world.their_delete()
    world.assert_sound()
    assert archived_by(world) == "engine"
    assert "deleted_theirs" in rules(world)


def test_undeleted_there_comes_back_here(world: World) -> None:
    world.their_delete()
    world.run()
    world.tick(20)
    world.their_undelete()
    world.assert_sound()
    assert archived_by(world) is None
    assert "undeleted_theirs" in rules(world)


def test_kept_here_when_so_set(make_world: MakeWorld) -> None:
    world = make_world(their_delete="keep").with_person()
    world.our_edit("title", "O1")
    world.their_delete()
    world.assert_sound()
    assert archived_by(world) is None
    assert alive(world) == 0
    world.their_undelete()
    world.assert_sound()
    assert world.their_value("title") == "O1"


def test_link_row_deleted_with_the_record(world: World) -> None:
    """29: an unsent measure of ours is no reason to make it again, nor is a link that is gone."""
    world.our_edit("total_score", 5)
    world.their_delete()
    world.assert_sound()
    assert alive(world) == 0


def test_score_recomputed_after_their_delete(world: World) -> None:
    """30: GPTWeb's own fields are no edit of a person."""
    world.their_delete()
    world.our_edit("total_score", 5)
    world.assert_sound()
    assert archived_by(world) == "engine"
    assert alive(world) == 0


def test_edit_here_delete_there(world: World) -> None:
    """32: an unsent edit is not archived unseen: the record is made again."""
    world.our_edit("title", "O1")
    world.their_delete()
    world.assert_sound()
    assert archived_by(world) is None
    assert world.image(id=world.linked(world.ours)).values["title"] == "O1"
    assert world.linked(world.ours) != world.theirs["crm"]


def test_a_refused_edit_is_no_reason_to_make_it_again(world: World) -> None:
    world.our_edit("title", "bad")
    world.run()
    world.tick(20)
    world.their_delete()
    world.assert_sound()
    assert archived_by(world) == "engine"


def test_deleted_after_our_unanswered_write(world: World) -> None:
    """33: O1 arrived, its answer got lost, a person saw it, typed over it and deleted: no unsent edit."""
    world.our_edit("title", "O1")
    world.start().to("push_ours").to("written").kill()
    world.their_edit("title", "T2")
    world.their_delete()
    world.tick(LEASE + 1)
    world.assert_sound()
    assert archived_by(world) == "engine"
    assert alive(world) == 0


def test_deleted_while_in_doubt(world: World) -> None:
    """34: what a retrieve does not show is asked for with the deleted ones."""
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("sent")
    world.their_delete()
    world.move_cursor(1)
    slow.finish()
    world.assert_sound()
    assert archived_by(world) is None
    assert alive(world) == 1


def test_edited_then_deleted_there_edited_here(world: World) -> None:
    """36: the tombstone has values; the last edit of a deleted record arrives before it is made again."""
    world.our_edit("title", "O1")
    world.their_edit("phone", "T1")
    world.their_delete()
    world.assert_sound()
    assert world.our_value("phone") == "T1"
    made = world.image(id=world.linked(world.ours))
    assert (made.values["title"], made.values["phone"]) == ("O1", "T1")


def test_made_again_without_what_is_refused(make_world: MakeWorld) -> None:
    """Nothing of the dead record counts as agreed with the new one."""
    world = make_world(policy="gptweb_wins").with_person()
    world.their_delete()
    world.run()
    world.tick(20)
    world.our_unarchive()
    world.our_edit("title", "bad")
    world.assert_sound()
    query = "select count(*) from crm_sync.parked where field = 'title' and lifted_at is null"
    assert world.count(query) == 1


def test_edited_then_deleted_there(world: World) -> None:
    world.their_edit("phone", "T1")
    world.their_delete()
    world.assert_sound()
    row = world.client.execute("select phone, archived_by from gptweb.contacts").fetchone()
    assert row == ("T1", "engine")


def test_undeleted_after_our_re_create(world: World) -> None:
    """37: the old record comes back beside the one made again: left to a person, nothing is made of it."""
    old = world.theirs["crm"]
    world.client.execute("update gptweb.contacts set email = null")
    world.run()
    world.tick(20)
    world.our_edit("title", "O1")
    world.their_delete()
    world.run()
    world.tick(20)
    world.crms["crm"].person_undeletes(old)
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts") == 1
    assert (
        world.count("select count(*) from crm_sync.parked where code = 'came_back' and lifted_at is null")
        == 1
    )
    world.crms["crm"].person_deletes(old)
    world.assert_sound()
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 0


def test_recreate_in_doubt_then_undeleted_is_not_the_new_one(world: World) -> None:
    """38: the record under our key is the old one that came back: it proves nothing about the one we may have made."""
    _recreate_in_doubt_then_undeleted(world, "sent")


def test_recreate_that_arrived_then_undeleted(world: World) -> None:
    """38: the old one comes back without our key, which the new one has."""
    _recreate_in_doubt_then_undeleted(world, "written")


def _recreate_in_doubt_then_undeleted(world: World, where: str) -> None:
    old = world.theirs["crm"]
    world.our_edit("title", "O1")
    world.their_delete()
    world.start().to("push_ours").to(where).kill()
    world.crms["crm"].person_undeletes(old)
    world.our_edit("title", "O2")
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.our_value("title") == "O2"


def test_undeleted_before_we_made_it_again_is_taken_back(world: World) -> None:
    old = world.theirs["crm"]
    world.our_edit("title", "O1")
    world.their_delete()
    world.start().to("push_ours").to("sent").kill()
    world.crms["crm"].person_undeletes(old)
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.linked(world.ours) == old
    assert alive(world) == 1
    assert world.their_value("title") == "O1"


# ---------------------------------------------------------------------------------------------- our archive


def test_archived_here_edited_there(world: World) -> None:
    """31: with 'do not propagate' the difference is agreed once and stays silent."""
    world.our_archive()
    world.run()
    world.their_edit("title", "T1")
    world.assert_sound()
    assert world.image().values["title"] == "T1"
    assert archived_by(world) == "person"
    assert rules(world).count("deleted_ours") == 1


def test_pull_into_archived_record(world: World) -> None:
    """31: nothing is pulled into a record that sleeps; what was typed meanwhile travels on waking."""
    world.our_archive()
    world.run()
    world.tick(20)
    world.their_edit("title", "T1")
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts where title = 'n0'") == 1
    world.our_unarchive()
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_undelete_against_our_archive(world: World) -> None:
    """39: what a person of ours archived is not taken out by a change there."""
    world.our_archive()
    world.run()
    world.their_delete()
    world.tick(20)
    world.run()
    world.their_undelete()
    world.assert_sound()
    assert archived_by(world) == "person"


def test_taken_out_of_the_archive_here_is_made_again_there(world: World) -> None:
    world.their_delete()
    world.run()
    world.tick(20)
    world.our_unarchive()
    world.assert_sound()
    assert archived_by(world) is None
    assert world.image(id=world.linked(world.ours)).values["title"] == "n0"


def test_hard_delete_in_sql_counts_as_archived_by_a_person(world: World) -> None:
    world.client.execute("delete from gptweb.contacts where id = %s", (world.ours,))
    world.assert_sound()
    assert alive(world) == 1
    world.their_delete()
    world.assert_sound()
    world.their_undelete()
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts") == 0


def test_who_archived_is_noted_by_the_database(world: World) -> None:
    with psycopg.connect(world.url) as client:
        client.execute(
            "update gptweb.contacts set deleted_at = now(), archived_by = 'engine' where id = %s",
            (world.ours,),
        )
    assert archived_by(world) == "person"
    world.our_unarchive()
    assert archived_by(world) is None


def test_what_is_typed_while_theirs_is_deleted_travels_on_waking(make_world: MakeWorld) -> None:
    world = make_world(their_delete="keep").with_person()
    world.their_delete()
    world.run()
    world.our_edit("title", "O1")
    world.assert_sound()
    assert world.image().values["title"] == "n0"
    world.their_undelete()
    world.assert_sound()
    assert world.their_value("title") == "O1"


# ------------------------------------------------------------------------------------------------ overtaken


def test_approved_archive_after_undelete(world: World) -> None:
    """52: what was planned is decided once more when it is written."""
    world.their_delete()
    run = world.start().to("plan")
    world.tick()
    world.their_undelete()
    world.start(kind="backfill").to("plan")
    run.finish()
    assert archived_by(world) is None
    for other in world.runs:
        other.finish()
    world.assert_sound()


def test_approved_archive_after_our_edit(world: World) -> None:
    world.their_delete()
    run = world.start().to("plan")
    world.our_edit("title", "O1")
    run.finish()
    world.assert_sound()
    assert archived_by(world) is None
    assert world.image(id=world.linked(world.ours)).values["title"] == "O1"


def test_approved_twice(world: World) -> None:
    """The same plan pushed twice: the second finds nothing left to do."""
    world.our_edit("title", "O1")
    world.their_delete()
    run = world.start().to("push_ours")
    world.again(run, "push_theirs").finish()
    world.tick(LEASE + 1)
    run.finish()
    world.assert_sound()
    assert alive(world) == 1
    assert world.crms["crm"].written == 2


def test_archived_between_plan_and_making_it_again(world: World) -> None:
    world.our_edit("title", "O1")
    world.their_delete()
    run = world.start().to("push_ours")
    world.our_archive()
    run.finish()
    world.assert_sound()
    assert alive(world) == 0
    assert world.linked(world.ours) == world.theirs["crm"]


# ---------------------------------------------------------------------------------- our archive, propagated


def deleting(make_world: MakeWorld) -> World:
    """A connection on which what is deleted here is deleted there."""
    return make_world(our_archive="delete").with_person()


def test_deleted_here_goes_to_the_recycle_bin_there(make_world: MakeWorld) -> None:
    world = deleting(make_world)
    world.our_archive()
    world.assert_sound()
    assert world.image().deleted
    assert "deleted_ours" in rules(world)
    world.their_undelete()
    world.assert_sound()
    assert archived_by(world) is None


def test_hard_deleted_here_goes_to_the_recycle_bin_there(make_world: MakeWorld) -> None:
    world = deleting(make_world)
    world.client.execute("delete from gptweb.contacts where id = %s", (world.ours,))
    world.assert_sound()
    assert world.image().deleted


def test_deleted_here_edited_there_comes_back(make_world: MakeWorld) -> None:
    """An edit that had not travelled wins over the delete: ours is revived."""
    world = deleting(make_world)
    world.their_edit("title", "T1")
    world.our_archive()
    world.assert_sound()
    assert archived_by(world) is None
    assert world.our_value("title") == "T1"


def test_lost_reply_of_our_delete_then_taken_back(make_world: MakeWorld) -> None:
    """43: a delete that landed means that neither side was there; who took ours back asks for a new record."""
    world = deleting(make_world)
    world.our_archive()
    world.start().to("push_ours").to("written").kill()
    world.our_unarchive()
    world.tick(LEASE + 1)
    world.assert_sound()
    assert archived_by(world) is None
    assert alive(world) == 1


def test_edit_between_pull_and_our_delete(make_world: MakeWorld) -> None:
    """44: what slipped in before our delete is recorded."""
    world = deleting(make_world)
    world.our_archive()
    run = world.start().to("push_ours")
    world.their_edit("title", "T1")
    run.finish()
    world.assert_sound()
    assert [line.before for line in world.trail("title") if line.outcome == "overruled"] == ["T1"]
    world.their_undelete()
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_taken_back_between_plan_and_our_delete(make_world: MakeWorld) -> None:
    world = deleting(make_world)
    world.our_archive()
    run = world.start().to("push_ours")
    world.our_unarchive()
    run.finish()
    world.assert_sound()
    assert alive(world) == 1
    assert world.linked(world.ours) == world.theirs["crm"]


def test_deleted_there_before_our_delete_arrives(make_world: MakeWorld) -> None:
    world = deleting(make_world)
    world.our_archive()
    run = world.start().to("push_ours").to("sent")
    world.their_delete()
    run.finish()
    world.assert_sound()
    assert archived_by(world) == "person"


def test_our_delete_of_many(make_world: MakeWorld) -> None:
    world = deleting(make_world)
    with world.client.transaction():
        for n in range(3):
            world.our_new(title=f"t{n}")
    world.run()
    world.tick(20)
    world.client.execute("update gptweb.contacts set deleted_at = now()")
    world.assert_sound()
    assert alive(world) == 0


def test_typed_and_deleted_before_the_record_that_we_made_was_read(make_world: MakeWorld) -> None:
    """Found by the soak: of what was blank when we made the record nothing was agreed yet, and a value typed there is lost."""
    world = make_world(policy="gptweb_wins")
    world.ours = world.our_new(title="n0", email="e0@example.com")
    world.run_all()
    world.theirs = {"crm": world.linked(world.ours)}
    world.our_edit("phone", "O1")
    run = world.start().to("push_ours")
    world.their_edit("phone", "T1")
    world.their_delete()
    run.finish()
    world.assert_sound(3)
    assert ("T1", "overruled") in [(line.before, line.outcome) for line in world.trail("phone")]


# ------------------------------------------------------------------------------------------ creates in doubt


def test_create_in_doubt_then_deleted_there(world: World) -> None:
    """42: the look-up by our key sees deleted ones; the link takes it over, and it is deleted like any other."""
    id = world.our_new(title="X", email="e9@example.com")
    world.start().to("push_ours").to("written").kill()
    (made,) = [i.id for i in world.crms["crm"].images("contact") if i.our_id == id]
    world.crms["crm"].person_deletes(made)
    world.move_cursor(2)
    world.tick(LEASE + 1)
    world.assert_sound()
    assert alive(world) == 1
    assert archived_by(world, id) == "engine"


# ---------------------------------------------------------------------------------------- purged, out of sight


def test_purged_is_left_to_a_person(world: World) -> None:
    """Absence proves no delete: the link is lost, nothing is archived, and a person is told."""
    crm = world.crms["crm"]
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("sent")
    record = crm._records.pop(world.theirs["crm"])
    slow.finish()
    world.tick(30)
    world.run()
    assert archived_by(world) is None
    assert world.count("select count(*) from crm_sync.link where state = 'lost'") == 1
    assert world.count("select count(*) from crm_sync.parked where code = 'lost' and lifted_at is null") == 1
    crm._records[record.id] = record
    crm.person_edits(record.id, "phone", "P1")
    world.assert_sound()
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 0
    assert world.our_value("phone") == "P1"


# ------------------------------------------------------------------------- found by the model's random search


def test_twin_comes_back_after_we_archived_what_was_made_for_it(world: World) -> None:
    """Ours was made there while theirs lay in the recycle bin; then ours is archived, and theirs is taken out again."""
    crm = world.crms["crm"]
    theirs = world.their_new(title="X", email="e9@example.com")
    crm.person_deletes(theirs)
    id = world.our_new(title="Y", email="e9@example.com")
    world.run()
    world.our_archive(id)
    crm.person_undeletes(theirs)
    world.excused.add(world.truth.person("crm", theirs))
    world.assert_sound(3)


def test_account_without_a_website_made_on_both_sides_at_once_and_ours_archived(
    make_world: MakeWorld,
) -> None:
    """An account without a website is known by its name, also when only the link is left to remember it."""
    world = make_world()
    crm = world.crms["crm"]
    world.client.execute("insert into gptweb.accounts (name) values ('Acme')")
    run = world.start(objects=("account",)).to("plan")
    crm.person_creates("account", name="ACME ")
    run.finish()
    world.client.execute("update gptweb.accounts set deleted_at = now()")
    for _ in range(3):
        world.run(objects=("account",))
        world.tick(20)
    assert world.count("select count(*) from gptweb.accounts where deleted_at is null") == 0
    assert world.client.execute("select code from crm_sync.parked where lifted_at is null").fetchall() == [
        ("possible_duplicate",)
    ]


def test_deleted_there_before_a_repair_arrived(world: World) -> None:
    """What our write ran over and is on its way back is an edit that they do not hold: it wins against the delete."""
    world.our_edit("title", "O1")
    run = world.start().to("push_ours")
    world.their_edit("title", "T1")
    run.finish()
    world.their_delete()
    world.assert_sound(3)
    assert world.image(id=world.linked(world.ours)).values["title"] == "T1"


def test_edited_there_and_killed_after_a_clear_of_ours(make_world: MakeWorld) -> None:
    """The value that our clear ran over is lost with the reply; the trail names the window, at once."""
    world = make_world(policy="crm_wins").with_person()
    world.our_edit("title", None)
    run = world.start().to("pull")
    world.their_edit("title", "v2")
    run.to("written").kill()
    world.run()
    assert "unseen_window" in {line.outcome for line in world.trail("title")}
    world.assert_sound(3)


def test_undeleted_and_edited_between_our_read_and_making_it_again(make_world: MakeWorld) -> None:
    """The upsert meets the old record, which nobody can have looked at before: the trail names that window."""
    world = make_world(policy="gptweb_wins").with_person()
    world.their_delete()
    world.assert_sound()
    run = world.start().to("pull")
    world.their_undelete()
    world.their_edit("title", "v1")
    world.our_unarchive()
    run.finish()
    assert "unseen_window" in {line.outcome for line in world.trail("title")}
    world.assert_sound(3)
    assert world.linked(world.ours) == world.theirs["crm"]


@pytest.mark.parametrize("steps", [0, 4, 12])
def test_archived_here_and_merged_there_during_a_run(make_world: MakeWorld, steps: int) -> None:
    """A stranger is merged into the counterpart of what we delete: what is typed there afterwards keeps it alive."""
    world = make_world(policy="gptweb_wins", our_archive="delete").with_person()
    other = world.their_new(title="w0", email="e9@example.com")
    run = world.start()
    for _ in range(steps):
        run.step()
    world.our_archive()
    world.their_merge(world.theirs["crm"], other)
    run.finish()
    world.their_edit("phone", "v2")
    world.assert_sound(3)


def test_planned_once_more_between_their_undelete_and_reading_it(make_world: MakeWorld) -> None:
    """An edit of ours that a sleeping link lets go of is work again when it wakes."""
    world = make_world(policy="gptweb_wins", their_delete="keep").with_person()
    earlier = world.start().finish()
    world.their_delete()
    world.run()
    world.their_undelete()
    world.our_edit("title", None)
    world.again(earlier, "plan").finish()
    world.assert_sound(3)
    assert world.their_value("title") is None


def test_inserted_again_while_a_plan_settles_its_delete(world: World) -> None:
    """The plan has read that nobody has this id any more; before it takes the row out of the outbox somebody has it again."""
    world.watched = False
    world.client.execute("delete from gptweb.contacts")
    database = Database(world.url)
    engine = world.engine(database, "crm")
    run_id = engine.open_run(RunOptions("crm"))
    engine.pull(run_id)
    waiting = "select count(*) from pg_locks where relation = 'crm_sync.link'::regclass and not granted"
    with psycopg.connect(world.url) as person:
        person.execute(
            "lock table crm_sync.link in share mode"
        )  # a plan may read and lock its rows, not store them
        thread = threading.Thread(target=engine.plan, args=(run_id,))
        thread.start()
        while thread.is_alive() and not world.count(waiting):
            thread.join(0.02)
        person.execute(
            "insert into gptweb.contacts (id, last_name, title) values (%s, 'Doe', 'O1')", (world.ours,)
        )
    thread.join()
    engine.settle(run_id)
    database.close()
    assert world.outbox() == [world.ours]
    world.run()
    assert world.their_value("title") == "O1"
    world.run()
    assert world.outbox() == []
