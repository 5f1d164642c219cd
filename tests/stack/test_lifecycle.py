"""The whole stack once: up, loopback only, healed after a kill -9, down without a trace."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from stack import airflow, env, postgres
from stack.errors import StackError
from stack.lifecycle import Stack
from stack.settings import CONNECTION, Settings


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    said: list[str] = []
    made = Stack(Settings.load(tmp_path / "local"), say=said.append)
    yield made
    made.down()


def addresses(stack: Stack) -> set[str]:
    """Every address on which a process of the stack listens."""
    main = postgres.running(stack.settings.postgres_data.resolve())
    assert main is not None
    processes = [*stack.processes.marked(), psutil.Process(main)]
    sockets = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a task that has ended meanwhile
            sockets += process.net_connections("inet")
    listening = [s for s in sockets if s.status == psutil.CONN_LISTEN or s.type == socket.SOCK_DGRAM]
    assert {s.laddr.port for s in listening} >= set(vars(stack.settings.ports).values())
    return {s.laddr.ip for s in listening}


def test_up_is_whole_private_and_heals_and_down_leaves_nothing(stack: Stack) -> None:
    stack.up({})
    assert stack.is_whole(), stack.status()
    assert addresses(stack) == {"127.0.0.1"}
    _clients_get_in(stack)

    database = postgres.running(stack.settings.postgres_data.resolve())
    scheduler = next(p for p in stack.processes.marked() if "scheduler" in " ".join(p.cmdline()))
    for pid in (database, scheduler.pid):
        os.kill(pid or 0, signal.SIGKILL)
    psutil.wait_procs([scheduler], 10)
    assert not stack.is_whole()
    assert stack.status()["postgres"] == "down"

    stack.up({})
    assert stack.is_whole(), stack.status()
    _clients_get_in(stack)

    assert stack.down()
    assert stack.processes.marked() == []
    assert not stack.env_file.exists()
    assert not stack.down()


def _clients_get_in(stack: Stack) -> None:
    values = env.read(stack.env_file)
    with psycopg.connect(values["CRM_SYNC_DATABASE_URL"]) as connection:
        connection.execute("select from crm_sync.run_summary")
    verify = [sys.executable, "-m", "crm_sync", "verify"]
    assert subprocess.run(verify, env=stack.environment(), check=False).returncode == 0
    token = {"username": values["AIRFLOW_USER"], "password": values["AIRFLOW_PASSWORD"]}
    signed_in = requests.post(f"{values['AIRFLOW_URL']}/auth/token", json=token, timeout=30)
    assert signed_in.ok
    connect = f"{values['AIRFLOW_URL']}/crm-sync/connections/{CONNECTION}/connect"
    stranger = requests.get(connect, timeout=30, allow_redirects=False)
    assert (stranger.status_code, "/auth/login" in stranger.headers["Location"]) == (303, True)
    bearer = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
    # What a browser says when the button of our own page is pressed.
    button = {**bearer, "Sec-Fetch-Site": "same-origin"}
    connected = requests.post(connect, headers=button, timeout=30)
    assert (connected.status_code, "Connected" in connected.text) == (200, True), connected.text
    assert not requests.get(f"{values['AIRFLOW_URL']}/api/v2/dags", timeout=30).ok
    admin = {"Authorization": f"Bearer {values['SALESFORCE_STANDIN_TOKEN']}"}
    limits = f"{values['SALESFORCE_STANDIN_URL']}/services/data/v60.0/limits"
    assert requests.get(limits, headers=admin, timeout=30).ok
    grant = {
        "grant_type": "client_credentials",
        "client_id": values["SALESFORCE_STANDIN_CLIENT_ID"],
        "client_secret": values["SALESFORCE_STANDIN_CLIENT_SECRET"],
    }
    oauth = f"{values['SALESFORCE_STANDIN_URL']}/services/oauth2/token"
    assert requests.post(oauth, data=grant, timeout=30).ok


def test_a_second_command_in_the_same_checkout_waits_its_turn(stack: Stack) -> None:
    with (
        stack.alone(),
        pytest.raises(StackError, match="at work in this checkout"),
        Stack(stack.settings).alone(),
    ):
        pass


def test_a_port_that_is_taken_stops_nothing_that_runs(stack: Stack) -> None:
    server = postgres.start(stack.settings.postgres_data)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StackError, match="is taken"):
        stack.up({"AIRFLOW_PORT": str(taken.getsockname()[1])})
    assert postgres.start(stack.settings.postgres_data) == server


def test_airflow_is_set_up_by_the_environment_alone(stack: Stack, tmp_path: Path) -> None:
    base = {
        "AIRFLOW__CORE__EXECUTOR": "Other",
        "AIRFLOW_CONN_X": "x",
        "SALESFORCE_CLIENT_SECRET": "x",
        "LANG": "C",
    }
    made = airflow.environment(stack.settings, postgres.Server(1, "password"), base)
    assert made["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert made["AIRFLOW_HOME"] == str(tmp_path / "local" / "airflow")
    assert made["LANG"] == "C"
    assert not {"AIRFLOW_CONN_X", "SALESFORCE_CLIENT_SECRET"} & made.keys()


def test_airflow_uses_our_database_as_a_lesser_role(stack: Stack) -> None:
    made = airflow.environment(stack.settings, postgres.Server(1, "password"), {})
    password = stack.settings.secrets.app_password
    assert made["CRM_SYNC_DATABASE_URL"] == f"postgresql://crm_sync_app:{password}@127.0.0.1:1/gptweb"
