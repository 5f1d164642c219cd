"""Soak: as many random fault schedules as one likes: ``make soak SCHEDULES=100000 SEED=7``; what fails is shrunk and printed.

``python -m tests.crm_sync.soak --scene 7/4711`` plays one scene again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from stack import postgres
from tests.crm_sync.soak.plot import Scene, scene
from tests.crm_sync.soak.runner import Theatre, soak, theatre
from tests.crm_sync.soak.shrink import shrink

SHRUNK = 3
"""How many of the failing scenes are made small and printed."""


def main() -> int:
    """Exit status 0 only if no promise was broken."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 1))
    parser.add_argument("--scene", help="play this one alone: seed/number")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres.temporary(Path(folder) / "data") as server:
        address = server.database("postgres")
        if chosen.scene:
            return _again(address, [chosen.scene])
        began = time.monotonic()
        result = soak(address, chosen.schedules, chosen.seed, chosen.processes)
        print(f"seed {chosen.seed}, {time.monotonic() - began:.0f} s\n{result}")
        return _again(address, list(dict.fromkeys(name for name, _, _ in result.problems))[:SHRUNK])


def _again(server: str, names: list[str]) -> int:
    """Play scenes again by name; shrink those that go wrong and print them."""
    if not names:
        return 0
    broken = 0
    with theatre(server, "soak_again") as house:
        for name in names:
            seed, number = map(int, name.split("/"))
            played = house.play(scene(seed, number))
            print(f"\nscene {name}: {len(played.problems)} problems")
            if played.problems:
                broken += 1
                _print(house, _smallest(house, played.scene, played.problems[0].kind))
    return bool(broken)


def _smallest(house: Theatre, scene: Scene, kind: str) -> Scene:
    return shrink(scene, lambda smaller: any(p.kind == kind for p in house.play(smaller).problems))


def _print(house: Theatre, small: Scene) -> None:
    """The listing from which a named schedule can be made."""
    print(
        f"  {small.policy}, {small.direction}, {small.objects}, their delete: {small.their_delete}, our archive: {small.our_archive}"
    )
    for number, turn in enumerate(small.turns):
        print(f"  run {number}: {turn}")
    for schedule in small.schedules:
        print(f"  cast: {schedule.cast}")
        for act in schedule.acts:
            print(f"    {act}")
    played = house.play(small, tell=True)
    for problem in played.problems:
        print(f"  {problem.kind}: {problem.text}")
    for line in played.story:
        print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
