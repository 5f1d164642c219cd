"""Pushes by bulk jobs: the schedules of algorithm.md 6.5 and whatever else can happen to a job, on Postgres and the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest

from crm_sync.decide.volume import calls_by_ingest_job
from crm_sync.errors import JobUnderWay, RetryLater, SyncError
from crm_sync.ledger.database import Database
from crm_sync.ledger.verify import verify
from tests.crm_sync.engine.bulk_world import BulkWorld
from tests.crm_sync.stores.standin import StandinOrg, standin_org


@pytest.fixture(scope="module")
def org() -> Iterator[StandinOrg]:
    with standin_org() as org:
        org.people.ask("POST", "/standin/settings", json={"bulk_milliseconds": 1})
        yield org


@pytest.fixture
def make(org: StandinOrg, database_url: str) -> Iterator[Callable[..., BulkWorld]]:
    # A record that was made a moment ago is read by the next test too; an hour later it is not.
    org.people.ask("POST", "/standin/clock", json={"advance": 3600})
    with (
        closing(Database(database_url)) as database,
        psycopg.connect(database_url, autocommit=True) as client,
    ):

        def made(**chosen: object) -> BulkWorld:
            return BulkWorld(org, database, client, chosen)

        yield made
    org.people.mends()


@pytest.fixture
def world(make: Callable[..., BulkWorld]) -> BulkWorld:
    return make()


# ------------------------------------------------------------------------------ the schedules of the model


def test_crash_between_patch_and_store(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    world.dies("begin")
    world.our_edit(ours, title="O2")
    world.assert_sound()
    assert world.theirs("Title") == ["O2"]
    assert ("title", "acknowledged") in world.outcomes(ours)


def test_newer_value_overtakes_the_job(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    world.org.people.breaks(action="stall_job", path="/V2Ingest", seconds=3)
    run_id = world.dies("begin")
    world.stage(run_id, "settle")  # the run is over; its claim is the job's
    world.our_edit(ours, title="O2")
    world.later += world.later.resolution * 3_600_000_000
    world.patience = 0
    world.sets(large_pushes="composite")
    world.run()
    assert isinstance(world.error, JobUnderWay)
    assert world.theirs("Title") == ["n0"]  # nothing passes a job under way
    world.patience = 600
    world.assert_sound()
    assert world.theirs("Title") == ["O2"]


def test_crash_between_put_and_patch(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    world.dies("fill")
    world.assert_sound()
    assert world.theirs("Title") == ["O1"]
    assert world.jobs()[1:3] == [("aborted before it began", 1), ("JobComplete", 1)]


def test_results_in_other_order(world: BulkWorld) -> None:
    ours = world.linked(3)
    for n, our_id in enumerate(ours):
        world.our_edit(our_id, title=f"O{n}")
    refused = world.one("select their_id from crm_sync.link where our_id = %s", ours[1])
    world.org.people.breaks(
        action="refuse_rows",
        body=refused,
        code="FIELD_CUSTOM_VALIDATION_EXCEPTION",
        message="No.",
        count=None,
    )
    world.backwards = True
    assert world.run().state == "succeeded_with_parked"
    last = [world.outcomes(our_id)[-1] for our_id in ours]
    assert last == [("title", "acknowledged"), ("title", "parked"), ("title", "acknowledged")]
    assert sorted(world.theirs("Title")) == ["O0", "O2", "n0"]


@pytest.mark.parametrize("action", ["fail_job", "abort_job"])
def test_failed_job_with_saved_rows(world: BulkWorld, action: str) -> None:
    ours = world.linked(3)
    for our_id in ours:
        world.our_edit(our_id, title="O1")
    world.org.people.breaks(action=action, path="/V2Ingest", rows=1, reply="TooManyLockFailure")
    report = world.run()
    assert (report.state, report.counts["acknowledged"], report.counts["superseded"]) == ("failed", 1, 2)
    assert sorted(world.theirs("Title")) == ["O1", "n0", "n0"]
    assert world.one("select detail from crm_sync.audit_trail where rule = 'bulk_job'").startswith(
        "bulk job 750"
    )
    world.assert_sound()
    assert world.theirs("Title") == ["O1"] * 3


# ------------------------------------------------------------------------------------ killed at every step


@pytest.mark.parametrize("step", ["open", "fill", "begin", "wait"])
def test_killed_after(world: BulkWorld, step: str) -> None:
    world.our_new(3, title="new")
    world.dies(step)
    world.assert_sound()
    assert sorted(world.theirs("Title")) == ["new 0", "new 1", "new 2"]


@pytest.mark.parametrize("path", ["ingest$", "/batches", "/jobs/ingest/750[^/]*$", "/successfulResults"])
@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
def test_connection_breaks(world: BulkWorld, action: str, path: str) -> None:
    world.our_new(3, title="new")
    world.org.people.breaks(action=action, path=path)
    world.run()
    world.assert_sound()
    assert sorted(world.theirs("Title")) == ["new 0", "new 1", "new 2"]


def test_the_same_task_again_takes_the_results(world: BulkWorld) -> None:
    world.our_new(2, title="new")
    run_id = world.dies("begin")
    world.org.people.forgets()
    world.stage(run_id, "push_theirs")
    assert "POST" not in {call["method"] for call in world.org.people.calls()}
    counts = world.stage(run_id, "settle").counts
    assert counts["acknowledged"] == counts["planned"] > 0
    world.assert_sound()


def test_a_job_that_was_deleted_there_leaves_doubt_that_a_read_ends(world: BulkWorld) -> None:
    world.our_new(2, title="new")
    run_id = world.dies("wait")
    world.stage(run_id, "settle")
    job = world.one("select their_id from crm_sync.job")
    world.org.people.rest("DELETE", f"/jobs/ingest/{job}")
    world.run()
    world.assert_sound()
    assert sorted(world.theirs("Title")) == ["new 0", "new 1"]


# ---------------------------------------------------------------------------------------- rows and faults


def test_locked_rows_go_again_in_the_same_run(world: BulkWorld) -> None:
    world.our_new(3, title="new")
    world.org.people.breaks(action="lock_rows", path="/V2Ingest/Contact", count=2)
    assert world.run().state == "succeeded"
    assert [rows for _, rows in world.jobs()] == [3, 2]
    world.assert_sound()


def test_unprocessed_rows_go_again_in_the_same_run(world: BulkWorld) -> None:
    ours = world.linked(3)
    for our_id in ours:
        world.our_edit(our_id, title="O1")
    world.org.people.breaks(action="unprocessed_rows", path="/V2Ingest", rows=1)
    assert world.run().state == "succeeded"
    assert world.jobs()[1:] == [("JobComplete", 3), ("JobComplete", 2)]
    world.assert_sound()


def test_a_stalled_job_is_waited_for_and_nothing_is_sent_twice(world: BulkWorld) -> None:
    world.our_new(2, title="new")
    world.org.people.breaks(action="stall_job", path="/V2Ingest", seconds=2)
    assert world.run().state == "succeeded"
    assert [rows for _, rows in world.jobs()] == [2]
    world.assert_sound()


def test_a_task_without_patience_comes_back_for_the_results(world: BulkWorld) -> None:
    world.our_new(2, title="new")
    world.org.people.breaks(action="stall_job", path="/V2Ingest", seconds=2)
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    world.patience = 0
    with pytest.raises(JobUnderWay, match="with 2 contacts") as raised:
        world.stage(run_id, "push_theirs")
    assert raised.value.after.total_seconds() >= 60
    world.patience = 600
    world.stage(run_id, "push_theirs")
    assert world.stage(run_id, "settle").state == "succeeded"
    assert [rows for _, rows in world.jobs()] == [2]


# ------------------------------------------------------------------------------------------------ values


AWKWARD = [
    'she said "no"', "a, b; c", "two\nlines\r\nand three", "=1+1", "\\N", "é 😀 𝔘 日本", "שלום עולם", "x" * 128, "'", '"',
    "null", "0012", "true", "  outer blanks  ", "#N/A", " #N/A ",
]  # fmt: skip


def test_awkward_text_goes_there_and_comes_back_as_it_was(world: BulkWorld) -> None:
    made = {text: world.our_new(title=text, description=text)[0] for text in AWKWARD}
    world.run()
    updated = {text: world.our_new(title="n0")[0] for text in AWKWARD}
    world.run()
    for text, our_id in updated.items():
        world.our_edit(our_id, title=text, description=text)
    world.run()
    world.run()
    query = f"SELECT GPTWeb_Id__c, Title, Description FROM Contact WHERE LastName = '{world.tag}'"
    session = world.org.session
    reply = session.call("GET", "/services/data/v66.0/query", params={"q": query}, purpose="test").body
    shown = {c["GPTWeb_Id__c"]: (c["Title"], c["Description"]) for c in reply["records"]}
    for text in AWKWARD:
        for our_id in (made[text], updated[text]):
            assert shown[our_id] == (text.strip(), text.strip())
            held = world.one("select title from gptweb.contacts where id = %s", our_id)
            assert held == text  # what they made of it is no edit of theirs
    assert world.run().counts["planned"] == 0


def test_a_typed_na_goes_by_composite_beside_the_job(world: BulkWorld) -> None:
    world.our_new(3, title="new")
    world.our_new(title="#N/A")
    world.run()
    assert [rows for _, rows in world.jobs()] == [3]
    assert sorted(world.theirs("Title")) == ["#N/A", "new 0", "new 1", "new 2"]


def test_a_clear_clears_and_what_is_not_planned_stays(world: BulkWorld) -> None:
    [ours] = world.our_new(title="n0", phone="+49 1", description="stays")
    world.run()
    world.our_edit(ours, title=None)
    world.run()
    assert world.theirs("Title", "Phone", "Description") == [(None, "+49 1", "stays")]
    world.assert_sound()


def test_records_are_made_as_by_composite(world: BulkWorld) -> None:
    sales = next(
        u
        for u in world.org.people.rest("GET", "/query", params={"q": "SELECT Id, Username FROM User"})[
            "records"
        ]
        if u["Username"].startswith("admin")
    )
    world.owner_id = sales["Id"]
    [ours] = world.our_new(title="new")
    world.run()
    session = world.org.session
    query = f"SELECT OwnerId, GPTWeb_Id__c, GPTWeb_Sync_Marker__c FROM Contact WHERE LastName = '{world.tag}'"
    [made] = session.call("GET", "/services/data/v66.0/query", params={"q": query}, purpose="test").body[
        "records"
    ]
    intent = world.one("select intent_id::text from crm_sync.intent")
    assert (made["OwnerId"], made["GPTWeb_Id__c"], made["GPTWeb_Sync_Marker__c"]) == (
        sales["Id"],
        ours,
        intent,
    )


def test_an_upsert_that_made_nothing_is_read_again(world: BulkWorld) -> None:
    [ours] = world.our_new(title="new")
    run_id = world.dies("begin")
    world.stage(run_id, "settle")
    world.client.execute(
        "update crm_sync.job set their_id = null"
    )  # as if it had been killed before storing the id
    world.run()
    world.assert_sound()
    assert world.theirs("Title") == ["new"]
    assert world.one("select count(*) from crm_sync.link where our_id = %s", ours) == 1


# -------------------------------------------------------------------------------- people who edit meanwhile


def two_edits_meet(world: BulkWorld) -> tuple[int, list[str], str]:
    """A run that has planned two records of ours, and their edit of the first one's record since: run, ours, that record."""
    ours = world.linked(2)
    for our_id in ours:
        world.our_edit(our_id, title="O1")
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    edited = str(world.one("select their_id from crm_sync.link where our_id = %s", ours[0]))
    world.org.people.edits(edited, "title", "T1")
    return run_id, ours, edited


