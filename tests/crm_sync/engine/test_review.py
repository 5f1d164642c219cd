"""What a review of the engine found: each of these schedules broke a promise once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Timer

import psycopg
import pytest

from crm_sync.decide.mapping import ObjectMapping
from crm_sync.engine import Engine, RunOptions
from crm_sync.errors import BudgetExhausted, IncompleteRead, SyncError
from crm_sync.model import Failure, Object, Row, Written
from crm_sync.stores.memory import MemoryStore
from tests.crm_sync.engine.world import MAPPINGS, World

MakeWorld = Callable[..., World]


# ------------------------------------------------------------------------------------ directions


def test_a_run_of_one_direction_leaves_the_other_to_the_next(world: World) -> None:
    world.our_edit("title", "O1")
    new = world.our_new(title="x", email="new@example.com")
    world.run(direction="pull")
    world.their_edit("phone", "T1")
    world.run(direction="push")
    world.run(direction="pull", dry_run=True)
    world.run()
    world.linked(new)
    assert (world.their_value("title"), world.our_value("phone")) == ("O1", "T1")
    world.assert_sound()


def test_a_connection_that_only_pulls_writes_nothing_there(make_world: MakeWorld) -> None:
    world = make_world().with_person()
    world.client.execute('update crm_sync.connection set settings = settings || \'{"direction": "pull"}\'')
    world.our_edit("total_score", 7)
    world.their_edit("total_score", 8)
    written = world.crms["crm"].written
    world.run()
    assert world.crms["crm"].written == written


def test_a_connection_that_only_pushes_writes_nothing_here(world: World) -> None:
    contact = MAPPINGS["contact"]
    fields = tuple(
        f.model_copy(update={"direction": "in"}) if f.ours == "phone" else f for f in contact.fields
    )
    world.our_edit("phone", "O1")
    world.their_edit("phone", "T1")
    _run(world, replace(contact, fields=fields), "1", direction="push")
    assert (world.our_value("phone"), world.their_value("phone")) == ("O1", "T1")


# -------------------------------------------------------------------------------------- identity


def test_two_of_theirs_match_one_of_ours_by_different_keys(make_world: MakeWorld) -> None:
    world = make_world(policy="gptweb_wins")
    world.client.execute("insert into gptweb.accounts (name, website) values ('Acme', 'acme.com')")
    crm = world.crms["crm"]
    crm.person_creates("account", name="Acme")
    better = crm.person_creates("account", name="Acme Corp", website="https://www.acme.com/")
    engine = world.engine(world.desk, "crm")
    for number in ("1", "2"):
        report = _stages(engine, RunOptions("crm", dag_run_id=f"account {number}", objects=("account",)))
        assert report.startswith("succeeded")
    linked = world.client.execute("select their_id from crm_sync.link where object = 'account'").fetchall()
    assert linked == [(better,)]
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 1


def test_twin_of_one_that_we_deleted_is_left_to_a_person(world: World) -> None:
    world.our_archive()
    world.run()
    world.tick(30)
    world.our_new(title="x", email="e0@example.com")
    world.run()
    world.run()
    assert len(world.crms["crm"].images("contact")) == 1


def test_backfill_looks_for_a_twin_of_one_that_was_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = world.our_new(title="x", email="new@example.com")

    def refuse(*_request: object) -> list[Written]:
        raise BudgetExhausted("no call is free", timedelta(hours=1))

    with monkeypatch.context() as patch:
        patch.setattr(world.crms["crm"], "write", refuse)
        world.run()
    twin = world.their_new(title="y", email="new@example.com")
    row = world.client.execute("select updated_at from gptweb.contacts where id = %s", (new,)).fetchone()
    assert row is not None
    world.run(kind="backfill", since=row[0], until=row[0] + timedelta(milliseconds=1))
    assert world.linked(new) == twin
    world.assert_sound()


# ---------------------------------------------------------------------------------------- values


def test_a_number_that_is_none_is_blank(world: World) -> None:
    world.client.execute("update gptweb.contacts set total_score = 'NaN'")
    world.client.execute("insert into gptweb.accounts (name, annual_revenue) values ('Acme', 'NaN')")
    _stages(world.engine(world.desk, "crm"), RunOptions("crm", dag_run_id="all"))
    world.run()
    assert world.their_value("total_score") is None
    world.run()
    assert world.count("select planned from crm_sync.run order by run_id desc limit 1") == 0


def test_a_moment_that_no_client_can_read_is_refused_where_it_is_typed(world: World) -> None:
    for column in ("last_visit_at", "deleted_at"):
        with pytest.raises(psycopg.errors.CheckViolation):
            world.client.execute(f"update gptweb.contacts set {column} = 'infinity'".encode())
    world.assert_sound()


def test_a_field_that_is_mapped_later_travels(world: World) -> None:
    contact = MAPPINGS["contact"]
    less = replace(contact, fields=tuple(f for f in contact.fields if f.ours != "department"))
    for column in ("seen", "base_ours", "base_theirs"):
        world.client.execute(f"update crm_sync.image set {column} = {column} - 'department'".encode())
    world.client.execute("update gptweb.contacts set department = 'D'")
    _run(world, less, "1")
    world.tick(60)
    _run(world, less, "2")
    world.tick(60)
    _run(world, contact, "3")
    assert world.their_value("department") == "D"


# ------------------------------------------------------------------------------ refused, not sent


@pytest.mark.parametrize(
    "error", [BudgetExhausted("no call is free", timedelta(hours=1)), IncompleteRead("")]
)
def test_what_was_not_sent_is_not_in_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch, error: SyncError
) -> None:
    world.our_edit("title", "O1")

    def refuse(*_request: object) -> list[Written]:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.crms["crm"], "write", refuse)
        world.run()
    # An answer that can't be read came after the write.
    assert world.open_intents() == isinstance(error, IncompleteRead)
    world.assert_sound()


def test_a_refusal_without_a_field_does_not_hold_innocent_values(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_object: Object, values: Row) -> Iterator[Failure]:
        if values.get("phone") == "wrong":
            yield Failure("permanent", "RULE", "a rule of the org refuses it", (), "Ask the administrator.")

    monkeypatch.setattr(world.crms["crm"], "_refused", refused)
    world.our_edit("phone", "wrong")
    world.our_edit("title", "O1")
    world.run()
    world.run()
    assert world.count("select planned from crm_sync.run order by run_id desc limit 1") == 0
    world.our_edit("phone", "right")
    world.run()
    assert (world.their_value("phone"), world.their_value("title")) == ("right", "O1")
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 0
    world.assert_sound()


def test_a_refused_value_that_is_taken_back_needs_nobody(world: World) -> None:
    world.our_edit("title", "bad")
    world.run()
    world.our_edit("title", "n0")
    world.run()
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 0
    world.our_edit("title", "bad")  # tried again: the rule may have changed
    world.run()
    assert world.count("select count(*) from crm_sync.parked where lifted_at is null") == 1
    world.assert_sound()


def test_edit_between_pull_and_push_is_compared_with_what_ours_holds_by_now(make_world: MakeWorld) -> None:
    world = make_world(policy="most_recent").with_person()
    world.our_edit("title", "O1")
    world.tick(5)
    run = world.start().to("push_ours")
    world.tick(2)
    world.their_edit("title", "T1")
    run.to("sent").to("answered")
    world.tick(5)
    world.our_edit("title", "O2")
    run.finish()
    world.run()
    assert (world.our_value("title"), world.their_value("title")) == ("O2", "O2")
    world.assert_sound()


def test_a_write_whose_before_values_were_not_shown_names_the_window(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.our_edit("title", "O1")
    run = world.start().to("push_ours")
    world.their_edit("title", "T1")
    with monkeypatch.context() as patch:
        patch.setattr(world.crms["crm"], "_retrieve", lambda _object, _id: None)
        run.finish()
    assert [line.rule for line in world.trail("title") if line.outcome == "unseen_window"] == [
        "before_unknown"
    ]
    world.assert_sound()


def test_an_account_that_is_out_of_sight_does_not_hold_its_contact(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = world.crms["crm"]
    hidden = crm.person_creates("account", name="Acme")
    engine = world.engine(world.desk, "crm")
    _stages(engine, RunOptions("crm", dag_run_id="all 1"))
    world.client.execute(
        "update gptweb.contacts set account_id = (select id from gptweb.accounts), title = 'O1'"
    )
    del crm._records[hidden]

    def refused(_object: Object, values: Row) -> Iterator[Failure]:
        if values.get("account_id") == hidden:
            yield Failure(
                "transient", "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ("account_id",)
            )

    monkeypatch.setattr(crm, "_refused", refused)
    _stages(engine, RunOptions("crm", dag_run_id="all 2"))
    world.tick(30)
    report = _stages(engine, RunOptions("crm", dag_run_id="all 3"))
    assert report.startswith("succeeded")
    assert world.their_value("title") == "O1"


def test_doubt_about_a_record_that_is_purged_ends(world: World) -> None:
    world.our_edit("title", "O1")
    world.start().to("push_ours").to("sent").kill()
    del world.crms["crm"]._records[world.theirs["crm"]]
    world.tick(30)
    world.run()
    assert world.open_intents() == 0


# ------------------------------------------------------------------------------------ SQL clients


def test_a_table_is_truncated(world: World) -> None:
    world.client.execute("truncate gptweb.accounts cascade")
    world.run()
    assert world.count("select count(*) from crm_sync.link where state = 'gone'") == 1
    assert len(world.crms["crm"].images("contact")) == 1


def test_a_deleted_account_leaves_their_contact_where_it_is(world: World) -> None:
    account = world.crms["crm"].person_creates("account", name="Acme")
    engine = world.engine(world.desk, "crm")
    _stages(engine, RunOptions("crm", dag_run_id="all 1"))
    world.client.execute("update gptweb.contacts set account_id = (select id from gptweb.accounts)")
    _stages(engine, RunOptions("crm", dag_run_id="all 2"))
    world.client.execute("delete from gptweb.accounts")  # clears the contact's reference
    world.run()  # of contacts only: nothing has seen yet that the account is gone
    _stages(engine, RunOptions("crm", dag_run_id="all 3"))
    assert world.their_value("account_id") == account


@pytest.mark.parametrize("linked", [True, False])
def test_a_record_comes_back_while_a_run_takes_it_for_deleted(world: World, *, linked: bool) -> None:
    id = world.ours if linked else world.our_new(title="x", email="new@example.com")
    world.our_archive(id)
    run = world.start().to("pull")
    with psycopg.connect(world.url) as other:
        other.execute("update gptweb.contacts set deleted_at = null, title = 'back' where id = %s", (id,))
        commit = Timer(0.5, other.commit)
        commit.start()
        run.finish()
        commit.join()
    world.run()
    assert world.their_value("title", id=world.linked(id)) == "back"


def _run(world: World, contact: ObjectMapping, number: str, **options: object) -> None:
    """A run with another mapping of contacts, in which columns that it lacks are hidden."""
    crm: MemoryStore = world.crms["crm"]
    crm.hidden = {("contact", c) for c in set(MAPPINGS["contact"].columns) - set(contact.columns)}
    engine = Engine(world.desk, {**MAPPINGS, "contact": contact}, lambda _c, _r: crm, now=lambda: world.now)
    _stages(engine, RunOptions("crm", dag_run_id=f"mapping {number}", objects=("contact",), **options))  # type: ignore[arg-type]


def _stages(engine: Engine, options: RunOptions) -> str:
    run_id = engine.open_run(options)
    engine.pull(run_id)
    engine.plan(run_id)
    engine.push_ours(run_id)
    engine.push_theirs(run_id)
    report = engine.settle(run_id)
    return f"{report.state} {report.message}"
