"""Alerts: what state a connection is in for people, and which changes of it they are told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from crm_sync.decide.alerts import AlertState, AlertTarget, Watched, alert_of, state_of
from crm_sync.decide.condition import Signs

FINE = Watched(Signs(active=True, provisioned=True, run="succeeded"), silent=timedelta(minutes=4))
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("watched", "state"),
    [
        (FINE, "healthy"),
        (replace(FINE, signs=replace(FINE.signs, run="failed")), "failing"),
        (replace(FINE, signs=replace(FINE.signs, reconnect="revoked"), silent=10 * HOUR), "reconnect_needed"),
        (replace(FINE, signs=replace(FINE.signs, active=False), silent=10 * HOUR), "paused"),
        (replace(FINE, silent=HOUR), "healthy"),
        (replace(FINE, silent=HOUR + timedelta(seconds=1)), "stalled"),
        (replace(FINE, waiting=2 * HOUR), "stalled"),
        (replace(FINE, waiting=2 * HOUR, under_way=True), "healthy"),
        (replace(FINE, silent=2 * HOUR, under_way=True), "stalled"),
        (replace(FINE, silent=None), "healthy"),
        (replace(FINE, drift="12 contacts differ", waiting=2 * HOUR), "stalled"),
        (replace(FINE, drift="12 contacts differ", parked=3), "drifting"),
        (replace(FINE, parked=3), "values_parked"),
        (replace(FINE, failed=("Undo run 7 failed: x.",), drift="12 contacts differ"), "run_failed"),
        (replace(FINE, failed=("Undo run 7 failed: x.",), waiting=2 * HOUR), "stalled"),
    ],
)
def test_the_state_that_people_have_to_know_first(watched: Watched, state: AlertState) -> None:
    assert state_of(watched, HOUR)[0] == state


def test_a_sync_under_way_does_not_end_what_people_were_told() -> None:
    late = replace(FINE, waiting=2 * HOUR, under_way=True)
    assert state_of(late, HOUR, was="stalled")[0] == "stalled"
    assert state_of(replace(late, waiting=HOUR), HOUR, was="stalled")[0] == "healthy"


@pytest.mark.parametrize(
    ("was", "known", "state"),
    [
        ("paused", 48 * HOUR, "healthy"),
        ("waiting_approval", 24 * HOUR, "healthy"),
        ("healthy", HOUR, "healthy"),
        ("healthy", HOUR + timedelta(seconds=1), "stalled"),
        ("drifting", 24 * HOUR, "stalled"),
        ("stalled", timedelta(minutes=5), "stalled"),
    ],
)
def test_a_pause_that_ended_is_no_stall(was: AlertState, known: timedelta, state: AlertState) -> None:
    for late in (replace(FINE, silent=48 * HOUR), replace(FINE, waiting=48 * HOUR)):
        assert state_of(late, HOUR, was, known)[0] == state


def test_a_sentence_says_how_long() -> None:
    assert (
        state_of(replace(FINE, silent=timedelta(minutes=95)), HOUR)[1]
        == "No sync has succeeded for 95 minutes."
    )
    assert "for 50 hours" not in state_of(replace(FINE, waiting=50 * HOUR), HOUR)[1]
    assert "for 2 days" in state_of(replace(FINE, waiting=50 * HOUR), HOUR)[1]


@pytest.mark.parametrize(
    ("was", "state", "subject"),
    [
        ("healthy", "failing", "CRM sync main: failing"),
        ("failing", "reconnect_needed", "CRM sync main: reconnect needed"),
        ("stalled", "healthy", "CRM sync main: recovered (stalled before)"),
        ("healthy", "values_parked", "CRM sync main: values parked"),
    ],
)
def test_a_change_is_told_with_what_to_do(was: AlertState, state: AlertState, subject: str) -> None:
    alert = alert_of("main", was, state, "3 changes undone")
    assert alert is not None
    assert alert.subject == subject
    assert alert.remedy


@pytest.mark.parametrize(
    ("was", "state"), [("failing", "failing"), ("healthy", "not_provisioned"), ("not_provisioned", "healthy")]
)
def test_what_is_no_change_for_people_is_not_told(was: AlertState, state: AlertState) -> None:
    assert alert_of("main", was, state, "") is None


@pytest.mark.parametrize(
    "target",
    [
        {"via": "mail", "to": []},
        {"via": "mail", "to": ["ann@sales.example, eve@evil.example"]},
        {"via": "webhook"},
        {"via": "webhook", "conn_id": "a b"},
        {"via": "pigeon", "conn_id": "a"},
    ],
)
def test_a_target_that_nobody_could_be_reached_by_is_refused(target: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(AlertTarget).validate_python(target)
