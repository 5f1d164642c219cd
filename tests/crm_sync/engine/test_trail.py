"""The trail of real runs: who, with which call, for which share of it; and one seal a run."""

from __future__ import annotations

from tests.crm_sync.engine.world import World


def test_each_record_knows_its_call_and_its_share_of_it(world: World) -> None:
    for number in range(3):
        world.our_new(email=f"more{number}@example.com")
    world.their_edit("title", "from there")
    run = world.run()
    rows = world.client.execute(
        "select side, count(distinct batch), count(distinct change_id), min(who) from crm_sync.audit_trail "
        "where run_id = %s and outcome = 'acknowledged' group by side order by side",
        (run.run_id,),
    ).fetchall()
    assert rows == [("ours", 0, 1, "somebody in the CRM"), ("theirs", 1, 3, "somebody in GPTWeb")]
    shares = world.client.execute(
        "select sum(api_call_share)::float from (select distinct change_id, api_call_share from crm_sync.audit_trail "
        "where run_id = %s and side = 'theirs') s",
        (run.run_id,),
    ).fetchone()
    assert shares is not None
    assert abs(shares[0] - 1) < 1e-6


def test_the_log_names_the_head_of_the_chain(world: World) -> None:
    run = world.run()
    head = world.client.execute(
        "select encode(head, 'hex') from crm_sync.seal where run_id = %s", (run.run_id,)
    ).fetchall()
    assert len(head) == 1
    assert run.report is not None
    assert run.report.lines()[-1].endswith(f"head {head[0][0]}")
