"""One person is erased: their values are nowhere, the chain holds, and nothing brings them back."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from crm_sync.engine.undo import propose
from crm_sync.errors import Missing, RetryLater
from crm_sync.ledger.erasure import erase
from crm_sync.ledger.undo_selection import Selection
from crm_sync.ledger.verify import verify
from tests.crm_sync.engine.world import World

SECRET = "Zweigelt"


def erased(world: World, our_id: str) -> list[str]:
    with world.desk.transaction() as tx:
        return erase(tx, UUID(our_id), "ann", "request of 12 May")


def told(world: World, word: str) -> list[str]:
    """Tables of both schemas in which a word stands anywhere."""
    tables = world.client.execute(
        "select schemaname, tablename from pg_tables where schemaname in ('gptweb', 'crm_sync') order by 1, 2"
    ).fetchall()
    found = []
    for schema, table in tables:
        query = sql.SQL("select exists (select 1 from {} t where t::text ilike %s)").format(
            sql.Identifier(schema, table)
        )
        row = world.client.execute(query, (f"%{word}%",)).fetchone()
        if row and row[0]:
            found.append(f"{schema}.{table}")
    return found


@pytest.fixture
def known(world: World) -> str:
    """Somebody with a history on both sides: created, edited there, in conflict, refused."""
    our_id = world.our_new(title=f"Dr. {SECRET}", email=f"{SECRET.lower()}@example.com", last_name=SECRET)
    world.run()
    world.tick(20)
    world.their_edit("title", f"Prof. {SECRET}", id=world.linked(our_id))
    world.our_edit("title", f"Mag. {SECRET}", id=our_id)
    world.run()
    world.our_edit("phone", f"bad {SECRET}", id=our_id)
    world.run()
    world.tick(20)
    world.run()
    assert {
        "crm_sync.change_0",
        "crm_sync.decision_0",
        "crm_sync.image",
        "crm_sync.intent",
        "crm_sync.parked",
        "gptweb.contacts",
    } <= set(told(world, SECRET))
    return our_id


def test_nothing_of_the_person_is_left_and_the_chain_holds(world: World, known: str) -> None:
    their_id = world.linked(known)
    before = verify(world.desk)
    lines = erased(world, known)
    assert lines[0].startswith(f"still there: Contact {their_id} in crm")
    assert lines[-1].startswith("erased: 1 records of GPTWeb, ")
    assert told(world, SECRET) == []
    assert [table for table in told(world, their_id) if table != "crm_sync.erased"] == []
    after = verify(world.desk)
    assert after.findings == []
    assert after.heads == before.heads
    assert after.rows == before.rows + 1, "the line that says so"
    assert world.client.execute(
        "select actor, detail from crm_sync.decision where rule = 'erasure' and our_id = %s", (known,)
    ).fetchall() == [("ann", "request of 12 May")]
    shown = world.client.execute(
        "select bool_and(erased), count(after) from crm_sync.audit_trail where our_id = %s and rule <> 'erasure'",
        (known,),
    ).fetchone()
    assert shown == (True, 0)


def test_no_read_brings_the_person_back(world: World, known: str) -> None:
    their_id = world.linked(known)
    erased(world, known)
    world.excused.add(world.truth.person("ours", known))
    world.crms["crm"].person_edits(their_id, "title", f"Dr. {SECRET}")
    world.tick(20)
    for _ in range(2):
        world.run()
        world.tick(20)
    assert told(world, SECRET) == []
    assert world.image(id=their_id).values["title"] == f"Dr. {SECRET}", "theirs is theirs"
    run = world.run()
    assert run.report is not None
    assert (run.report.state, run.report.counts["planned"]) == ("succeeded", 0)
    assert verify(world.desk).findings == []


def test_an_undo_does_not_bring_the_person_back(world: World) -> None:
    world.their_delete()
    run = world.run()
    engine = world.engine(world.desk, "crm")
    assert run.run_id is not None
    assert propose(engine, Selection("crm", (run.run_id,))).counts == {"bring back": 1}
    erased(world, world.ours)
    world.excused.add(world.truth.person("ours", world.ours))
    assert propose(engine, Selection("crm", (run.run_id,))).counts == {"impossible": 1}


def test_what_a_leaf_covered_can_not_be_guessed_afterwards(world: World, known: str) -> None:
    erased(world, known)
    row = world.client.execute(
        "select count(*) from crm_sync.change c join crm_sync.seal s using (run_id) join crm_sync.sealed k using (seal_id) "
        "where c.our_id = %s and k.kind = 'change' and c.change_id = any(k.ids) "
        "and substr(k.salts, (array_position(k.ids, c.change_id) - 1) * 16 + 1, 16) <> decode(repeat('00', 16), 'hex')",
        (known,),
    ).fetchone()
    assert row == (0,)
    others = world.client.execute(
        "select count(*) from crm_sync.sealed where salts <> decode(repeat('00', length(salts)), 'hex')"
    ).fetchone()
    assert others is not None
    assert others[0] > 0, "the salts of others are kept"


def test_another_person_keeps_everything(world: World, known: str) -> None:
    before = {str(line) for line in world.trail() if line.our_id == world.ours}
    erased(world, known)
    assert {str(line) for line in world.trail() if line.our_id == world.ours} == before
    assert world.our_value("title") == "n0"
    world.our_edit("title", "n1")
    world.run()
    assert world.their_value("title") == "n1"


def test_not_while_a_run_is_under_way(world: World, known: str) -> None:
    run = world.start().to("plan")
    with pytest.raises(RetryLater, match="a run of crm is under way"):
        erased(world, known)
    run.finish()
    assert erased(world, known)


def test_a_value_that_no_seal_covers_yet_is_erased_as_well(world: World, known: str) -> None:
    world.our_edit("title", f"Bez. {SECRET}", id=known)
    run = world.start().to("plan")
    world.client.execute("update crm_sync.run set state = 'paused_budget' where run_id = %s", (run.run_id,))
    erased(world, known)
    assert told(world, SECRET) == []
    world.excused.add(world.truth.person("ours", known))
    world.client.execute("update crm_sync.run set state = 'running' where run_id = %s", (run.run_id,))
    run.finish()
    assert run.report is not None
    assert run.report.state == "succeeded", run.report
    assert told(world, SECRET) == []
    assert verify(world.desk).findings == []


def test_an_unknown_person_and_a_missing_reason_are_refused(world: World, known: str) -> None:
    with pytest.raises(Missing, match="neither GPTWeb nor the audit trail knows"):
        erased(world, "00000000-0000-0000-0000-0000000000ff")
    with (
        pytest.raises(psycopg.errors.RaiseException, match="say who erases, and why"),
        world.desk.transaction() as tx,
    ):
        erase(tx, UUID(known), "ann", " ")