def test_an_edit_before_the_look_is_recorded_or_wins(world: BulkWorld) -> None:
    run_id, ours, _ = two_edits_meet(world)
    world.stage(run_id, "push_theirs", "settle")
    world.assert_sound()
    assert sorted(world.theirs("Title")) == ["O1", "T1"]  # the CRM wins, so its value comes back
    assert any(outcome == "overruled" for _, outcome in world.client.execute(
        "select field, outcome from crm_sync.audit_trail where our_id = %s and rule like 'slipped%%'", (ours[0],)
    ).fetchall())  # fmt: skip


def test_an_edit_that_shows_up_behind_the_cursor_is_seen_before_a_job(world: BulkWorld) -> None:
    """Its transaction was open for longer than the lag: no read since the cursor brings it (algorithm.md 6.5)."""
    run_id, _, edited = two_edits_meet(world)
    world.org.people.ask("POST", "/standin/records/touch", json={"ids": [edited], "seconds": -7_200})
    world.stage(run_id, "push_theirs", "settle")
    world.assert_sound()
    assert sorted(world.theirs("Title")) == ["O1", "T1"]  # the CRM wins


def test_a_look_before_a_job_is_one_call(world: BulkWorld) -> None:
    ours = world.linked(3)
    for our_id in ours:
        world.our_edit(our_id, title="O1")
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    world.org.people.ask("POST", "/standin/records/touch", json={"object": "Contact"})
    world.org.meter.booked.clear()
    world.stage(run_id, "push_theirs", "settle")
    assert len(world.org.meter.booked) <= calls_by_ingest_job(3, "update")
    world.assert_sound()


