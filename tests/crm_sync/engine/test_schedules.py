"""The schedules that break a sync in which a rule is missing (algorithm.md section 2), on the real engine and Postgres.

Each ends with the invariants: both sides agree, nothing typed is lost unrecorded, nobody stands twice, an idle run is
silent, and every run's sums add up.  A run that stands somewhere is one that other people and other runs overtake;
runs of one kind end those before them (their processes count as dead), so what really overlaps is of two kinds.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crm_sync.ledger import worklist
from crm_sync.model import Object, Value, Write
from crm_sync.stores.database import DatabaseStore
from tests.crm_sync.engine.world import LAG, LATE, LEASE, MAPPINGS, World, a_database_that

MakeWorld = Callable[..., World]

# --------------------------------------------------------------------------------------------- 1 to 4: reading


def test_same_second_second_edit(world: World) -> None:
    world.their_edit("title", "T1")
    world.run()
    world.their_edit("title", "T2")
    world.assert_sound()
    assert world.our_value("title") == "T2"


def test_stale_page_stored_late(world: World) -> None:
    world.their_edit("title", "T1")
    slow = world.start().to("answered")
    world.tick()
    world.their_edit("title", "T2")
    world.run()
    world.tick(30)
    world.run()
    slow.finish()
    world.assert_sound()
    assert world.our_value("title") == "T2"


def test_slow_reply_hides_edit(world: World) -> None:
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("answered")
    world.their_edit("title", "T1")
    world.run(kind="backfill")
    world.tick(LEASE - 1)
    world.run(kind="backfill")
    world.move_cursor(-LAG)  # T1 is read for good
    slow.finish()
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_decide_on_doubtful_image(world: World) -> None:
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("sent")
    world.our_edit("title", "X")
    world.their_edit("title", "X")
    other = world.start(kind="backfill").to("pull")
    slow.finish()
    other.finish()
    world.assert_sound()
    assert world.our_value("title") == "X"


def test_unchanged_row_still_orders_reads(world: World) -> None:
    """42: A reads V2 slowly, a person sets V1 back, B reads V1 and finds nothing new, A stores V2."""
    world.their_edit("title", "V2")
    slow = world.start().to("answered")
    world.their_edit("title", "n0")
    world.run()
    world.tick(30)
    world.run()
    slow.finish()
    world.assert_sound()
    assert world.our_value("title") == "n0"


def test_stale_page_brings_back_deleted_stranger(world: World) -> None:
    id = world.their_new(title="X", email="e9@example.com")
    slow = world.start().to("answered")
    world.tick()
    world.crms["crm"].person_deletes(id)
    world.run()
    world.tick(30)
    world.run()
    slow.finish()
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts") == 1


# ------------------------------------------------------------------------------- 5 to 8: plans, claims, leases


def test_stale_plan_overwrites_new_edit(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.start().to("plan")
    world.our_edit("title", "O2")
    run.finish()
    world.assert_sound()


def test_old_run_pushes_after_newer(world: World) -> None:
    world.our_edit("title", "O1")
    old = world.start().to("plan")
    world.our_edit("title", "O2")
    world.run()
    world.tick(30)
    world.run()
    written = world.crms["crm"].written
    old.finish()
    assert world.crms["crm"].written == written
    world.assert_sound()
    assert world.their_value("title") == "O2"


def test_old_push_would_overrule_an_edit_typed_on_top_of_a_newer(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    old = world.start().to("plan")
    world.our_edit("title", "O2")
    world.run()
    world.their_edit("title", "T3")
    old.finish()
    world.assert_sound()
    assert world.our_value("title") == "T3"


def test_two_runs_in_flight(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("sent")
    world.our_edit("title", "O2")
    world.run(kind="backfill")
    world.tick(LEASE - 1)
    slow.finish()
    world.assert_sound()
    assert world.their_value("title") == "O2"


def test_two_runs_in_flight_and_an_edit_between(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("sent")
    world.our_edit("title", "O2")
    world.run(kind="backfill")
    world.their_edit("title", "T3")
    slow.finish()
    world.run(kind="backfill")
    world.assert_sound()
    assert "T3" in [line.before for line in world.trail("title")]


def test_zombie_worker_sends_after_lease(world: World) -> None:
    world.our_edit("title", "O1")
    zombie = world.start().to("push_ours").until(world.open_intents)
    world.tick(LEASE + 1)
    world.our_edit("title", "bad O2")
    world.run()
    written = world.crms["crm"].written
    zombie.finish()
    assert world.crms["crm"].written == written
    world.assert_sound()


def test_worker_that_sleeps_after_its_last_check_sends_nothing(world: World) -> None:
    world.our_edit("title", "O1")
    zombie = world.start().to("push_ours").until(world.open_intents).to("committed")
    world.tick(LEASE + 1)
    written = world.crms["crm"].written
    zombie.finish()
    assert world.crms["crm"].written == written
    world.assert_sound()
    assert world.their_value("title") == "O1"


def test_suspended_machine_sends_nothing_after_its_lease(world: World) -> None:
    world.our_edit("title", "O1")
    zombie = world.start().to("push_ours").until(world.open_intents)
    world.suspend(LEASE + 1)
    world.our_edit("title", "bad O2")
    world.run()
    written = world.crms["crm"].written
    zombie.finish()
    assert world.crms["crm"].written == written
    world.assert_sound()


def test_what_was_given_back_unsent_is_sent_when_the_task_runs_again(world: World) -> None:
    world.our_edit("title", "O1")
    zombie = world.start().to("push_ours").until(world.open_intents).to("committed")
    world.tick(LEASE + 1)
    zombie.finish()
    assert (world.open_intents(), world.their_value("title")) == (0, "n0")
    again = world.again(zombie, "push_theirs").finish()
    assert world.their_value("title") == "O1"
    assert again.report is not None
    assert again.report.state == "succeeded"
    world.assert_sound()


# --------------------------------------------------------------------------------------- 9 to 13: lost replies


def test_lost_reply_lost_before_value(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("plan")
    world.their_edit("title", "T1")
    run.to("written").kill()
    world.tick(LEASE + 1)
    world.assert_sound()
    assert [line.rule for line in world.trail("title") if line.outcome == "unseen_window"] == ["reply_lost"]


def test_lost_reply_found_before_the_lease_ends(world: World) -> None:
    """Found by the soak: the next run may find the write while the dead run's lease still runs; the window is named all the same."""
    world.our_edit("title", "O1")
    run = world.start().to("plan")
    world.their_edit("title", "T1")
    run.to("written").kill()
    world.tick()
    world.run()
    world.assert_sound()
    assert [line.rule for line in world.trail("title") if line.outcome == "unseen_window"] == ["reply_lost"]


