"""How a connection is said to be: what a person has to know first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crm_sync.decide.condition import Signs, condition_of

FINE = Signs(active=True, provisioned=True, run="succeeded", message="2 changes")


@pytest.mark.parametrize(
    ("signs", "name"),
    [
        ({}, "healthy"),
        ({"run": "succeeded_with_parked"}, "healthy"),
        ({"run": None, "message": None}, "healthy"),
        ({"run": "running"}, "running"),
        ({"run": "failed"}, "failing"),
        ({"run": "refused"}, "failing"),
        ({"run": "paused_budget"}, "paused_budget"),
        ({"run": "waiting_approval"}, "waiting_approval"),
        ({"active": False}, "paused"),
        ({"active": False, "run": "failed"}, "paused"),
        ({"active": False, "run": "running"}, "running"),
        ({"active": False, "run": "waiting_approval"}, "waiting_approval"),
        ({"provisioned": False, "run": None}, "not_provisioned"),
        ({"provisioned": False, "reconnect": "revoked"}, "reconnect_needed"),
        ({"run": "running", "reconnect": "revoked"}, "reconnect_needed"),
    ],
)
def test_what_stops_everything_comes_first(signs, name):
    assert condition_of(replace(FINE, **signs)).name == name


def test_the_sentence_is_that_of_who_knows():
    assert condition_of(replace(FINE, reconnect="revoked by the org")).sentence == "revoked by the org"
    assert (
        condition_of(replace(FINE, run="failed", message="3 changes undone")).sentence == "3 changes undone"
    )
    assert condition_of(replace(FINE, message=None)).sentence