ANSWER = {"referenceId": "r0", "httpStatusCode": 200, "body": []}


@pytest.mark.parametrize("answers", [[], [ANSWER], [ANSWER | {"httpStatusCode": 503}]])
def test_a_look_that_shows_nothing_gives_the_rows_back(world: BulkWorld, answers: list[object]) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    world.org.people.breaks(
        action="reply", path="composite$", status=200, reply={"compositeResponse": answers}, count=None
    )
    with pytest.raises(RetryLater):
        world.stage(run_id, "push_theirs")
    world.org.people.mends()
    assert world.jobs()[-1] == ("given up before it began", 1)
    world.assert_sound()
    assert world.theirs("Title") == ["O1"]


def test_what_is_deleted_before_the_look_is_read_again(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    world.org.people.deletes(world.theirs("Id")[0])
    world.stage(run_id, "push_theirs", "settle")
    assert ("title", "superseded") in world.outcomes(ours)
    world.assert_sound()
    assert world.theirs("Title") == ["O1"]  # an unsent edit outranks the delete


def test_the_window_of_a_job_is_named(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    world.run()
    detail = world.one("select detail from crm_sync.audit_trail where outcome = 'unseen_window'")
    assert "of 1 contacts: a value typed between" in detail


def test_keys_go_back_by_a_job(world: BulkWorld) -> None:
    for n in range(3):
        world.org.people.creates(
            "contact", last_name=world.tag, title=f"T{n}", email=f"{world.tag}.{n}@example.com"
        )
    world.run()
    assert [rows for _, rows in world.jobs()] == [3]
    assert world.one("select count(*) from crm_sync.link where keyed and not dirty") == 3
    world.assert_sound()
    assert len(world.theirs("Id")) == 3


def test_an_edit_after_the_job_wins_over_what_was_sent(world: BulkWorld) -> None:
    [ours] = world.linked()
    world.our_edit(ours, title="O1")
    world.run()
    world.org.people.ask("POST", "/standin/clock", json={"advance": 2})
    world.org.people.edits(world.theirs("Id")[0], "title", "T2")
    world.assert_sound()
    assert world.theirs("Title") == ["T2"]


def test_a_small_push_stays_with_composite(make: Callable[..., BulkWorld]) -> None:
    world = make(large_pushes="auto")
    world.our_new(3, title="new")
    world.run()
    assert world.jobs() == []
    world.assert_sound()


def test_the_plan_says_how_it_goes(make: Callable[..., BulkWorld]) -> None:
    world = make(batch_size=1)
    world.our_new(12, title="new")
    run_id = world.open()
    world.stage(run_id, "pull")
    report = world.stage(run_id, "plan")
    assert report.lines()[-1] == "contacts: 12 creates by bulk, about 7 calls; by composite 12"


def test_what_is_final_is_sealed_while_the_job_is_at_work(world: BulkWorld) -> None:
    world.our_new(3, title="n")
    report = world.run(pull=False)
    seals = world.client.execute(
        """select s.number, k.kind, sum(cardinality(k.ids))::integer from crm_sync.seal s join crm_sync.sealed k using (seal_id)
        where s.run_id = %s and k.kind in ('change', 'outcome') group by 1, 2 order by 1""",
        (report.run_id,),
    ).fetchall()
    first = seals[0][0]
    assert seals == [(first, "change", 3), (first + 1, "outcome", 3)]
    assert verify(world.database, run_id=report.run_id).findings == []


def test_a_refused_job_gives_its_rows_back(world: BulkWorld) -> None:
    world.our_new(2, title="new")
    body = [{"errorCode": "EXCEEDEDQUOTA", "message": "ExceededQuota : The batches of 24 hours are used up"}]
    world.org.people.breaks(action="reply", path="ingest$", status=400, reply=body)
    world.run()
    assert isinstance(world.error, SyncError)
    assert world.jobs() == [("given up before it began", 2)]
    world.assert_sound()


# ---------------------------------------------------------------------- many chunks, two at a time (adr/0016)


def many_new(world: BulkWorld, count: int) -> None:
    """New people of ours; one of them has a text that a job can't carry, two share their e-mail."""
    world.client.execute(
        "insert into gptweb.contacts (last_name, title, email) select %s, case n when 7 then '#N/A' else 'new ' || n end, "
        "%s || case n when 8 then 9 else n end || '@a.example' from generate_series(1, %s) n",
        (world.tag, world.tag, count),
    )


def test_a_push_of_many_chunks(world: BulkWorld) -> None:
    many_new(world, 4_500)
    run_id = world.open()
    world.stage(run_id, "pull", "plan", "push_ours")
    world.client.execute(
        "update gptweb.contacts set title = 'edited' where last_name = %s and title = 'new 4400'",
        (world.tag,),
    )
    world.stage(run_id, "push_theirs")
    report = world.stage(run_id, "settle")
    assert (report.state, world.jobs()) == ("succeeded_with_parked", [("JobComplete", 4_496)])
    assert world.one("select count(*) from crm_sync.link where state = 'live' and not dirty") == 4_497
    assert world.run().state == "succeeded"
    assert world.one("select count(*) from crm_sync.link where state = 'live' and not dirty") == 4_498
    assert world.one("select count(*) from crm_sync.intent where job_id is not null") == 0


@pytest.mark.parametrize("step", ["paste", "row"])
def test_killed_among_many_chunks(world: BulkWorld, step: str) -> None:
    many_new(world, 4_500)
    world.dies(step)
    world.later += world.later.resolution * 3_600_000_000
    states = [world.run().state for _ in range(3)]
    assert states[-1] == "succeeded"
    made = "crm_sync.link where state = 'live' and not dirty and claim_run is null"
    assert world.one(f"select count(distinct their_id) from {made}") == 4_498
    assert world.one("select count(*) from crm_sync.intent where job_id is not null") == 0
    query = {"q": f"SELECT COUNT() FROM Contact WHERE LastName = '{world.tag}'"}
    assert world.org.people.rest("GET", "/query", params=query)["totalSize"] == 4_498
