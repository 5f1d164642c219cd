"""The command line: psql gets its own words, and foreseen trouble is one message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import env
from stack.__main__ import main
from stack.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    made = Settings.load(tmp_path)
    monkeypatch.setattr(Settings, "load", lambda: made)
    return made


def test_psql_gets_all_words_that_follow_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, words: ran.append(words))
    env.write(settings.local / "env", {"CRM_SYNC_DATABASE_URL": "postgresql://here"})
    main(["psql", "-c", "select 1", "--help"])
    assert ran == [["psql", "postgresql://here", "-c", "select 1", "--help"]]


def test_psql_without_a_stack_says_what_to_do(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["psql", "-c", "select 1"]) == 1
    assert "`make up` starts it" in capsys.readouterr().err


def test_a_command_without_a_stack_says_what_to_do(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "python", "-m", "crm_sync", "verify"]) == 1
    assert "`make up` starts it" in capsys.readouterr().err
    assert main(["run"]) == 1
    assert "Which command?" in capsys.readouterr().err


def test_unknown_words_are_refused(settings: Settings) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--fast"])


def test_status_of_nothing_is_down_and_exit_status_1(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "postgres             down" in said
    assert {line.split()[1] for line in said} == {"down"}


def test_it_can_be_typed_without_the_makefiles_environment() -> None:
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-m", "stack", "--help"]
    assert subprocess.run(words, cwd=ROOT, env=bare, capture_output=True, check=False).returncode == 0
