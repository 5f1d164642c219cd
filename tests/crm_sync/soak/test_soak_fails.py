"""The soak can fail: with a rule of the engine taken out it finds what the rule is for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crm_sync.engine.mutants import MUTANTS, without
from tests.crm_sync.soak.runner import Result, soak

SCHEDULES, SEED = 250, 1
RULES = {
    "what was seen is the work list": "wrong silence",
    "a base moves per field": "wrong silence",
    "an intent is stored before it is sent": "lost update",
    "a lost reply names its window": "lost update",
    "who shares a key with a linked record is left to a person": "duplicate",
}
"""A rule, and a kind of problem that shows without it."""


@pytest.fixture(scope="module")
def results(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """What the same schedules find without each of the rules, two at a time."""

    def play(rule: str) -> Result:
        folder = tmp_path_factory.mktemp("without")
        stale = without(next(m for m in MUTANTS if m.rule == rule), Path(folder))
        assert stale is None, stale
        return soak(postgres_server, SCHEDULES, SEED, 1, folder)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RULES, pool.map(play, RULES), strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_a_promise_is_broken(results: dict[str, Result], rule: str) -> None:
    assert results[rule].broken(RULES[rule]), results[rule]
