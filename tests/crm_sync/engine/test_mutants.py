"""Each rule of the engine is needed: without it, the schedule that names it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.crm_sync.engine.mutants import MUTANTS, ROOT, Mutant


@pytest.fixture(scope="module")
def results(postgres_server: str) -> dict[str, str]:
    """What became of every mutant."""
    path = os.pathsep.join([str(ROOT / "plugins"), str(ROOT)])  # include/ comes from each mutant's own copy
    done = subprocess.run(
        [sys.executable, "-m", "tests.crm_sync.engine.mutants", postgres_server],
        check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_an_unchanged_copy_passes(results: dict[str, str]) -> None:
    assert results["nothing changed"] == "passed"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.rule} [{m.schedule}]")
def test_without_it_a_schedule_fails(results: dict[str, str], mutant: Mutant) -> None:
    assert results[f"{mutant.rule} [{mutant.schedule}]"] == "failed"
