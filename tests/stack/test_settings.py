"""Ports, secrets, the org asked for, and the file that clients source."""

import json
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from stack import env, ports
from stack.errors import StackError
from stack.settings import Org, Settings


def test_secrets_are_made_once_and_kept_private(tmp_path: Path) -> None:
    first = Settings.load(tmp_path)
    assert Settings.load(tmp_path).secrets == first.secrets
    assert stat.S_IMODE(first.file.stat().st_mode) == 0o600
    assert len(set(json.loads(first.file.read_text()).values())) > 6


def test_the_standins_token_has_the_shape_of_a_real_one(tmp_path: Path) -> None:
    organisation, bang, rest = Settings.load(tmp_path).secrets.standin_token.partition("!")
    assert (len(organisation), organisation[:3], bang) == (15, "00D", "!")
    assert len(rest) > 80


def test_free_ports_are_found_and_used_again(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path)
    settings.choose_ports({})
    chosen = settings.ports
    again = Settings.load(tmp_path)
    again.choose_ports({})
    assert again.ports == chosen


def test_a_port_asked_for_is_taken(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path)
    wanted = ports.free_port()
    settings.choose_ports({"AIRFLOW_PORT": str(wanted)})
    assert settings.ports.airflow == wanted
    assert settings.airflow_url == f"http://127.0.0.1:{wanted}"


@pytest.mark.parametrize("asked", ["0", "65536", "eighty", "-1"])
def test_a_number_that_is_no_port_is_refused(tmp_path: Path, asked: str) -> None:
    with pytest.raises(StackError, match=r"AIRFLOW_PORT=.* is no TCP port"):
        Settings.load(tmp_path).choose_ports({"AIRFLOW_PORT": asked})


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"POSTGRES_PORT={port} is taken .* choose another"):
            Settings.load(tmp_path).choose_ports({"POSTGRES_PORT": str(port)})


def test_two_servers_on_one_port_are_refused(tmp_path: Path) -> None:
    port = str(ports.free_port())
    with pytest.raises(StackError, match="three different ports"):
        Settings.load(tmp_path).choose_ports({"POSTGRES_PORT": port, "AIRFLOW_PORT": port})


def test_an_own_org_needs_all_three_values() -> None:
    given = {"SALESFORCE_URL": "https://acme.my.salesforce.com/", "SALESFORCE_CLIENT_ID": "id"}
    with pytest.raises(StackError, match="SALESFORCE_CLIENT_SECRET"):
        Org.from_environment(given)
    org = Org.from_environment(given | {"SALESFORCE_CLIENT_SECRET": "secret"})
    assert org == Org("https://acme.my.salesforce.com", "id", "secret")
    assert "secret" not in repr(org)
    assert Org.from_environment({"SALESFORCE_URL": ""}) is None


def test_an_own_org_is_never_met_in_plain_text() -> None:
    given = {"SALESFORCE_CLIENT_ID": "id", "SALESFORCE_CLIENT_SECRET": "secret"}
    with pytest.raises(StackError, match="https://"):
        Org.from_environment(given | {"SALESFORCE_URL": "http://acme.my.salesforce.com"})
    assert Org.from_environment(given | {"SALESFORCE_URL": "http://127.0.0.1:8090"})


AWKWARD = {
    "PLAIN": "postgresql://u:p@127.0.0.1:1/db",
    "QUOTED": 'it\'s "a" $HOME `x` !\\',
    "EMPTY": "",
    "LINES": "a b\tc",
}


def test_the_env_file_is_private_and_any_shell_can_source_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("old")
    file.chmod(0o644)
    env.write(file, AWKWARD)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert env.read(file) == AWKWARD
    for name, value in AWKWARD.items():
        script = f'. "{file}" && sh -c \'printf %s "${name}"\''
        done = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True)
        assert done.stdout == value


def test_no_env_file_reads_as_empty(tmp_path: Path) -> None:
    assert env.read(tmp_path / "env") == {}
