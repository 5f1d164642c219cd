"""Records of ours made a chunk a statement (adr/0015): as they are made one by one, and only where Python would make them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from crm_sync.decide.match import Create, judge
from crm_sync.ledger import identity, making, runs
from crm_sync.ledger.database import Database, Transaction
from crm_sync.ledger.strays import store_strays
from crm_sync.model import Image
from tests.crm_sync.engine.world import MAPPINGS, World

MAPPING = MAPPINGS["contact"]
REFUSE = """
create function gptweb.refuse() returns trigger language plpgsql as $$ begin
  if current_setting('crm_sync.engine', true) = 'whole' then raise check_violation; end if;
  return null;
end $$"""
HELD = """select to_jsonb(o) - '{id,email,created_at,updated_at,changed_at}'::text[], l.state, l.keyed,
    l.dirty, l.seen_stamp, coalesce(i.base_ours, i.seen) - 'email', coalesce(i.base_theirs, i.seen) - 'email', i.seen - 'email',
    l.match_key = lower(o.email), l.seen_digest is not null,
    exists (select 1 from crm_sync.outbox b where b.our_id = o.id and b.connection = l.connection)
  from crm_sync.link l join gptweb.contacts o on o.id = l.our_id join crm_sync.image i using (link_id)
  where l.their_id = %s"""
TOLD = """select field, before, after, base, rule, outcome, detail from crm_sync.audit_trail
  where their_id = %s and side = 'ours' and field <> 'email' order by field"""


@contextmanager
def one_by_one(world: World) -> Iterator[None]:
    """Our database takes no chunk."""
    world.client.execute(REFUSE.encode())
    world.client.execute(
        "create trigger refuse before insert on gptweb.contacts for each statement execute function gptweb.refuse()"
    )
    yield
    world.client.execute("drop function gptweb.refuse cascade")


def planned(world: World, stage: str = "plan") -> int:
    run_id = world.start().to(stage).run_id
    assert run_id is not None
    return run_id


def prepared(tx: Transaction, run_id: int) -> making.Making:
    return making.prepare(tx, run_id, "crm", MAPPING, timedelta(0), keyed=True)


@pytest.mark.parametrize("direction", ["pull", "bidirectional"])
@pytest.mark.parametrize(
    "values",
    [
        {"title": "T1", "phone": "p1"},
        {},
        {"title": "T1", "total_score": 5},
        {"title": "T1", "is_dql": True, "do_not_call": True},
    ],
    ids=["plain", "blank", "owned", "booleans"],
)
def test_a_chunk_makes_what_is_made_one_by_one(
    make_world: Callable[..., World], direction: str, values: dict[str, Any]
) -> None:
    world = make_world(direction=direction)
    world.watched = False
    made = world.their_new(email="e8@example.com", **values)
    before = world.start().to("push_ours")
    with one_by_one(world):
        other = world.their_new(email="e9@example.com", **values)
        after = world.start().to("push_ours")
    chunk, each = (world.client.execute(HELD, (their_id,)).fetchone() for their_id in (made, other))
    assert chunk
    assert each
    assert chunk[:3] + chunk[4:-1] == each[:3] + each[4:-1]
    assert (chunk[3] or chunk[-1]) == (each[3] or each[-1]), (
        "whether there is work left: dirty, or in the outbox"
    )
    told = [world.client.execute(TOLD, (their_id,)).fetchall() for their_id in (made, other)]
    assert told[0] == told[1] != []
    before.finish()
    after.finish()
    world.drain()
    for their_id in (made, other):
        row = world.client.execute(HELD, (their_id,)).fetchone()
        assert row
        assert (row[3], row[-1]) == (False, False)


def test_who_is_plainly_new_is_whom_python_would_create(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.watched = False
    pick = random.Random(7)
    mails = [f"e{n}@example.com" for n in range(40)]
    for _ in range(12):
        world.our_new(email=pick.choice([None, pick.choice(mails), f" {pick.choice(mails).upper()} "]))
    for _ in range(6):
        world.their_new(email=pick.choice(mails))
    world.run_all()
    for _ in range(40):
        world.their_new(email=pick.choice([None, pick.choice(mails), pick.choice(mails).title()]))
    run_id = planned(world, "pull")
    with world.desk.transaction() as tx:
        run = runs.load(tx, run_id)
        said = identity.strangers(tx, run, MAPPING, "", 1000)
        strays = identity.strays_of(tx, "crm", MAPPING, [their_id for their_id, _ in said])
    assert len(said) == len(strays) > 30
    parked = {
        row[0] for row in world.client.execute("select their_id from crm_sync.parked where lifted_at is null")
    }
    judged = [
        (s.their_id, isinstance(judge(s.levels, "theirs"), Create) and s.their_id not in parked)
        for s in strays
    ]
    assert said == judged
    assert {new for _, new in said} == {True, False}


def test_a_new_record_is_news_to_every_connection_but_its_own(make_world: Callable[..., World]) -> None:
    world = make_world(crms=("a", "b"), direction="pull")
    world.watched = False
    world.their_new("a", email="e9@example.com", title="T1")
    world.start("a").finish()
    assert world.client.execute("select connection from crm_sync.outbox").fetchall() == [("b",)]


def test_a_stranger_that_is_read_again_meanwhile_is_not_made_of_what_was_planned(world: World) -> None:
    theirs = world.their_new(title="T1", email="e9@example.com")
    world.watched = False
    run_id = planned(world)
    database, made = Database(world.url), []

    def make() -> None:
        with database.transaction() as tx:
            tx.run("set local application_name = 'maker'")
            work = prepared(tx, run_id)
            after, until, _ = making.chunk(tx, work, 0, 100)
            made.append(making.make(tx, work, after, until))

    with psycopg.connect(world.url) as reader:
        reader.execute(
            """update crm_sync.stray set values = values || '{"title": "T2"}', recv = recv + 1 where their_id = %s""",
            (theirs,),
        )
        thread = threading.Thread(target=make)
        thread.start()
        waiting = "select count(*) from pg_stat_activity where application_name = 'maker' and wait_event_type = 'Lock'"
        while thread.is_alive() and not world.count(waiting):
            thread.join(0.02)
        reader.commit()
        thread.join()
    database.close()
    assert made == [(0, 0)]
    assert world.count("select count(*) from crm_sync.stray where their_id = %s", theirs) == 1
    assert world.count("select count(*) from crm_sync.link where their_id = %s", theirs) == 0


def test_two_reads_that_bring_the_same_stranger_at_once_keep_the_newer(world: World) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    older, newer = (
        Image("003T0000000000T", {**dict.fromkeys(MAPPING.columns), "title": title}, stamp)
        for title, stamp in (("T1", at), ("T2", at + timedelta(seconds=1)))
    )
    world.watched = False
    database = Database(world.url)

    def read() -> None:
        with database.transaction() as tx:
            tx.run("set local application_name = 'reader'")
            store_strays(tx, "crm", MAPPING, [newer], 1, 3)

    with world.desk.transaction() as tx:
        store_strays(tx, "crm", MAPPING, [older], 1, 2)
        thread = threading.Thread(target=read)
        thread.start()
        waiting = "select count(*) from pg_stat_activity where application_name = 'reader' and wait_event_type = 'Lock'"
        while thread.is_alive() and not world.count(waiting):
            thread.join(0.02)
    thread.join()
    database.close()
    titles = world.client.execute("select values ->> 'title' from crm_sync.stray").fetchall()
    assert titles == [("T2",)]


def test_one_refused_value_costs_only_its_neighbours_their_speed(world: World) -> None:
    world.watched = False
    for n in range(200):
        world.their_new(email=f"e{n + 1}@example.com", title="short")
    world.their_new(email="e999@example.com", title="too long")
    run_id = planned(world)
    world.client.execute("alter table gptweb.contacts alter title type varchar(5)")
    with world.desk.transaction() as tx:
        work = prepared(tx, run_id)
        after, until, looked = making.chunk(tx, work, 0, 1000)
        records, fields = making.make(tx, work, after, until)
    made = world.count("select count(*) from gptweb.contacts where title = 'short'")
    world.client.execute("alter table gptweb.contacts alter title type text")
    assert looked == 201
    assert 100 <= made <= 200
    assert records == made
    assert fields >= made * 3


def test_a_trigger_of_somebody_else_that_changes_new_records_is_noticed(world: World) -> None:
    world.watched = False
    world.their_new(email="e9@example.com", title="T1")
    run_id = planned(world)
    world.client.execute(
        """create function gptweb.shout() returns trigger language plpgsql as
        $$ begin new.title := 'T2'; return new; end $$"""
    )
    world.client.execute(
        "create trigger shout before insert on gptweb.contacts for each row execute function gptweb.shout()"
    )
    made = []
    for _ in range(2):
        with world.desk.transaction() as tx:
            work = prepared(tx, run_id)
            after, until, _ = making.chunk(tx, work, 0, 100)
            made.append(making.make(tx, work, after, until).records)
        world.client.execute("drop function if exists gptweb.shout cascade")
    assert made == [0, 1]
