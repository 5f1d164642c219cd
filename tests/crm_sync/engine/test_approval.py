"""A plan that is not safe waits for a person, on the real engine and Postgres (adr/0014)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.engine import RunOptions, approval
from crm_sync.engine.notes import noted, settle
from crm_sync.errors import ApprovalNeeded, PlanRejected
from crm_sync.ledger import approval as ledger
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


def known_world(make_world: MakeWorld, people: int = 10, **more: object) -> World:
    """People whom both sides know."""
    world = make_world(**{"approve_creations_above": None, "approve_share_above": 0.3, **more})
    world.watched = False
    for i in range(people):
        world.our_new(email=f"p{i}@example.com", title=f"n{i}", total_score=i)
    for _ in range(2):
        run(world)
    return world


def delete_there(world: World, people: int) -> list[str]:
    """So many people are deleted in the CRM; returns their ids there."""
    gone = [their_id for _, _, their_id in world.links() if their_id][:people]
    for their_id in gone:
        world.crms["crm"].person_deletes(their_id)
    return gone


def run(world: World, **options: Any) -> Running:
    world.tick(20)
    return world.run(objects=ALL, **options)


def asks(world: World, **options: Any) -> Running:
    """A run that stands and waits for a person."""
    world.tick(20)
    return world.start(objects=ALL, **options).to("asked")


def digest(waiting: Running) -> str:
    assert waiting.asked is not None
    assert re.fullmatch("[0-9a-f]{16}", waiting.asked.digest)
    return waiting.asked.digest


def says(world: World, waiting: Running, approved: str, by: str | None = "Ann", hours: float = 0) -> bool:
    """Somebody answers after so many hours; nobody, with ``by`` None."""
    assert waiting.run_id is not None
    return approval.answer(
        world.engine(world.desk, "crm"), waiting.run_id, approved, by,
        datetime.now(UTC) + timedelta(hours=hours),
    ).approved  # fmt: skip


def state(world: World, ended: Running) -> tuple[str, str]:
    assert ended.report is not None
    assert world._miscounted() == []
    return ended.report.state, ended.report.message


def sizes(world: World) -> tuple[int, int]:
    """How many contacts there are, ours and theirs."""
    living = "select count(*) from gptweb.contacts where deleted_at is null"
    return world.count(living), len(world.crms["crm"].images("contact"))


def answers(world: World) -> list[tuple[str, str | None]]:
    rows = world.client.execute("select answer, answered_by from crm_sync.approval order by approval_id")
    return [(row[0], row[1]) for row in rows]


# ------------------------------------------------------------------------------------------- the first sync


def test_few_records_are_made_unasked(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=5)
    assert run(world).error is None
    assert sizes(world) == (5, 5)


def test_many_records_wait_with_a_preview(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    waiting = asks(world)
    assert waiting.asked
    assert (
        "the first sync would make 5 records (3 in the CRM, 2 in GPTWeb), more than 4"
        in waiting.asked.preview
    )
    assert "about 3 API calls" in waiting.asked.preview
    assert re.search(r"^\| contact \| 2 \| 3 \|$", waiting.asked.preview, re.MULTILINE)
    assert f"plan {digest(waiting)} of run {waiting.run_id} waits for approval until" in str(waiting.asked)
    assert waiting.asked.within == timedelta(hours=24)
    assert sizes(world) == (3, 2)


def test_what_was_approved_is_carried_out_and_then_nobody_is_asked(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    waiting = asks(world)
    assert says(world, waiting, digest(waiting))
    assert state(world, waiting.finish()) == ("succeeded", "")
    assert sizes(world) == (5, 5)
    assert [line.detail for line in world.trail() if line.rule == "plan_approved"] == [
        f"plan {digest(waiting)} of run {waiting.run_id} was approved by Ann"
    ]
    for i in range(9):
        world.our_new(email=f"n{i}@example.com")
    assert run(world).error is None
    assert sizes(world) == (14, 14)


def test_only_what_was_approved_is_carried_out(make_world: MakeWorld) -> None:
    """Somebody new, and somebody who changed since, wait for the next run."""
    world = new_world(make_world)
    waiting = asks(world)
    changed = world.client.execute("select id::text from gptweb.contacts order by email limit 1").fetchone()
    assert changed
    world.client.execute("update gptweb.contacts set title = 'O1' where id = %s", changed)
    world.our_new(email="new@example.com")
    assert says(world, waiting, digest(waiting))
    report = waiting.finish().report
    assert report
    assert report.counts["superseded"] > 0
    assert sizes(world) == (6, 4)
    assert run(world).error is None
    assert sizes(world) == (6, 6)
    assert world._miscounted() == []


def test_another_digest_is_no_approval(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    waiting = asks(world)
    assert not says(world, waiting, "0" * 16)
    assert state(world, waiting.finish()) == (
        "refused",
        f"plan {digest(waiting)} of run {waiting.run_id} was rejected by Ann (approved was 0000000000000000)",
    )
    assert sizes(world) == (3, 2)


def test_who_knows_the_digest_beforehand_is_not_asked(make_world: MakeWorld) -> None:
    """A dry run shows it; a run with it makes exactly that plan, or asks."""
    world = new_world(make_world)
    world.tick(20)
    dry = world.start(objects=ALL, dry_run=True).to("plan")
    assert dry.run_id is not None
    notes = dry.engine.plan(dry.run_id).notes
    found = re.search(
        r"^plan (\w{16}) would wait for approval: the first sync would make 5 records", notes[-1]
    )
    assert found, notes
    dry.kill()
    assert run(world, approve=found[1]).error is None
    assert sizes(world) == (5, 5)
    assert [by for _, by in answers(world)] == ["whoever started 1 with its digest"]


def test_a_digest_of_another_plan_asks(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    assert digest(asks(world, approve="0" * 16))


def test_after_a_no_another_scope_makes_another_plan(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    waiting = asks(world)
    scope = {"contact": {"ours": [{"field": "total_score", "op": ">=", "value": 2}]}}
    with world.desk.transaction() as tx:
        settings.change_settings(tx, "crm", {"scope": scope, "approve_creations_above": 2})
    assert not says(world, waiting, digest(waiting)), "the settings are not those that the plan was made by"
    ended, message = state(world, waiting.finish())
    assert ended == "refused"
    assert message.endswith(
        "was not approved: settings or mapping changed meanwhile; the next run plans anew"
    )
    second = asks(world)
    assert digest(second) != digest(waiting)
    assert second.asked
    assert "would make 3 records (1 in the CRM, 2 in GPTWeb)" in second.asked.preview


def test_a_trial_is_no_first_sync(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=2)
    assert run(world, limit=1).error is None
    world.start(objects=ALL, dry_run=True).to("plan").kill()  # its pushes are left out by the DAG
    waiting = asks(world, limit=9)
    assert says(world, waiting, digest(waiting))
    waiting.finish()
    assert world.count("select count(*) from crm_sync.connection where first_synced_at is null") == 1


def test_none_means_never(make_world: MakeWorld) -> None:
    world = new_world(make_world, most=None)
    assert run(world).error is None
    assert sizes(world) == (5, 5)


# -------------------------------------------------------------------------------------------- what is lost


def test_a_mass_delete_there_waits_before_it_archives_here(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert waiting.asked
    assert "- 4 of 10 linked contacts (40%) would be archived in GPTWeb" in waiting.asked.preview
    assert waiting.asked.preview.count("- archive in GPTWeb: contact `") == 4
    assert sizes(world) == (10, 6)
    assert says(world, waiting, digest(waiting))
    waiting.finish()
    assert sizes(world) == (6, 6)


def test_three_of_ten_go_unasked(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 3)
    assert run(world).error is None
    assert sizes(world) == (7, 7)


def test_a_side_that_is_suddenly_empty_waits(make_world: MakeWorld) -> None:
    world = known_world(make_world, people=3)
    delete_there(world, 3)
    waiting = asks(world)
    assert "all 3 linked contacts would be archived in GPTWeb" in str(waiting.asked)


def test_a_mass_overwrite_waits_and_shows_no_value(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    world.client.execute("update gptweb.contacts set title = 'secret of ' || email")
    waiting = asks(world)
    assert waiting.asked
    assert "10 of 10 linked contacts (100%) would lose a value in the CRM" in waiting.asked.preview
    assert waiting.asked.preview.count("- update in the CRM: contact `") == 5
    assert "(title)" in waiting.asked.preview
    assert "secret" not in waiting.asked.preview + str(waiting.asked)


def test_filled_blanks_and_measures_of_ours_are_no_loss(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    world.client.execute("update gptweb.contacts set total_score = total_score + 1, phone = 'p' || email")
    assert run(world).error is None
    assert {image.values["phone"] is not None for image in world.crms["crm"].images("contact")} == {True}


def test_the_share_can_be_set_and_switched_off(make_world: MakeWorld) -> None:
    world = known_world(make_world, approve_share_above=None)
    delete_there(world, 10)
    assert run(world).error is None
    assert sizes(world) == (0, 0)


# ----------------------------------------------------------------------------------------------- the answer


def test_a_no_ends_the_run_cleanly_with_a_name(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert not says(world, waiting, "", "Ann")
    assert state(world, waiting.finish()) == (
        "refused",
        f"plan {digest(waiting)} of run {waiting.run_id} was rejected by Ann",
    )
    assert sizes(world) == (10, 6)
    told = [line for line in world.trail() if line.run_id == waiting.run_id]
    assert {(line.outcome, line.detail) for line in told if line.rule != "plan_rejected"} == {
        ("superseded", f"plan {digest(waiting)} of run {waiting.run_id} was rejected by Ann")
    }
    assert [line.detail for line in told if line.rule == "plan_rejected"]


def test_the_same_plan_is_neither_made_nor_asked_about_again_until_something_changes(
    make_world: MakeWorld,
) -> None:
    world = known_world(make_world)
    gone = delete_there(world, 4)
    waiting = asks(world)
    says(world, waiting, "")
    waiting.finish()
    planned = world._planned()
    for _ in range(2):
        again = run(world)
        assert isinstance(again.error, PlanRejected)
        assert f"plan {digest(waiting)} was rejected by Ann at " in str(again.error)
        assert world._planned() == planned
    world.crms["crm"].person_undeletes(gone[0])
    world.our_new(email="new@example.com")
    assert run(world).error is None, "three of ten are no mass delete"
    assert sizes(world) == (8, 8)


def test_the_same_plan_among_other_work_asks_again(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    says(world, waiting, "")
    waiting.finish()
    world.our_new(email="new@example.com")
    assert digest(asks(world)) != digest(waiting)


def test_the_same_plan_made_of_other_work_is_rejected_without_a_question(make_world: MakeWorld) -> None:
    """An edit that was taken back is work, but plans nothing."""
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    says(world, waiting, "")
    waiting.finish()
    id = world.client.execute("select id from gptweb.contacts order by email desc limit 1").fetchone()
    assert id
    for title in ("x", "n9"):
        world.client.execute("update gptweb.contacts set title = %s where id = %s", (title, id[0]))
    again = run(world)
    assert isinstance(again.error, PlanRejected)
    assert state(world, again)[0] == "refused"
    assert answers(world) == [("rejected", "Ann"), ("rejected", "Ann")]


def test_an_undo_that_was_rejected_is_no_concern_of_the_sync(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    undo = world.engine(world.desk, "crm").open_run(RunOptions("crm", "undo", "by hand"))
    with world.desk.transaction() as tx:
        question = ledger.ask(tx, undo, "crm", "00ff", ["an undo is always shown"], timedelta(hours=24))
        ledger.answered(tx, "crm", question, "rejected", "Ann", "plan 00ff was rejected by Ann")
    assert run(world).error is None


def test_who_starts_a_run_by_hand_is_asked_again(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    says(world, waiting, "")
    waiting.finish()
    second = asks(world, by_hand=True)
    assert digest(second) == digest(waiting)
    assert says(world, second, digest(second), "Ben")
    second.finish()
    assert sizes(world) == (6, 6)
    assert answers(world) == [("rejected", "Ann"), ("approved", "Ben")]


def test_who_clears_the_task_of_a_rejected_plan_is_asked_again(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    says(world, waiting, "")
    again = world.again(waiting.finish(), "plan").to("asked")
    assert digest(again) == digest(waiting)
    assert says(world, again, digest(again))
    again.finish()
    world.again(again, "push_ours").finish()
    assert sizes(world) == (6, 6)
    assert world._miscounted() == []


def test_the_digest_of_new_records_is_the_same_when_they_are_planned_again(make_world: MakeWorld) -> None:
    """Our ids of records that are still to be made are drawn by lot; with a company, so is what refers to it."""
    world = new_world(make_world, most=2)
    company = world.crms["crm"].person_creates("account", name="Acme", website="acme.example")
    world.crms["crm"].person_creates("contact", last_name="Doe", email="d@acme.example", account_id=company)
    first = asks(world)
    says(world, first, "")
    first.finish()
    assert digest(asks(world, by_hand=True)) == digest(first)


def test_an_answer_after_its_time_is_none(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert not says(world, waiting, digest(waiting), "Ann", hours=24.1)
    assert state(world, waiting.finish())[0] == "refused"
    assert answers(world) == [("expired", "Ann")]
    assert sizes(world) == (10, 6)


def test_no_answer_in_time_ends_the_run_and_the_next_one_asks_again(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert not says(world, waiting, "", None)
    ended, message = state(world, waiting.finish())
    assert ended == "refused"
    assert message.startswith(f"nobody approved plan {digest(waiting)} of run {waiting.run_id} in time")
    assert answers(world) == [("expired", None)]
    assert digest(asks(world)) == digest(waiting)


def test_a_second_answer_changes_nothing(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert says(world, waiting, digest(waiting))
    assert says(world, waiting, digest(waiting), "Ben"), "a task that was cleared while the run goes on"
    assert not says(world, waiting, "", "Ben")
    waiting.finish()
    assert sizes(world) == (6, 6)
    assert answers(world) == [("approved", "Ann")]


def test_39_an_approval_after_the_records_changed_writes_nothing(make_world: MakeWorld) -> None:
    """Schedule 39: all superseded, none written; what is left to do needs its own plan."""
    world = known_world(make_world)
    gone = delete_there(world, 4)
    waiting = asks(world)
    world.tick()
    for their_id in gone:
        world.crms["crm"].person_undeletes(their_id)
    world.start(objects=ALL, kind="agent").to("pull").kill()  # somebody else reads them meanwhile
    written, versions = world.crms["crm"].written, world._versions()
    assert says(world, waiting, digest(waiting))
    report = waiting.finish().report
    assert report
    assert (report.counts["planned"], report.counts["superseded"]) == (4, 4)
    assert (world.crms["crm"].written, world._versions()) == (written, versions)
    assert sizes(world) == (10, 10)
    world.assert_sound()


def test_a_run_that_ends_without_an_answer_withdraws_its_question(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world).finish()
    assert isinstance(waiting.error, ApprovalNeeded)
    assert state(world, waiting)[0] == "refused"
    assert answers(world) == [("withdrawn", None)]
    assert not says(world, waiting, digest(waiting))


def test_the_question_of_a_killed_run_is_withdrawn_by_the_next(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    killed = asks(world)
    killed.kill()
    second = asks(world)
    assert [answer for answer, _ in answers(world)] == ["withdrawn", None]
    assert not says(world, killed, digest(killed))
    assert says(world, second, digest(second))
    second.finish()
    assert sizes(world) == (6, 6)
    assert world._miscounted() == []


def test_a_plan_that_is_made_again_is_asked_about_again(make_world: MakeWorld) -> None:
    world = known_world(make_world)
    delete_there(world, 4)
    waiting = asks(world)
    assert waiting.run_id is not None
    with pytest.raises(ApprovalNeeded):
        world.engine(world.desk, "crm").plan(waiting.run_id)
    assert [answer for answer, _ in answers(world)] == ["withdrawn", None]
    assert says(world, waiting, digest(waiting))
    waiting.finish()
    assert sizes(world) == (6, 6)
    assert world._miscounted() == []


def test_a_yes_holds_where_the_task_is_tried_again_before_it_took_the_answer(make_world: MakeWorld) -> None:
    world = new_world(make_world)
    waiting = asks(world)
    assert waiting.run_id is not None
    with world.desk.transaction() as tx:
        ledger.remember(tx, waiting.run_id, digest(waiting), "Ann")
    engine = world.engine(world.desk, "crm")
    for stage in (engine.plan, engine.push_ours, engine.push_theirs):
        stage(waiting.run_id)
    assert sizes(world) == (5, 5)
    assert answers(world) == [("withdrawn", None), ("approved", "Ann")]


def test_the_run_says_that_it_waits_and_goes_on_as_if_nothing_had_been(make_world: MakeWorld) -> None:
    """As Airflow's tasks run the stages: each noted, then settled."""
    world = new_world(make_world)
    engine = world.engine(world.desk, "crm")
    run_id = engine.open_run(RunOptions("crm", dag_run_id="first"))
    with noted(world.desk, run_id):
        engine.pull(run_id)
    with pytest.raises(ApprovalNeeded) as caught, noted(world.desk, run_id):
        engine.plan(run_id)
    summary = "select state, message from crm_sync.run_summary order by run_id desc limit 1"
    assert world.client.execute(summary).fetchone() == ("waiting_approval", str(caught.value))
    assert approval.answer(engine, run_id, caught.value.digest, "Ann", datetime.now(UTC)).approved
    for stage in (engine.plan, engine.push_ours, engine.push_theirs):
        with noted(world.desk, run_id):
            stage(run_id)
    assert settle(engine, run_id, []).state == "succeeded"
    assert sizes(world) == (5, 5)
