"""How far the set-up of a connection has come: from the log-in to the first sync, one stage after the other; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["STEPS", "STEP_OF", "Facts", "Stage", "Step", "Work", "stage_of"]

Step = Literal["log_in", "check", "settings", "provision", "first_sync"]
STEPS: Final[Mapping[Step, str]] = MappingProxyType(
    {
        "log_in": "Log in",
        "check": "Check the org",
        "settings": "Settings",
        "provision": "Provision",
        "first_sync": "First sync",
    }
)
"""The steps as people see them, in their order."""

Stage = Literal[
    "log_in",
    "awaiting_airflow",
    "check",
    "checking",
    "check_failed",
    "choose",
    "planning",
    "plan_failed",
    "confirm",
    "provisioning",
    "provisioning_failed",
    "first_sync",
    "syncing",
    "sync_stopped",
    "done",
]
STEP_OF: Final[Mapping[Stage, Step]] = MappingProxyType(
    {
        "log_in": "log_in",
        "awaiting_airflow": "check",
        "check": "check",
        "checking": "check",
        "check_failed": "check",
        "choose": "settings",
        "planning": "provision",
        "plan_failed": "provision",
        "confirm": "provision",
        "provisioning": "provision",
        "provisioning_failed": "provision",
        "first_sync": "first_sync",
        "syncing": "first_sync",
        "sync_stopped": "first_sync",
        "done": "first_sync",
    }
)

Work = Literal["none", "under_way", "failed", "good"]
"""What became of something that was asked for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known.  ``known``: Airflow has the connection's DAGs.  ``plan``: provisioning asked for as a dry run."""

    connected: bool
    known: bool
    check: Work
    plan: Work
    provision: Work
    provisioned: bool
    sync: Work


def stage_of(facts: Facts) -> Stage:
    """The first stage that is not passed; nothing that was passed is asked for again, but for a log-in that died."""
    if not facts.connected:
        return "log_in"
    if facts.provisioned:
        return _by(facts.sync, "first_sync", "syncing", "sync_stopped", "done")
    if not facts.known:
        return "awaiting_airflow"
    return _preparing(facts)


def _preparing(facts: Facts) -> Stage:
    """A plan is worth what the checks before it are worth; each provisioning begins with the checks too."""
    if facts.provision == "under_way":
        return "provisioning"
    if facts.plan == "under_way":
        return "planning"
    if facts.check != "good":
        return _by(facts.check, "check", "checking", "check_failed", "choose")
    if facts.provision == "failed":
        return "provisioning_failed"
    return _by(facts.plan, "choose", "planning", "plan_failed", "confirm")


def _by(work: Work, none: Stage, under_way: Stage, failed: Stage, good: Stage) -> Stage:
    return {"none": none, "under_way": under_way, "failed": failed, "good": good}[work]
