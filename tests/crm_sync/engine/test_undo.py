"""Undo: what runs wrote is taken back in our own records, and the next sync carries it (algorithm.md, hole 25)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from crm_sync.engine import RunReport
from crm_sync.engine.approval import answer
from crm_sync.engine.undo import apply_undo, await_approval, open_undo, plan_undo, propose
from crm_sync.engine.undo_plan import UndoPlan
from crm_sync.errors import ApprovalNeeded, Misconfigured
from crm_sync.ledger.undo_selection import Selection
from tests.crm_sync.engine.world import Running, World

MakeWorld = Callable[..., World]


def planned(world: World, *runs: Running | int | None, **selection: Any) -> UndoPlan:
    """The plan of an undo of some runs, or of another selection, with the records that they made."""
    numbers = tuple(n for r in runs if (n := r.run_id if isinstance(r, Running) else r) is not None)
    crm = next(iter(world.crms))
    engine = world.engine(world.desk, crm)
    chosen = Selection(crm, numbers, **{"removals": True, **selection})
    return plan_undo(engine, open_undo(engine, chosen, str(uuid4())))


def done(world: World, plan: UndoPlan, approved: str | None = None) -> RunReport:
    """The end of an undo that a person answered: with yes, unless said otherwise."""
    assert plan.run_id is not None
    engine = world.engine(world.desk, next(iter(world.crms)))
    before = world.look()
    if plan.digest:
        with pytest.raises(ApprovalNeeded, match="after a person has seen its plan"):
            await_approval(engine, plan)
        answer(engine, plan.run_id, plan.digest if approved is None else approved, "Ann", datetime.now(UTC))
    apply_undo(engine, plan.run_id)
    report = engine.settle(plan.run_id)
    world.noticed(before)
    return report


def undone(world: World, *runs: Running | int | None, **selection: Any) -> UndoPlan:
    """An undo of some runs, planned, approved and carried out."""
    plan = planned(world, *runs, **selection)
    report = done(world, plan)
    assert report.state == "succeeded", report
    assert report.counts["planned"] == report.counts["acknowledged"]
    return plan


def values(world: World, column: str) -> tuple[object, object]:
    return world.our_value(column), world.their_value(column)


def notes(world: World, plan: UndoPlan) -> list[str]:
    return [n.detail or "" for n in world.trail() if n.run_id == plan.run_id and n.outcome == "noted"]


# --------------------------------------------------------------------------------------- schedule 40


def test_40_undo_after_a_later_edit_keeps_it(world: World) -> None:
    world.their_edit("title", "T1")
    world.their_edit("phone", "T2")
    run = world.run()
    world.our_edit("phone", "O3")
    plan = undone(world, run)
    assert plan.counts == {"put back": 1, "kept": 1}
    assert any("kept: changed since" in note for note in notes(world, plan))
    world.run()
    assert values(world, "title") == ("n0", "n0")
    assert values(world, "phone") == ("O3", "O3")
    world.assert_sound()


def test_40_undo_twice_is_empty_the_second_time(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.run()
    undone(world, run)
    for _ in range(2):
        plan = planned(world, run)
        assert (plan.effective, plan.counts) == (0, {"already": 1})
        world.run()
    assert values(world, "title") == ("n0", "n0")
    world.assert_sound()


def test_40_undo_while_a_second_crm_is_paused(make_world: MakeWorld) -> None:
    world = make_world(crms=("crm", "other")).with_person()
    world.their_edit("title", "T1")
    run = world.run("crm")
    undone(world, run)
    world.run("crm")
    assert world.our_value("title") == world.their_value("title", "crm") == "n0"
    assert world.their_value("title", "other") == "n0", "it never got the value that was undone"
    world.run("other")
    world.their_edit("title", "T5")
    second = world.run("crm")
    world.run("other")
    assert world.their_value("title", "other") == "T5"
    undone(world, second)
    world.run("crm")
    assert world.their_value("title", "other") == "T5", "paused"
    world.run("other")
    assert world.their_value("title", "other") == "n0"
    world.assert_sound()


# -------------------------------------------------------------------------------------------- values


def test_our_value_that_overwrote_theirs_is_taken_back_on_both_sides(world: World) -> None:
    world.our_edit("title", "O1")
    undone(world, world.run())
    assert values(world, "title") == ("n0", "O1")
    world.run()
    assert values(world, "title") == ("n0", "n0")
    world.assert_sound()


@pytest.mark.parametrize(
    ("policy", "winner", "loser"), [("crm_wins", "T1", "O1"), ("gptweb_wins", "O1", "T1")]
)
def test_the_loser_of_a_conflict_comes_back(
    make_world: MakeWorld, policy: str, winner: str, loser: str
) -> None:
    world = make_world(policy=policy).with_person()
    world.our_edit("title", "O1")
    world.their_edit("title", "T1")
    run = world.run()
    assert values(world, "title") == (winner, winner)
    world.tick(20)
    undone(world, run)
    world.run()
    assert values(world, "title") == (loser, loser)
    world.assert_sound()


def test_a_clear_is_undone(world: World) -> None:
    world.their_edit("title", None)
    run = world.run()
    assert world.our_value("title") is None
    undone(world, run)
    world.run()
    assert values(world, "title") == ("n0", "n0")
    world.our_edit("phone", None)
    undone(world, world.run())
    world.run()
    assert values(world, "phone") == ("p0", "p0")
    world.assert_sound()


def test_an_edit_of_the_crm_that_no_sync_has_read_yet_is_kept(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins").with_person()
    world.our_edit("title", "O1")
    run = world.run()
    world.tick(20)
    world.their_edit("title", "T2")
    plan = planned(world, run)
    assert plan.counts == {"kept": 1}
    assert "changed in the CRM since" in notes(world, plan)[0]
    world.run()
    assert values(world, "title") == ("T2", "T2")


def test_a_measure_of_ours_is_not_undone_and_said_so(world: World) -> None:
    world.our_edit("total_score", 7)
    plan = undone(world, world.run())
    assert plan.counts == {"impossible": 1}
    assert "GPTWeb owns this field" in notes(world, plan)[0]
    world.assert_sound()


def test_an_undo_is_undone(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.run()
    first = undone(world, run)
    world.run()
    assert values(world, "title") == ("n0", "n0")
    second = undone(world, first.run_id)
    world.run()
    assert values(world, "title") == ("T1", "T1")
    undone(world, second.run_id)
    world.run()
    assert values(world, "title") == ("n0", "n0")
    world.assert_sound()


def test_what_changes_between_plan_and_approval_is_kept(world: World) -> None:
    world.their_edit("title", "T1")
    plan = planned(world, world.run())
    world.our_edit("title", "O9")
    report = done(world, plan)
    assert report.counts["superseded"] == 1
    world.run()
    assert values(world, "title") == ("O9", "O9")
    world.assert_sound()


@pytest.mark.parametrize("given", ["", "0123456789abcdef"])
def test_without_approval_of_this_very_plan_nothing_is_undone(world: World, given: str) -> None:
    world.their_edit("title", "T1")
    plan = planned(world, world.run())
    report = done(world, plan, given)
    assert (report.state, report.counts["superseded"]) == ("refused", report.counts["planned"])
    assert "was rejected by Ann" in report.message
    assert world.our_value("title") == "T1"
    run = world.run()
    assert run.report is not None
    assert run.report.state == "succeeded", "a rejected undo is no rejected sync"
    world.assert_sound()


def test_nobody_is_asked_where_nothing_is_to_be_done(world: World) -> None:
    run = world.run()
    plan = planned(world, run)
    await_approval(world.engine(world.desk, "crm"), plan)
    assert done(world, plan).state == "succeeded"


def test_a_dry_run_asks_nobody_and_its_digest_lets_the_next_one_through(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.run()
    engine = world.engine(world.desk, "crm")
    chosen = Selection("crm", (run.run_id or 0,))
    dry = plan_undo(engine, open_undo(engine, chosen, "dry", dry_run=True))
    await_approval(engine, dry)
    apply_undo(engine, dry.run_id or 0)
    report = engine.settle(dry.run_id or 0)
    assert report.message == "dry run: 1 changes planned, nothing written"
    assert world.our_value("title") == "T1"
    plan = plan_undo(engine, open_undo(engine, chosen, "done", approve=dry.digest))
    await_approval(engine, plan)
    before = world.look()
    apply_undo(engine, plan.run_id or 0)
    engine.settle(plan.run_id or 0)
    world.noticed(before)
    world.run()
    assert values(world, "title") == ("n0", "n0")
    world.assert_sound()


def test_a_cleared_task_does_the_same_once_more_and_no_harm(world: World) -> None:
    world.their_edit("title", "T1")
    plan = undone(world, world.run())
    engine = world.engine(world.desk, "crm")
    number = plan.run_id or 0
    assert plan_undo(engine, number).lines() == [f"the approved plan {plan.digest} is carried out"]
    world.our_edit("title", "O5")
    apply_undo(engine, number)
    assert engine.settle(number).counts["acknowledged"] == 1
    assert world.our_value("title") == "O5"
    world.assert_sound()


def test_a_proposal_writes_nothing(world: World) -> None:
    world.their_edit("title", "T1")
    run = world.run()
    rows, calls = world.count("select count(*) from crm_sync.run"), world.crms["crm"].calls
    plan = propose(world.engine(world.desk, "crm"), Selection("crm", (run.run_id or 0,)))
    (shown,) = plan.samples
    assert (shown.our_id, shown.line.field, shown.line.present, shown.line.target) == (
        world.ours,
        "title",
        "T1",
        "n0",
    )
    assert (world.count("select count(*) from crm_sync.run"), world.crms["crm"].calls) == (rows, calls)
    assert not any("T1" in line for line in plan.lines()), "a log holds no values of people"


# --------------------------------------------------------------------------------------- selections


def test_by_record_field_and_time(world: World) -> None:
    other = world.our_new(title="x0", phone="q0", email="x@example.com")
    world.run()
    world.tick(20)
    world.run()
    began = datetime.now(UTC)
    for column in ("title", "phone"):
        world.their_edit(column, "T1")
        world.their_edit(column, "T1", id=world.linked(other))
        world.run()
        world.tick(20)
        world.their_edit(column, "T2")
        world.run()
        world.tick(20)
    ended = datetime.now(UTC)
    assert planned(world, record=other, since=began).counts == {"put back": 2}
    assert planned(world, record=world.theirs["crm"], fields=("title",), since=began).counts == {
        "put back": 1
    }
    assert planned(world, since=began, until=ended, objects=("account",)).counts == {}
    plan = undone(world, since=began, until=ended)
    assert plan.counts == {"put back": 4}
    world.run()
    assert (values(world, "title"), values(world, "phone")) == (("n0", "n0"), ("p0", "p0"))
    assert (world.our_value("title", other), world.our_value("phone", other)) == ("x0", "q0")
    assert planned(world, since=ended + timedelta(days=1)).counts == {}
    world.assert_sound()


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({}, "say what to undo"),
        ({"fields": ("title",)}, "say what to undo"),
        ({"runs": (999,)}, "has no run 999"),
        ({"record": "003000000000000XYZ"}, "has no record 003000000000000XYZ"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(
    world: World, selection: dict[str, Any], words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        propose(world.engine(world.desk, "crm"), Selection("crm", **selection))


# ---------------------------------------------------------------------------------------- existence


@pytest.mark.parametrize("our_archive", ["keep", "delete"])
def test_a_record_made_here_is_archived_after_approval_and_theirs_stays(
    make_world: MakeWorld, our_archive: str
) -> None:
    world = make_world(our_archive=our_archive).with_person()
    there = world.their_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    (our_id,) = [o for _, o, t in world.links() if t == there]
    plan = planned(world, run, removals=False)
    assert (plan.counts, plan.digest) == ({"kept": 1}, "")
    assert "where it is told to remove them" in notes(world, plan)[0]
    assert planned(world, run).removals == 1
    plan = undone(world, run)
    world.run()
    assert ("ours", our_id, "title") not in world.look()
    assert not world.image(id=there).deleted, "it was there before ours"
    undone(world, plan.run_id)
    world.run()
    assert ("ours", our_id, "title") in world.look()
    world.assert_sound()


def test_a_record_made_here_that_was_worked_on_since_is_kept(world: World) -> None:
    there = world.their_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    (our_id,) = [o for _, o, t in world.links() if t == there]
    world.our_edit("phone", "O1", our_id)
    plan = planned(world, run)
    assert plan.removals == 0
    assert "phone was edited since" in notes(world, plan)[0]
    world.assert_sound()


def test_a_record_made_in_the_crm_goes_to_its_recycle_bin_and_ours_stays(world: World) -> None:
    new = world.our_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    there = world.linked(new)
    plan = undone(world, run)
    assert plan.counts["withdraw"] == 1
    assert not world.image(id=there).deleted, "undo itself writes nothing in the CRM"
    world.run()
    assert world.image(id=there).deleted
    assert world.our_value("title", new) == "x"
    written = world.crms["crm"].written
    world.tick(20)
    world.run()
    assert world.crms["crm"].written == written, "it is not made again"

    undone(world, plan.run_id)
    world.run()
    world.tick(20)
    again = world.linked(new)
    assert again != there
    assert world.their_value("title", id=again) == "x"
    world.assert_sound()


def test_a_record_to_be_withdrawn_that_is_edited_there_meanwhile_stays(world: World) -> None:
    new = world.our_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    world.run()
    there = world.linked(new)
    undone(world, run)
    world.their_edit("title", "T1", id=there)
    world.run()
    world.run()
    assert not world.image(id=there).deleted
    assert world.our_value("title", new) == "T1"
    world.assert_sound()


def test_an_undo_before_it_was_carried_out_is_taken_back_without_a_trace_there(world: World) -> None:
    new = world.our_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    world.run()
    written = world.crms["crm"].written
    plan = undone(world, run)
    undone(world, plan.run_id)
    world.run()
    assert world.crms["crm"].written == written
    assert not world.image(id=world.linked(new)).deleted
    world.assert_sound()


def test_a_lost_reply_of_the_delete_is_no_reason_to_make_it_again(world: World) -> None:
    new = world.our_new(title="x", email="new@example.com")
    run = world.run()
    world.tick(20)
    world.run()
    there = world.linked(new)
    undone(world, run)
    world.start().to("written").kill()
    assert world.image(id=there).deleted
    world.drain()
    assert len(world.crms["crm"].everybody("contact")) == 2
    assert world.our_value("title", new) == "x"


def test_an_archive_by_the_engine_is_undone_and_theirs_is_made_again(world: World) -> None:
    world.their_edit("title", "T1")
    world.their_delete()
    run = world.run()
    assert world.look() == {}
    world.tick(20)
    plan = undone(world, run)
    assert (plan.counts["bring back"], plan.counts["put back"]) == (1, 1)
    world.run()
    world.tick(20)
    their_id = world.linked(world.ours)
    assert their_id != world.theirs["crm"]
    assert (world.our_value("title"), world.their_value("title", id=their_id)) == ("n0", "n0")


def test_our_delete_there_is_undone(make_world: MakeWorld) -> None:
    world = make_world(our_archive="delete").with_person()
    world.our_archive()
    run = world.run()
    assert world.image().deleted
    world.tick(20)
    undone(world, run)
    world.run()
    world.tick(20)
    assert world.their_value("title", id=world.linked(world.ours)) == "n0"
    assert world.our_value("title") == "n0"
