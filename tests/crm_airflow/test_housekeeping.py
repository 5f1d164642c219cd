"""Housekeeping by its tasks, on a real ledger: green while the trail is as it was sealed, red and in words when not."""

from __future__ import annotations

from contextlib import closing

import pytest
from airflow.sdk.exceptions import AirflowFailException

from crm_airflow.operators.housekeeping_operator import HousekeepingOperator
from crm_airflow.operators.verify_trail_operator import VerifyTrailOperator
from crm_sync.ledger import runs, trail
from crm_sync.ledger.database import Database
from tests.crm_airflow.real import NAME, rows


def test_a_row_that_was_changed_makes_the_task_red_and_nothing_is_dropped_then(hub):
    with closing(Database(hub)) as database, database.transaction() as tx:
        run_id = runs.insert(tx, NAME, "sync", "housekeeping", {})
        trail.note(tx, run_id, NAME, "contact", [trail.Line("crm_wins", "overruled", detail="why")])
        trail.note(tx, None, NAME, "", [trail.Line("setting", "noted")])
        runs.close(tx, run_id, "succeeded", None, None)
    verify = VerifyTrailOperator(task_id="verify_trail", days="None")
    assert verify.execute({})["heads"].keys() >= {NAME}
    done = HousekeepingOperator(task_id="keep_house").execute({})
    assert done["month"] == 0
    assert rows(
        hub, f"select count(*) from crm_sync.seal where run_id is null and connection = '{NAME}'"
    ) == [(1,)]
    edit = (
        "set session_replication_role = replica; update crm_sync.decision set rule = '{}' where run_id = {}"
    )
    rows(hub, edit.format("ours_wins", run_id))
    with pytest.raises(
        AirflowFailException, match=rf"run {run_id}: decision \d+ was changed: seal \d+ covers another"
    ):
        verify.execute({})
    rows(hub, edit.format("crm_wins", run_id))
    assert VerifyTrailOperator(task_id="verify_trail", days=1).execute({})["rows"] >= 2


def test_an_alert_that_was_told_long_ago_is_cleared_away(hub):
    told = """insert into crm_sync.alert (connection, was, state, message, remedy, closed_at)
      values (%s, 'healthy', %s, 'm', 'r', now() - %s::interval)"""
    for state, ago in (("old", "91 days"), ("young", "89 days"), ("open", None)):
        rows(hub, told, NAME, state, ago)
    HousekeepingOperator(task_id="keep_house").execute({})
    kept = rows(hub, "delete from crm_sync.alert where message = 'm' returning state")
    assert sorted(state for (state,) in kept) == ["open", "young"]
