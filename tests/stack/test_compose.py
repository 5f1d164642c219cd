"""Rules of the compose file, and Compose's own opinion of it where Compose is installed."""

import re
from typing import Any

import pytest
import yaml

from stack import compose_check

TEXT = compose_check.FILE.read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
AIRFLOW = {"airflow-init", "api-server", "scheduler", "dag-processor", "triggerer"}
compose = pytest.mark.skipif(compose_check.compose() is None, reason="Compose is not installed")


def test_compose_1_29_can_read_it() -> None:
    assert not {"name", "include"} & FILE.keys()
    assert not [service for service in FILE["services"].values() if "develop" in service]


def test_every_airflow_service_imports_the_product() -> None:
    assert set(FILE["services"]) == AIRFLOW | {"postgres", "salesforce-standin"}
    for name in AIRFLOW:
        service = FILE["services"][name]
        assert service["environment"]["PYTHONPATH"] == "/opt/airflow/include:/opt/airflow/plugins"
        mounted = {volume.split(":")[1] for volume in service["volumes"]}
        assert {"/opt/airflow/dags", "/opt/airflow/include", "/opt/airflow/plugins"} <= mounted


def test_every_server_has_a_health_check() -> None:
    servers = {name for name, service in FILE["services"].items() if "healthcheck" in service}
    assert servers == set(FILE["services"]) - {"airflow-init"}


def test_only_the_demo_profile_has_passwords_of_its_own() -> None:
    outside = {name: service for name, service in FILE["services"].items() if "profiles" not in service}
    assert set(FILE["services"]) - set(outside) == {"salesforce-standin"}
    secret = re.compile(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*):-(.+?)\}")
    assert not secret.findall(yaml.safe_dump(outside))
    assert compose_check.required_variables() == {
        "POSTGRES_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD",
        "CRM_SYNC_VAULT_KEYS",
    }  # fmt: skip


def test_only_the_api_server_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in FILE["services"].items() if "ports" in service}
    assert published == {"api-server": ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"]}


@compose
@pytest.mark.parametrize("profile", [None, "demo"])
def test_compose_accepts_it(profile: str | None) -> None:
    command = compose_check.compose()
    assert command is not None
    done = compose_check.config(command, compose_check.required_variables(), profile)
    assert (done.returncode, done.stderr) == (0, "")


@compose
@pytest.mark.parametrize("missing", sorted(compose_check.required_variables()))
def test_compose_refuses_it_without_a_password(missing: str) -> None:
    command = compose_check.compose()
    assert command is not None
    done = compose_check.config(command, compose_check.required_variables() - {missing})
    assert done.returncode != 0
    assert "set it to" in done.stderr or "set the password" in done.stderr
