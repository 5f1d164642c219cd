"""The embedded Postgres: it starts, stops, and comes back after a kill -9, with its data."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stack import postgres


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o700)  # nobody else may pass, as in a home folder
    yield tmp_path / "data"
    postgres.stop(tmp_path / "data")


def one(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def run(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_start_makes_the_databases_and_a_second_start_finds_the_same_server(data: Path) -> None:
    first = postgres.start(data, databases=("gptweb", "airflow"))
    assert first.url.endswith("/gptweb")
    assert one(first.database("airflow"), "select current_database()") == "airflow"
    assert postgres.start(data, databases=("gptweb", "other")) == first
    assert one(first.database("other"), "select current_database()") == "other"


def test_it_wants_the_password(data: Path) -> None:
    server = postgres.start(data)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url.replace(server.password, "wrong"))


def test_its_settings_do_not_come_from_the_caller(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TZ": "Asia/Tokyo", "PGPORT": "1", "LC_ALL": "tr_TR.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    server = postgres.start(data)
    assert one(server.url, "select current_setting('log_timezone')") == "UTC"
    assert one(server.url, "select lower('ÄÉI')") == "äéi"


def test_stop_and_start_keep_the_data(data: Path) -> None:
    server = postgres.start(data)
    run(server.url, "create table kept as select 42 as value")
    postgres.stop(data)
    assert postgres.running(data) is None
    assert one(postgres.start(data).url, "select value from kept") == 42


def test_it_comes_back_after_kill_9_although_a_busy_session_lives_on(data: Path) -> None:
    server = postgres.start(data)
    run(server.url, "create table kept as select 42 as value")
    busy = threading.Thread(target=_work_for_long, args=(server.url,))
    busy.start()
    _wait_until_busy(server.url)
    pid = postgres.running(data)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert one(postgres.start(data).url, "select value from kept") == 42
    busy.join(10)
    assert not busy.is_alive()


def test_a_pid_file_whose_process_is_another_program_is_stale(data: Path) -> None:
    server = postgres.start(data)
    pid_file = (data / "postmaster.pid").read_text()
    postgres.stop(data)
    (data / "postmaster.pid").write_text(pid_file.replace(pid_file.split("\n", 1)[0], str(os.getpid()), 1))
    assert postgres.running(data) is None
    assert postgres.start(data).password == server.password


def test_a_first_start_that_was_cut_short_is_begun_again(data: Path) -> None:
    (data / "cluster" / "base").mkdir(parents=True)
    (data / "cluster" / "PG_VERSION").write_text("18")
    assert one(postgres.start(data).url, "select 1") == 1


def _work_for_long(url: str) -> None:
    with pytest.raises(psycopg.OperationalError), psycopg.connect(url) as connection:
        connection.execute("select /* busy */ count(*) from generate_series(1, 100000000000)")


def _wait_until_busy(url: str) -> None:
    while not one(
        url,
        "select count(*) from pg_stat_activity where query like '%/* busy */%' and pid <> pg_backend_pid()",
    ):
        pass
