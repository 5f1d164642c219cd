"""Airflow's environment, set while this folder is collected, before any of its modules imports Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.crm_airflow.airflow_env import airflow_home

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from tests.crm_airflow.real import Org

airflow_home()


@pytest.fixture(scope="session")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """A Salesforce org on the wire, empty at the start of the session."""
    from tests.crm_airflow.real import running_org

    with running_org(tmp_path_factory.mktemp("org") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def _hub(org: Org) -> Iterator[str]:
    from tests.crm_airflow.airflow_env import airflow_database
    from tests.crm_airflow.real import running_hub

    airflow_database()
    with running_hub(airflow_home() / "postgres") as url:
        yield url


@pytest.fixture
def hub(_hub: str, org: Org, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a migrated database with the connection ``salesforce_main``, known to Airflow as well."""
    from tests.crm_airflow.real import NAME, airflow_connection

    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", _hub)
    airflow_connection(monkeypatch, NAME, org.extra())
    return _hub


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """Airflow's application with our pages in it."""
    from tests.crm_airflow.ui import airflow_app

    return airflow_app()


@pytest.fixture
def admin(app: FastAPI, hub: str) -> Iterator[TestClient]:
    """The browser of an administrator who is signed in."""
    from tests.crm_airflow.ui import browser

    with browser(app, "admin") as client:
        yield client
