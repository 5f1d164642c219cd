"""Creates by statements over sets (adr/0016): they say what Python says, and leave to it whatever moved."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from crm_sync.decide.match import Create, judge
from crm_sync.decide.merge import NO_PARENTS
from crm_sync.ledger import creates, identity, jobs, linking, runs, trail
from crm_sync.ledger.jobs import Job
from tests.crm_sync.engine.world import MAPPINGS, World

MAPPING = MAPPINGS["contact"]
COLUMNS = [f.ours for f in MAPPING.fields]
RESERVED = "#N/A"


def planned(world: World) -> int:
    """A run that has planned."""
    run_id = world.start().to("plan").run_id
    assert run_id is not None
    return run_id


def claim(world: World, run_id: int) -> tuple[Job, dict[str, list[str]]]:
    """What the run's job claims by one statement: the rows of its sheet, by our id."""
    now = world.now
    terms = creates.Claim(now, now + timedelta(days=1), now + timedelta(days=2), RESERVED)
    with world.desk.transaction() as tx:
        job = jobs.begin(tx, "crm", "contact", "create", run_id)
        chunk = trail.Chunk(0, 2**62, 100)
        claimed = creates.claim(tx, "crm", MAPPING, job, chunk, terms, COLUMNS, ["005000000000001"])
    rows = list(csv.reader(b"".join(claimed.csv).decode().splitlines(keepends=True)))
    assert len(rows) == claimed.rows
    return job, {row[0]: row[1:] for row in rows}


def keep(world: World, job: Job, rows: dict[str, list[str]]) -> int:
    """Keep what the job made of these rows; returns how many were as they had been claimed."""
    sent = [creates.Sent(marker, f"003{place:015}") for place, (marker, *_) in enumerate(rows.values())]
    with world.desk.transaction() as tx:
        kept, _ = creates.keep(tx, "crm", MAPPING, job, sent, 1_000, trail.Carrier("job 750", 0.5))
    return kept


def count(world: World, what: str) -> int:
    with world.desk.transaction() as tx:
        return int(tx.one(f"select count(*) from {what}"))


# ------------------------------------------------------------------------------------------- values and verdicts

NUMBERS = ("0", "1", "12.5", "12.50", "-0.01", "99.99", "9999999999999.99", "NaN", "123456789012345.67", None)
TEXTS = ("", "a", ' "quoted", and so on\r\n', "'", "\\N", "\\.", "é 😀 日本", "null", "a" * 300, None)
MOMENTS = (
    datetime(1, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC),
    datetime(9999, 12, 30, tzinfo=UTC), None,
)  # fmt: skip


def anybody(pick: random.Random) -> dict[str, Any]:
    number = pick.choice(NUMBERS)
    return {
        "first_name": pick.choice(TEXTS), "title": pick.choice(TEXTS), "description": pick.choice(TEXTS),
        "email": pick.choice(["", f"{pick.random()}@a.example", " Twin@a.example ", "stray@a.example", "known@a.example"]),
        "total_score": None if number is None else Decimal(number), "is_dql": pick.choice([True, False]),
        "visit_count": pick.choice([None, 0, -1, 2**40, 2**62]), "last_visit_at": pick.choice(MOMENTS),
        "opted_out_of_email": pick.choice([True, False]),
    }  # fmt: skip


