"""A world per test; the asserts of the shared invariants explain themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.register_assert_rewrite("tests.crm_sync.engine.world", "tests.crm_sync.engine.truth")

from tests.crm_sync.engine.world import World  # noqa: E402
from tests.crm_sync.stores.standin import StandinOrg, standin_org  # noqa: E402


@pytest.fixture
def make_world(database_url: str) -> Iterator[Callable[..., World]]:
    """Makes the test's world with the connection's settings as keywords."""
    made: list[World] = []

    def make(**settings: object) -> World:
        made.append(World(database_url, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One CRM that wins conflicts, and one person known on both sides."""
    return make_world(policy="crm_wins").with_person()


@pytest.fixture(scope="module")
def org() -> Iterator[StandinOrg]:
    """An org of the module's own, over a socket."""
    with standin_org() as org:
        yield org