def test_lost_reply_then_our_newer_edit(world: World) -> None:
    world.our_edit("title", "O1")
    world.start().to("push_ours").to("written").kill()
    world.compare()
    world.our_edit("title", "O2")
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.their_value("title") == "O2"


def test_lost_reply_then_person_on_top(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    world.start().to("push_ours").to("written").kill()
    world.compare()
    world.their_edit("title", "T2")
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.our_value("title") == "T2"


def test_lost_reply_commits_after_newer_push(world: World) -> None:
    world.our_edit("title", "O1")
    world.start().to("push_ours").to("sent").kill()
    [request] = world.crms["crm"].unserved
    world.our_edit("title", "O2")
    world.tick(LEASE + 1)
    world.run()
    assert world.their_value("title") == "O2"
    world.tick()
    world.serve_late("crm", request)
    assert world.their_value("title") == "O1"
    world.assert_sound()
    assert world.their_value("title") == "O2"


def _create_that_commits_late(world: World, seconds: float) -> tuple[str, str]:
    """O1 is on its way for so long; meanwhile O2 is typed here, and a run looks for what became of O1: our id, their title."""
    id = world.our_new(title="O1", email="e9@example.com")
    slow = world.start().to("push_ours").to("sent")
    world.our_edit("title", "O2", id)
    world.tick(seconds)
    world.run()
    slow.finish()
    world.drain()
    return id, str(world.their_value("title", id=world.linked(id)))


@pytest.mark.parametrize("direction", ["bidirectional", "push"])
def test_create_that_commits_at_its_last_moment(make_world: MakeWorld, direction: str) -> None:
    """Until then nobody takes it for given up, in whatever direction."""
    world = make_world(policy="gptweb_wins", direction=direction)
    id, theirs = _create_that_commits_late(world, LEASE + LATE)
    assert (world.our_value("title", id), theirs) == ("O2", "O2")


def test_create_that_commits_after_its_last_moment_where_both_write(make_world: MakeWorld) -> None:
    """Beyond what is assumed of the CRM: it is taken for somebody's edit there, pulled, and told in the trail."""
    world = make_world(policy="gptweb_wins")
    id, theirs = _create_that_commits_late(world, LEASE + LATE + 1)
    assert (world.our_value("title", id), theirs) == ("O1", "O1")
    assert ("O2", "O1") in [(line.before, line.after) for line in world.trail("title")]
    world.assert_sound()


def test_create_that_commits_after_its_last_moment_where_only_we_write(make_world: MakeWorld) -> None:
    """The same stays there, as any edit of theirs does, until ours is edited again."""
    world = make_world(direction="push")
    id, theirs = _create_that_commits_late(world, LEASE + LATE + 1)
    assert (world.our_value("title", id), theirs) == ("O2", "O1")
    world.our_edit("title", "O3", id)
    world.drain()
    assert world.their_value("title", id=world.linked(id)) == "O3"


def test_reply_after_it_was_resolved(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    slow = world.start().to("push_ours").to("written")
    world.tick(LEASE + 1)
    world.their_edit("title", "T2")
    world.run(kind="backfill")
    world.their_edit("title", "T3")
    slow.finish()
    world.assert_sound()
    assert world.our_value("title") == "T3"


# ------------------------------------------------------------------------------ 14 to 16, 28: bases and the outbox


def test_push_acked_base_later(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("push_theirs")
    world.our_edit("title", "O2")
    world.tick()
    world.run()
    run.finish()
    world.assert_sound()
    assert world.their_value("title") == "O2"


def test_edit_between_pull_and_push(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    run = world.start().to("plan")
    world.their_edit("title", "T1")
    run.finish()
    world.assert_sound()
    assert world.our_value("title") == "O1"
    overruled = [line for line in world.trail("title") if line.outcome == "overruled"]
    assert [(line.side, line.before, line.after) for line in overruled] == [("theirs", "T1", "O1")]


def test_edit_between_crm_wins(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("plan")
    world.their_edit("title", "T1")
    run.finish()
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_whole_record_base(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("push_ours").to("sent")
    world.their_edit("phone", "P1")
    run.finish()
    world.assert_sound()
    assert world.our_value("phone") == "P1"


def test_edit_between_our_write_and_our_second_look(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("push_ours").to("written")
    world.compare()
    world.their_edit("title", "T1")
    run.finish()
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_edit_between_plan_and_ack(world: World) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("push_ours").to("written")
    world.our_edit("phone", "P1")
    run.finish()
    world.assert_sound()
    assert world.their_value("phone") == "P1"


def test_run_ends_without_applying(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.start().to("pull")
    run.kill()
    world.again(run, "push_ours").finish()
    world.tick(30)
    world.assert_sound()
    assert world.our_value("title") == "T1"


# ------------------------------------------------------------------------ 17 to 19: two CRMs, and most recent wins


def test_two_crms_format_phones(make_world: MakeWorld) -> None:
    world = make_world(policy="crm_wins", crms=("crm_a", "crm_b"))
    for name, crm in world.crms.items():
        crm.render = _marks_phones(name)
    world.with_person()
    world.assert_sound(4)
    world.their_edit("phone", "P1", "crm_a")
    world.drain(4)
    quiet = world.truth.engine_writes
    world.drain(10)
    assert world.truth.engine_writes == quiet
    world.assert_sound()
    assert [world.their_value("phone", c) for c in world.crms] == ["P1~crm_a", "P1~crm_b"]


def _marks_phones(crm: str) -> Callable[[Object, str, Value], Value]:
    def render(_object: Object, column: str, value: Value) -> Value:
        return f"{value.split('~')[0]}~{crm}" if column == "phone" and isinstance(value, str) else value

    return render


def test_how_a_crm_spells_what_we_created_is_no_edit(make_world: MakeWorld) -> None:
    world = make_world(policy="crm_wins")
    world.crms["crm"].render = _marks_phones("crm")
    world.with_person()
    world.assert_sound()
    assert (world.our_value("phone"), world.their_value("phone")) == ("p0", "p0~crm")


def test_how_a_crm_spells_what_we_created_slips_in_nowhere(make_world: MakeWorld) -> None:
    """A run that had read before the record was made writes to it before anybody has read it."""
    world = make_world(policy="crm_wins")
    world.crms["crm"].render = _marks_phones("crm")
    ours = world.our_new(title="n0", phone="p0", department="d0", email="e0@example.com")
    slow = world.start().to("pull")
    world.run()
    world.our_edit("phone", "p1", ours)
    slow.finish()
    world.assert_sound()
    assert (world.our_value("phone", ours), world.their_value("phone", id=world.linked(ours))) == (
        "p1",
        "p1~crm",
    )


def test_how_a_crm_spells_what_we_created_is_kept_by_a_write_of_something_else(make_world: MakeWorld) -> None:
    world = make_world(policy="crm_wins")
    world.crms["crm"].render = _marks_phones("crm")
    ours = world.our_new(title="n0", phone="p0", email="e0@example.com")
    slow = world.start().to("pull")
    world.run()
    world.our_edit("title", "O1", ours)
    slow.finish()
    world.our_edit("phone", "p1", ours)
    world.assert_sound()
    assert (world.our_value("phone", ours), world.their_value("phone", id=world.linked(ours))) == (
        "p1",
        "p1~crm",
    )


def test_our_push_bumped_their_time(make_world: MakeWorld) -> None:
    world = make_world(policy="most_recent").with_person()
    world.our_edit("total_score", 2)
    run = world.start().to("plan")
    world.their_edit("title", "T_old")
    world.tick(3)
    world.our_edit("title", "O_new")
    world.tick(3)
    run.finish()
    world.assert_sound()
    assert world.our_value("title") == "O_new"


def test_other_field_bumped_their_time(make_world: MakeWorld) -> None:
    world = make_world(policy="most_recent").with_person()
    world.their_edit("title", "T_old")
    world.start().to("pull").kill()
    world.tick(3)
    world.our_edit("title", "O_new")
    world.tick(3)
    world.their_edit("phone", "P1")
    world.assert_sound()
    assert world.our_value("title") == "O_new"


def test_two_crms_origin_time(make_world: MakeWorld) -> None:
    world = make_world(policy="most_recent", crms=("crm_a", "crm_b")).with_person()
    world.their_edit("title", "A_old", "crm_a")
    world.tick(3)
    world.their_edit("title", "B_new", "crm_b")
    world.tick(3)
    world.run("crm_a")
    world.tick()
    world.assert_sound()
    assert world.our_value("title") == "B_new"


# ---------------------------------------------------------------------------------------- 20 to 23: who is who


def test_linked_pushed_by_external_id(world: World) -> None:
    ours = world.our_new(title="X", email="e9@example.com")
    theirs = world.their_new(title="X", email="e9@example.com")
    world.run()
    world.our_edit("title", "Y", ours)
    world.assert_sound()
    assert [i.id for i in world.crms["crm"].images("contact") if i.values["email"] == "e9@example.com"] == [
        theirs
    ]
    assert world.their_value("title", id=theirs) == "Y"


def test_same_person_both_sides(world: World) -> None:
    world.our_new(title="X", email="e9@example.com")
    world.their_new(title="X", email="e9@example.com")
    world.move_cursor(1)  # their record lies outside what the run reads by itself
    world.run()
    world.assert_sound()
    assert len(world.crms["crm"].images("contact")) == 2


def test_twin_seen_after_create(world: World) -> None:
    ours = world.our_new(title="X", email="e9@example.com")
    run = world.start().to("plan")
    twin = world.their_new(title="X", email="e9@example.com")
    run.finish()
    world.assert_sound()
    assert [(line.rule, line.outcome) for line in world.trail() if line.rule == "possible_duplicate"] == [
        ("possible_duplicate", "parked")
    ]
    assert world.linked(ours) != twin


def test_twin_read_by_another_run_before_create(world: World) -> None:
    world.our_new(title="X", email="e9@example.com")
    run = world.start().to("plan")
    world.their_new(title="X", email="e9@example.com")
    other = world.start().to("pull")
    run.finish()
    other.finish()
    world.assert_sound()
    assert len(world.crms["crm"].images("contact")) == 2


def test_our_twin_typed_between_plan_and_push_ours(world: World) -> None:
    world.their_new(title="X", email="e9@example.com")
    run = world.start().to("plan")
    world.our_new(title="X", email="e9@example.com")
    run.finish()
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts") == 2


def test_archived_between_plan_and_create(world: World) -> None:
    ours = world.our_new(title="X", email="e9@example.com")
    run = world.start().to("plan")
    world.our_archive(ours)
    run.finish()
    world.assert_sound()
    assert len(world.crms["crm"].images("contact")) == 1


def test_record_with_our_key_is_linked_by_it(world: World) -> None:
    """The ledger was lost: what carries our key is ours, whatever e-mail stands on it by now."""
    ours = world.our_new(title="X", email="e9@example.com")
    crm = world.crms["crm"]
    [made] = crm.write("contact", [Write(ours, None, "m", {"title": "X", "email": "new@example.com"})], 1e9)
    world.run(direction="pull")
    assert world.linked(ours) == made.id
    world.run_all()
    assert len(crm.images("contact")) == 2


def test_crash_after_create(world: World) -> None:
    world.our_new(title="X")
    world.start().to("push_ours").to("written").kill()
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.count("select count(*) from gptweb.contacts") == 2
    assert len(world.crms["crm"].images("contact")) == 2


def test_crash_after_create_then_our_newer_edit(world: World) -> None:
    ours = world.our_new(title="X", email="e9@example.com")
    world.start().to("push_ours").to("written").kill()
    world.compare()
    world.our_edit("title", "O2", ours)
    world.tick(LEASE + 1)
    world.assert_sound()
    assert world.our_value("title", ours) == "O2"


# --------------------------------------------------------------------------------------------- 24 to 27: the rest


def test_cursor_from_our_clock(make_world: MakeWorld) -> None:
    world = make_world(policy="crm_wins", skew=-20).with_person()
    world.run()
    world.tick(2)
    world.their_edit("title", "T1")
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_cursor_runs_behind_by_the_lag(world: World) -> None:
    began = world.now
    world.tick(LAG - 2)
    world.run()
    world.their_edit("title", "T1", stamp=began)  # a transaction that was open while the run read
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_outbox_row_of_a_newer_version_stays(world: World) -> None:
    world.our_edit("title", "O1")
    with world.desk.transaction() as tx:
        worklist.clear_outbox(tx, "crm", "contact", [(world.ours, 1)])
    assert world.outbox() == [world.ours]
    world.assert_sound()


def test_undo_written_to_crm_only(world: World) -> None:
    """An undo writes ours, as the engine does, and the normal path carries it on."""
    world.our_edit("title", "O1")
    world.run()
    world.tick(20)
    with world.desk.transaction() as tx:
        undo = Write(world.ours, world.ours, "", {"title": "n0"}, times={"title": world.now})
        DatabaseStore(tx, MAPPINGS).write("contact", [undo], 0.0)
    world.run()
    assert (world.our_value("title"), world.their_value("title")) == ("n0", "n0")
    world.assert_sound()


@pytest.mark.parametrize(("policy", "final"), [("crm_wins", "T1"), ("gptweb_wins", None)])
def test_a_clear_loses_like_any_value(make_world: MakeWorld, policy: str, final: str | None) -> None:
    world = make_world(policy=policy).with_person()
    world.our_edit("title", None)
    world.their_edit("title", "T1")
    world.run()
    assert (world.our_value("title"), world.their_value("title")) == (final, final)
    overruled = [line.before for line in world.trail("title") if line.outcome == "overruled"]
    assert overruled == [None if final else "T1"]
    world.assert_sound()


def test_refused_value_lets_the_others_through(world: World) -> None:
    world.our_edit("title", "bad title")
    world.our_edit("phone", "P1")
    run = world.run()
    assert world.their_value("phone") == "P1"
    assert run.report is not None
    assert run.report.state == "succeeded_with_parked"
    world.assert_sound()
    assert world.their_value("title") == "n0"
    world.our_edit("title", "good")
    world.assert_sound()
    assert world.their_value("title") == "good"
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 0


def test_value_parked_here_does_not_stop_their_next_one(world: World) -> None:
    world.our_edit("title", "bad title")
    world.run()
    world.tick()
    world.their_edit("title", "T1")
    world.assert_sound()
    assert world.our_value("title") == "T1"


def test_a_refused_value_is_tried_again_when_theirs_changes(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins")
    world.with_person()
    world.our_edit("title", "bad")
    world.run()
    world.their_edit("title", "T1")
    world.run()
    tries = "select count(*) from crm_sync.outcome o where o.outcome = 'parked'"
    assert world.count(tries) == 2, "once for each value of theirs that it would replace"
    world.run()
    assert world.count(tries) == 2
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 1
    world.assert_sound()


# ------------------------------------------------------------- records that are made set by set (adr/0006)


def test_edit_between_making_ours_and_writing_our_key(world: World) -> None:
    theirs = world.their_new(title="T1", email="e9@example.com")
    run = world.start().to("push_ours")
    world.tick()
    world.their_edit("title", "T2", id=theirs)
    run.finish()
    world.assert_sound()


def test_edit_read_by_another_run_before_our_key_is_written(world: World) -> None:
    theirs = world.their_new(title="T1", email="e9@example.com")
    run = world.start().to("push_ours")
    world.tick()
    world.their_edit("title", "T2", id=theirs)
    other = world.start(kind="backfill").to("pull")
    run.finish()
    other.kill()
    world.assert_sound()


def test_our_edit_between_making_ours_and_writing_our_key(world: World) -> None:
    theirs = world.their_new(title="T1", email="e9@example.com")
    run = world.start().to("push_ours")
    [ours] = [our_id for _, our_id, their_id in world.links() if their_id == theirs]
    world.our_edit("title", "O1", id=ours)
    run.finish()
    world.assert_sound()
    assert world.their_value("title", id=theirs) == "O1"


def test_stranger_edited_between_plan_and_push_ours(world: World) -> None:
    theirs = world.their_new(title="T1", email="e9@example.com")
    run = world.start().to("plan")
    world.tick()
    world.their_edit("title", "T2", id=theirs)
    other = world.start(kind="backfill").to("pull")
    run.finish()
    other.kill()
    world.assert_sound()


def test_our_edit_while_the_record_is_being_made_there(world: World) -> None:
    ours = world.our_new(title="O1", email="e9@example.com")
    run = world.start().to("answered").to("answered")  # the answer of the read, then that of the write
    world.our_edit("title", "O2", id=ours)
    run.finish()
    world.assert_sound()
    assert world.their_value("title", id=world.linked(ours)) == "O2"


SHOUTS = """create function gptweb.shout() returns trigger language plpgsql as $$
begin new.title := upper(new.title); return new; end $$;
create trigger shout before insert on gptweb.contacts for each row execute function gptweb.shout()"""


def test_what_our_database_holds_its_own_way_is_no_edit(world: World) -> None:
    with a_database_that(world, SHOUTS, "drop function gptweb.shout cascade"):
        theirs = world.their_new(title="quiet", email="e9@example.com")
        world.run()
        world.drain()
        [ours] = [our_id for _, our_id, their_id in world.links() if their_id == theirs]
        assert (world.our_value("title", ours), world.their_value("title", id=theirs)) == ("QUIET", "quiet")
        assert [line.outcome for line in world.trail("title") if line.our_id == ours] == ["acknowledged"]
        world.our_edit("phone", "O1", ours)
        world.drain()
        assert (world.their_value("phone", id=theirs), world.their_value("title", id=theirs)) == (
            "O1",
            "quiet",
        )


def test_a_value_that_our_database_refuses_parks_alone_when_records_are_made(world: World) -> None:
    short, long = (f"alter table gptweb.contacts alter title type {kind}" for kind in ("varchar(5)", "text"))
    with a_database_that(world, short, long):
        refused = world.their_new(title="too long", phone="p8", email="e8@example.com")
        fine = world.their_new(title="short", phone="p9", email="e9@example.com")
        world.run()
        ours = {their_id: our_id for _, our_id, their_id in world.links()}
        held = {(o, c): world.our_value(c, ours[o]) for o in (refused, fine) for c in ("title", "phone")}
        assert held == {
            (refused, "title"): None,
            (refused, "phone"): "p8",
            (fine, "title"): "short",
            (fine, "phone"): "p9",
        }
        parked = "select count(*) from crm_sync.parked where lifted_at is null and field = 'title'"
        assert world.count(parked) == 1
        world.assert_sound()


# ----------------------------------------------------------------------------------------- 31: kill -9 anywhere


KILLS = {
    "before the cursor's commit": ("", "answered"),
    "inside the plan": ("pull", "committed"),
    "inside push_ours": ("plan", "committed"),
    "inside T1": ("push_ours", "committed"),
    "after T1": ("push_ours", "T1"),
    "after send": ("push_ours", "sent"),
    "after send, served late": ("push_ours", "sent"),
    "after commit": ("push_ours", "written"),
    "before T2": ("push_ours", "answered"),
    "inside T2": ("push_ours", "answered"),
}
"""Where a run dies: the stage that it has done, and the point of the next one that it has reached."""


@pytest.mark.parametrize("policy", ["crm_wins", "most_recent"])
@pytest.mark.parametrize("where", KILLS)
def test_killed(make_world: MakeWorld, where: str, policy: str) -> None:
    world = make_world(policy=policy).with_person()
    world.our_edit("title", "O1")
    world.their_edit("phone", "P1")
    world.our_new(title="new of ours", email="e1@example.com")
    world.their_new(title="new of theirs", email="e2@example.com")
    run = world.start()
    stage, point = KILLS[where]
    if stage:
        run.to(stage)
    if point == "T1":
        run.until(world.open_intents)
    elif point:
        run.to(point)
    run.kill_before_commit() if where.startswith(("inside", "before the cursor")) else run.kill()
    if where.endswith("late"):
        world.tick(2)
        for request in list(world.crms["crm"].unserved):
            world.serve_late("crm", request)
    world.compare()
    world.assert_sound()
    assert (world.their_value("title"), world.our_value("phone")) == ("O1", "P1")
    assert world.count("select count(*) from gptweb.contacts") == 3
    assert len(world.crms["crm"].images("contact")) == 3


def test_killed_before_anything_was_carried_out(world: World) -> None:
    world.our_edit("title", "O1")
    world.start().to("plan").kill()
    world.assert_sound()
    assert [line.detail for line in world.trail("title") if line.outcome == "superseded"] == [
        "its run ended before it was carried out; the next run plans it again"
    ]


# ----------------------------------------------------------------------------------------- 32: the same task twice


@pytest.mark.parametrize("steps", range(0, 18, 2))
def test_the_same_cleared_push_task_twice(world: World, steps: int) -> None:
    world.our_edit("title", "O1")
    world.our_new(title="new of ours", email="e1@example.com")
    run = world.start().to("push_ours")
    run.kill()
    one, two = world.again(run, "push_theirs"), world.again(run, "push_theirs")
    for _ in range(steps):
        one.step()
    for _ in range(steps):
        two.step()
    one.finish()
    two.finish()
    # The person of the start, O1, the new one; or fewer, when the first to settle ends the claims of the other.
    assert world.crms["crm"].written <= 3
    world.assert_sound()
    assert world.their_value("title") == "O1"


# ------------------------------------------------------------------------------------------- 38: equal stamps


def test_equal_stamps_on_pages_of_one_row(world: World) -> None:
    world.watched = False
    crm = world.crms["crm"]
    crm.page_size = 1
    for n in range(2001):
        crm.person_creates("contact", last_name=f"L{n}", email=f"l{n}@example.com")
    killed = world.start()
    for _ in range(500):
        killed.step()
    killed.kill()
    world.run()
    assert world.count("select count(*) from gptweb.contacts where last_name like 'L%%'") == 2001


def test_what_another_run_holds_is_in_the_report_of_a_plan(world: World) -> None:
    """Nothing is decided about it meanwhile, and that is said: the record, and one that is being made there."""
    world.our_edit("title", "O1")
    world.our_new(title="X", email="e9@example.com")
    sending = world.start().to("sent")
    other = world.start(kind="reconcile").to("opened")
    assert other.run_id is not None
    other.engine.pull(other.run_id)
    held = "left to another run or its bulk job"
    assert other.engine.plan(other.run_id).counts == {held: 1, "create in the CRM": 1}
    sending.to("sent")
    assert other.engine.plan(other.run_id).counts == {held: 1}
    sending.finish()
    other.kill()
    world.assert_sound()