def test_sql_says_of_values_and_matches_what_python_says(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.watched = False
    world.our_new(email="known@a.example")
    world.run_all()
    world.their_new(email="stray@a.example")
    pick = random.Random(5)
    for _ in range(150):
        world.our_new(**anybody(pick))
    run_id = world.start().to("pull").run_id
    with world.desk.transaction() as tx:
        run = runs.load(tx, run_id or 0)
        records = {
            u.our_id: u for u in identity.unlinked(tx, run, MAPPING, identity.FIRST_ID, 1_000, world.now)
        }
        until = creates.chunk_end(tx, "crm", "contact", identity.FIRST_ID, 1_000)
        made, rest = creates.plan(tx, run.run_id, "crm", MAPPING, identity.FIRST_ID, until or "")
        changes = {c.our_id: c.after for c in trail.pending(tx, run.run_id, "theirs", "contact", 0, 1_000)}
    assert made == len(changes) > 20
    assert {*changes, *rest} == {*records}
    for our_id, after in changes.items():
        assert judge(records[our_id].levels, "ours") == Create()
        wanted = linking.wanted_values(MAPPING, records[our_id], NO_PARENTS, {})
        assert orjson.dumps(after, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
            wanted, option=orjson.OPT_SORT_KEYS
        )
    left = [r for r in map(records.__getitem__, rest) if judge(r.levels, "ours") == Create()]
    assert left  # numbers that a float does not hold: SQL says nothing of them
    assert all(held_by_no_float(world, r.our_id) for r in left)


def held_by_no_float(world: World, our_id: str) -> bool:
    with world.desk.transaction() as tx:
        return bool(
            tx.one(
                "select total_score = 'NaN' or abs(total_score) > 1e13 or visit_count > 1e15 from gptweb.contacts where id = %s",
                (our_id,),
            )
        )


def test_a_row_of_the_sheet_is_what_was_planned(world: World) -> None:
    ours = world.our_new(
        title='a "b", c', total_score=12, visit_count=3, last_visit_at="2026-03-01T12:00:00.9Z"
    )
    _, rows = claim(world, planned(world))
    marker, *cells, owner = rows[ours]
    row = dict(zip(COLUMNS, cells, strict=True))
    assert (row["title"], row["total_score"], row["visit_count"]) == ('a "b", c', "12.0", "3")
    assert (row["last_visit_at"], row["is_dql"], row["phone"]) == ("2026-03-01T12:00:00Z", "false", "")
    assert owner == "005000000000001"
    assert (
        count(world, f"crm_sync.intent where intent_id = '{marker}' and values ->> 'title' = 'a \"b\", c'")
        == 1
    )


# ------------------------------------------------------------------------------- what moved before it was claimed


def test_planned_and_nothing_moved_is_claimed(world: World) -> None:
    ours = world.our_new(title="X", email="e9@example.com")
    _, rows = claim(world, planned(world))
    assert [*rows] == [ours]


def test_edited_before_the_claim_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    run_id = planned(world)
    world.our_edit("title", "Y", ours)
    assert claim(world, run_id)[1] == {}


def test_archived_before_the_claim_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    run_id = planned(world)
    world.our_archive(ours)
    assert claim(world, run_id)[1] == {}


def test_a_stranger_with_its_key_before_the_claim_is_left(world: World) -> None:
    world.our_new(title="X", email="e9@example.com")
    run_id = planned(world)
    world.their_new(title="X", email="E9@example.com ")
    world.start().to("pull")
    assert claim(world, run_id)[1] == {}


def test_a_twin_of_ours_before_the_claim_is_left(world: World) -> None:
    world.our_new(title="X", email="e9@example.com")
    run_id = planned(world)
    world.our_new(title="Y", email="E9@example.com")
    assert claim(world, run_id)[1] == {}


def test_somebody_linked_with_its_key_before_the_claim_is_left(world: World) -> None:
    world.our_new(title="X", email="e9@example.com")
    run_id = planned(world)
    world.their_edit("email", "e9@example.com")
    world.start().to("pull")
    assert claim(world, run_id)[1] == {}


def test_claimed_already_is_left(world: World) -> None:
    world.our_new(title="X")
    run_id = planned(world)
    assert len(claim(world, run_id)[1]) == 1
    assert claim(world, run_id)[1] == {}


def test_a_text_that_a_job_cannot_carry_is_left(world: World) -> None:
    world.our_new(title=f" {RESERVED}")
    assert claim(world, planned(world))[1] == {}


def test_two_plans_of_one_record_are_left(world: World) -> None:
    ours = world.our_new(title="X")
    run_id = planned(world)
    with world.desk.transaction() as tx:
        [change] = trail.pending(tx, run_id, "theirs", "contact", 0, 10)
        trail.plan(tx, run_id, "crm", [change])
    assert claim(world, run_id)[1] == {}
    assert count(world, f"crm_sync.link where our_id = '{ours}'") == 0


# --------------------------------------------------------------------------------- what moved before it is kept


def test_made_and_nothing_moved_is_kept(world: World) -> None:
    ours = world.our_new(title="X", email="E9@example.com")
    assert keep(world, *claim(world, planned(world))) == 1
    link = f"crm_sync.link where our_id = '{ours}' and state = 'live' and match_key = 'e9@example.com'"
    assert (
        count(world, f"{link} and their_id = '003000000000000000' and claim_run is null and not dirty") == 1
    )
    assert count(world, f"crm_sync.outbox where our_id = '{ours}'") == 0
    assert (
        count(world, "crm_sync.intent where job_id is not null")
        == count(world, "crm_sync.intent where closed_by is null")
        == 0
    )
    assert count(world, f"crm_sync.audit_trail where our_id = '{ours}' and outcome <> 'acknowledged'") == 0
    assert count(world, f"crm_sync.audit_trail where our_id = '{ours}' and field = 'title'") == 1
    assert count(world, "crm_sync.outcome where batch = 'job 750' and calls = 0.5") == 1


def test_an_edit_before_the_result_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.our_edit("title", "Y", ours)
    assert_left(world, ours, claimed)


def test_a_read_before_the_result_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.client.execute("update crm_sync.link set seen_recv = 5 where our_id = %s", (ours,))
    assert_left(world, ours, claimed)


def test_a_link_in_doubt_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.client.execute("update crm_sync.link set reread = true where our_id = %s", (ours,))
    assert_left(world, ours, claimed)


def test_a_claim_that_is_gone_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.client.execute("update crm_sync.link set claim_run = claim_run + 1 where our_id = %s", (ours,))
    assert_left(world, ours, claimed)


def test_an_intent_that_a_read_closed_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.client.execute("update crm_sync.intent set closed_by = 'observation', closed_at = now() where creates and closed_by is null")  # fmt: skip
    assert_left(world, ours, claimed, still_open=0)


def test_a_value_that_was_parked_meanwhile_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    claimed = claim(world, planned(world))
    world.client.execute(
        "insert into crm_sync.parked (connection, object, link_id, our_id, side, field, cause, code, remedy) "
        "select connection, object, link_id, our_id, 'theirs', 'title', 'c', 'C', 'r' from crm_sync.link where our_id = %s",
        (ours,),
    )
    assert_left(world, ours, claimed)


def test_a_row_of_another_job_is_left(world: World) -> None:
    ours = world.our_new(title="X")
    job, rows = claim(world, planned(world))
    with world.desk.transaction() as tx:
        other = jobs.begin(tx, "crm", "contact", "create", job.run_id)
    assert_left(world, ours, (other, rows))


def assert_left(
    world: World, ours: str, claimed: tuple[Job, dict[str, list[str]]], still_open: int = 1
) -> None:
    assert keep(world, *claimed) == 0
    assert (
        count(world, f"crm_sync.link where our_id = '{ours}' and state = 'creating' and their_id is null")
        == 1
    )
    assert count(world, f"crm_sync.outbox where our_id = '{ours}'") == 1
    assert count(world, "crm_sync.intent where job_id is not null") == 1
    assert count(world, "crm_sync.intent where closed_by is null") == still_open
    assert count(world, f"crm_sync.audit_trail where our_id = '{ours}'") == 0


# ----------------------------------------------------------------------------------------------------- parents


def with_parent(world: World, their_id: str | None) -> tuple[str, str]:
    """A contact of ours and its account, which is linked if theirs is given."""
    account = str(world.client.execute("insert into gptweb.accounts (name) values ('A') returning id").fetchall()[0][0])  # fmt: skip
    if their_id:
        world.client.execute(
            "insert into crm_sync.link (connection, object, their_object, our_id, their_id, state) "
            "values ('crm', 'account', 'Account', %s, %s, 'live')",
            (account, their_id),
        )
    return world.our_new(title="X", account_id=account), account


def test_a_parent_travels_as_their_id_and_is_kept_in_both_spellings(world: World) -> None:
    ours, account = with_parent(world, "001000000000001AAA")
    job, rows = claim(world, planned(world))
    assert dict(zip(COLUMNS, rows[ours][1:-1], strict=True))["account_id"] == "001000000000001AAA"
    assert keep(world, job, rows) == 1
    image = f"from crm_sync.image join crm_sync.link using (link_id) where our_id = '{ours}'"
    [(base, seen)] = world.client.execute(
        f"select base_ours ->> 'account_id', seen ->> 'account_id' {image} and base_theirs is null".encode()
    ).fetchall()
    assert (base, seen) == (account, "001000000000001AAA")


def test_a_parent_that_is_not_there_is_left(world: World) -> None:
    ours, _ = with_parent(world, None)
    run_id = planned(world)
    assert claim(world, run_id)[1] == {}
    assert count(world, f"crm_sync.change where our_id = '{ours}' and not after ? 'account_id'") == 1


def test_a_parent_that_was_archived_before_the_claim_is_left(world: World) -> None:
    _, account = with_parent(world, "001000000000001AAA")
    run_id = planned(world)
    world.client.execute("update gptweb.accounts set deleted_at = now() where id = %s", (account,))
    assert claim(world, run_id)[1] == {}
