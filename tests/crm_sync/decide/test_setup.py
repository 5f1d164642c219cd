"""The stages of a set-up, each from the facts that lead to it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from crm_sync.decide.setup import STEP_OF, STEPS, Facts, Stage, stage_of

NEW = Facts(
    connected=False, known=False, check="none", plan="none", provision="none", provisioned=False, sync="none"
)
CHECKED = replace(NEW, connected=True, known=True, check="good")


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        (NEW, "log_in"),
        (replace(NEW, connected=True), "awaiting_airflow"),
        (replace(NEW, connected=True, known=True), "check"),
        (replace(CHECKED, check="under_way"), "checking"),
        (replace(CHECKED, check="failed"), "check_failed"),
        (replace(CHECKED, check="failed", provision="failed"), "check_failed"),
        (CHECKED, "choose"),
        (replace(CHECKED, plan="under_way"), "planning"),
        (replace(CHECKED, plan="failed"), "plan_failed"),
        (replace(CHECKED, plan="good"), "confirm"),
        (replace(CHECKED, plan="good", provision="under_way"), "provisioning"),
        (replace(CHECKED, plan="good", provision="failed"), "provisioning_failed"),
        (replace(CHECKED, provisioned=True), "first_sync"),
        (replace(CHECKED, provisioned=True, sync="under_way"), "syncing"),
        (replace(CHECKED, provisioned=True, sync="failed"), "sync_stopped"),
        (replace(CHECKED, provisioned=True, sync="good"), "done"),
        (replace(CHECKED, provisioned=True, sync="good", connected=False), "log_in"),
        (replace(NEW, connected=True, provisioned=True, sync="good"), "done"),
    ],
)
def test_stage(facts, stage):
    assert stage_of(facts) == stage


def test_every_stage_belongs_to_a_step():
    assert set(STEP_OF) == set(get_args(Stage))
    assert set(STEP_OF.values()) == set(STEPS)
