"""Airflow's own web application in this process, with our pages in it, and people who are signed in to it or not."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crm_airflow.airflow_env import airflow_database, airflow_home

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

ADDRESS = "http://localhost:9999"
USERS = {"admin": "admin", "viewer": "viewer", "clerk": "op"}
"""By role; what the clerk may see of our connections: one_connection.py."""
PASSWORD = "a-password-of-the-tests"
BUTTON = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says when a button of our own page is pressed."""


def airflow_app() -> FastAPI:
    """The application of the API server."""
    airflow_database()
    passwords = Path(airflow_home()) / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)), encoding="utf-8")
    os.environ |= {
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.crm_airflow.one_connection.OneConnection",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-tests-that-is-long-enough-for-sha-512-which-wants-64-bytes",
        "CRM_SYNC_PUBLIC_URL": ADDRESS,
    }
    from airflow.api_fastapi.app import cached_app

    return cached_app(apps="core")


@contextmanager
def browser(app: FastAPI, user: str = "") -> Iterator[TestClient]:
    """A browser with cookies of its own; signed in, or not."""
    from fastapi.testclient import TestClient

    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        if user:
            reply = client.post("/auth/token", json={"username": user, "password": PASSWORD})
            assert reply.status_code == 201, reply.text
            client.cookies.set("_token", reply.json()["access_token"])
        yield client
