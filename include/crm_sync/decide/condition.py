"""How a connection is, in one word and one sentence: what the pages show, and what people are alerted by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["WORDS", "Condition", "ConditionName", "Signs", "condition_of"]

ConditionName = Literal[
    "reconnect_needed",
    "not_provisioned",
    "waiting_approval",
    "paused",
    "running",
    "paused_budget",
    "failing",
    "healthy",
]
WORDS: Final[Mapping[ConditionName, str]] = MappingProxyType(
    {
        "reconnect_needed": "Reconnect needed",
        "not_provisioned": "Not set up",
        "waiting_approval": "Waiting for approval",
        "paused": "Paused",
        "running": "Running",
        "paused_budget": "Paused: budget",
        "failing": "Failing",
        "healthy": "Healthy",
    }
)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a connection's condition is read from.

    ``reconnect``: why the log-in was given up.  ``run``: the end state of its newest sync, with that run's ``message``.
    """

    active: bool
    provisioned: bool
    reconnect: str | None = None
    run: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One word for machines, one for people, and a sentence that says what is behind it."""

    name: ConditionName
    words: str
    sentence: str


def condition_of(signs: Signs) -> Condition:
    """The condition that a person has to know first: what stops everything comes before what only waits."""
    name, sentence = next((name, sentence) for applies, name, sentence in _ranked(signs) if applies)
    return Condition(name, WORDS[name], sentence)


def _ranked(signs: Signs) -> Sequence[tuple[bool, ConditionName, str]]:
    told = signs.message or ""
    return (
        (signs.reconnect is not None, "reconnect_needed", signs.reconnect or ""),
        (
            not signs.provisioned,
            "not_provisioned",
            "The set-up is not finished; no sync begins before it is.",
        ),
        (signs.run == "waiting_approval", "waiting_approval", told),
        (signs.run == "running", "running", "A sync is under way."),
        (
            not signs.active,
            "paused",
            "No sync begins by itself until somebody resumes it; edits travel then.",
        ),
        (signs.run == "paused_budget", "paused_budget", told),
        (signs.run in {"failed", "refused"}, "failing", told),
        (
            signs.run is None,
            "healthy",
            "Everything is ready: the first sync begins by itself within a minute.",
        ),
        (True, "healthy", told or "The last sync did all that there was to do."),
    )
