"""The commands of the audit trail: what they print, write and return."""

from __future__ import annotations

import csv
import json
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from crm_sync.__main__ import main
from crm_sync.ledger import runs, trail
from crm_sync.ledger.database import Database
from crm_sync.ledger.export import COLUMNS

ANN, BOB = "00000000-0000-0000-0000-0000000000a1", "00000000-0000-0000-0000-0000000000b2"
EVIL = "=cmd|' /C calc'!A0"


@pytest.fixture
def hub(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger with two people, two connections, and a value that a spreadsheet would run."""
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", database_url)
    with closing(Database(database_url)) as database, database.transaction() as tx:
        for name, person in (("one", ANN), ("two", BOB)):
            tx.run("insert into crm_sync.connection (name, vendor) values (%s, 'salesforce')", (name,))
            run_id = runs.insert(tx, name, "sync", "d", {})
            trail.plan(tx, run_id, name, [
                trail.Change("contact", "theirs", "update", None, person, f"003{name}", {"title": None, "total_score": -5.5},
                             {"title": EVIL, "total_score": 7}, {}, {"title": "r", "total_score": "r"})
            ])  # fmt: skip
            change_id = tx.one("select max(change_id) from crm_sync.change")
            trail.outcomes(
                tx,
                run_id,
                [(change_id, "acknowledged", ("title", "total_score"), None, EVIL)],
                trail.Carrier("call 4", 0.5),
            )
            runs.close(tx, run_id, "succeeded", None, None)
    return database_url


def test_verify_says_what_it_found(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("The audit trail is as it was sealed: 4 rows under 2 seals.")
    head = out.split("head of one: ")[1].split()[0]
    assert main(["verify", "--connection", "one", "--head", head]) == 0
    with psycopg.connect(hub) as forger:
        forger.execute("set session_replication_role = replica")
        forger.execute("update crm_sync.change set rules = '{}' where connection = 'two'")
    assert main(["verify", "--connection", "one"]) == 0
    capsys.readouterr()
    assert main(["verify"]) == 1
    assert "was changed: seal 1 covers another" in capsys.readouterr().out


def test_a_csv_runs_nothing(hub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trail.csv"
    assert main(["export", str(file), "--connection", "one"]) == 0
    assert "2 lines of the audit trail written to" in capsys.readouterr().err
    with file.open(newline="") as text:
        title, score = csv.DictReader(text)
    assert (title["field"], json.loads(title["after"]), title["before"], title["base"]) == (
        "title",
        EVIL,
        "null",
        "",
    )
    assert title["detail"] == f"'{EVIL}"
    assert (score["before"], score["after"]) == ("-5.5", "7")
    with file.open(newline="") as text:
        cells = [cell for row in csv.reader(text) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == ["-5.5"]


def test_a_parquet_file_has_types_and_every_value(hub: str, tmp_path: Path) -> None:
    file = tmp_path / "trail.parquet"
    assert main(["export", str(file), "--record", BOB.upper()]) == 0
    table = pq.read_table(file)
    assert tuple(table.column_names) == COLUMNS
    title, score = table.to_pylist()
    assert (title["our_id"], title["connection"], title["batch"], title["api_call_share"]) == (
        BOB,
        "two",
        "call 4",
        0.5,
    )
    assert (json.loads(title["after"]), title["before"], title["base"], title["detail"]) == (
        EVIL,
        "null",
        None,
        EVIL,
    )
    assert (json.loads(score["before"]), title["at"].tzinfo is not None, title["erased"]) == (
        -5.5,
        True,
        False,
    )


def test_an_export_of_a_period(hub: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, lines in (
        (["--since", "2000-01-01"], 4),
        (["--until", "2000-01-01T00:00+01:00"], 0),
        (["--record", "003one"], 2),
    ):
        assert main(["export", "-", *words]) == 0
        assert len(capsys.readouterr().out.splitlines()) == 1 + lines


def test_erasing_says_what_is_left_to_do(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", ANN, "--why", "request 7", "--who", "ann"]) == 0
    assert capsys.readouterr().out.strip() == "erased: 0 records of GPTWeb, 2 lines of the audit trail"
    assert main(["verify"]) == 0
    assert main(["erase", "00000000-0000-0000-0000-0000000000ff", "--why", "x"]) == 1
    assert "neither GPTWeb nor the audit trail knows" in capsys.readouterr().err


def test_housekeeping_says_what_it_did(hub: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["housekeeping"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "month 0 of the audit trail is under way; the next two have their place",
        "cleared away: nothing",
    ]
