"""Whatever the verdict forgives is needed: without it a scene in which nothing went wrong would be condemned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.crm_sync.soak.fates import FullStage
from tests.crm_sync.soak.play import perform
from tests.crm_sync.soak.plot import scene
from tests.crm_sync.soak.runner import Theatre, theatre
from tests.crm_sync.soak.verdict import EXEMPTIONS, ON_THE_STANDIN, judge

PUSHED = 2
"""Scenes of this seed are played with a connection that only pushes."""
SAVED = {
    (1, 1): ("one way: edits stay on their side", "one way: nobody is made", "one way: existence"),
    (1, 7): ("died with its record",),
    (1, 17): ("one way: our measures",),
    (1, 24): ("a person decides: one side", "a person decides: twins"),
    (1, 37): ("merged unread",),
    (1, 57): ("archived",),
    (1, 65): ("a person decides: edits",),
    (1, 100): ("dead reference",),
    (1, 108): ("one way: opt-out",),
    (1, 223): ("no creations: existence",),
    (1, 238): ("one way: blank of a survivor",),
    (1, 253): ("deleted unread",),
    (1, 376): ("parked",),
    (1, 556): ("one way: merged unread",),
    (1, 955): ("twin by merge",),
    (2, 38): ("one way: made again",),
    (2, 56): ("one way: went with its lead",),
}
"""A scene of that number, and what it needs.  Whoever changes the dice finds others: see the text of the failure."""


@pytest.fixture(scope="module")
def house(postgres_server: str) -> Iterator[Theatre]:
    with theatre(postgres_server, f"soak_exemptions_{os.getpid()}") as house:
        yield house


def test_every_exemption_has_its_scene() -> None:
    assert sorted(name for names in SAVED.values() for name in names) == sorted(
        EXEMPTIONS.keys() - set(ON_THE_STANDIN)
    )


@pytest.mark.parametrize(("seed", "number"), SAVED)
def test_without_an_exemption_a_sound_scene_is_condemned(house: Theatre, seed: int, number: int) -> None:
    house.clean()
    played = scene(seed, number)
    stage = FullStage(house.pool, replace(played, direction="push") if seed == PUSHED else played)
    try:
        perform(stage)
        assert judge(stage) == []
        needed = [name for name in EXEMPTIONS if judge(stage, without=name)]
    finally:
        stage.close()
    assert set(SAVED[seed, number]) <= set(needed), f"scene {seed}/{number} needs {needed}"
