"""The lists of what the soak sees name rules that there are, each once."""

from __future__ import annotations

from tests.crm_sync.engine.mutants import MUTANTS
from tests.crm_sync.soak.blind import BLIND, SHOWN
from tests.crm_sync.soak.test_soak_fails import RULES


def test_the_lists_name_rules_of_the_engine() -> None:
    rules = {mutant.rule for mutant in MUTANTS}
    assert len({*BLIND, *SHOWN}) == len(BLIND) + len(SHOWN)
    assert {*BLIND, *SHOWN} <= rules


def test_nothing_that_the_soak_is_said_to_find_is_called_blind() -> None:
    assert not RULES.keys() & set(BLIND)
