"""Every page in this process, through Airflow's own application: `python -m bench.child pages`."""

# ruff: noqa: PLC0415  Airflow is imported when its surroundings are set

from __future__ import annotations

import json
import os
import secrets
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

__all__ = ["pages"]

TIMES: Final = 7
USER: Final = "admin"
WHOLE_FILES: Final = ("activity.csv", "changes.csv")
LEFT_OUT: Final = ("/static/{name}", "/oauth/callback", "/connections/{connection_id}/connect")
"""Files, and what goes to the CRM."""


def pages(_: list[str]) -> dict[str, Any]:
    """Milliseconds and bytes of every address that shows one connection or all of them."""
    home = Path(os.environ["AIRFLOW_HOME"])
    password = secrets.token_urlsafe(12)
    (home / "passwords.json").write_text(json.dumps({USER: password}), encoding="utf-8")
    os.environ |= {
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.environ["AIRFLOW__CORE__DAGS_FOLDER"].replace("dags", "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    from airflow.api_fastapi.app import cached_app
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    initdb()
    with TestClient(
        cached_app(apps="core"), base_url="http://localhost:9999", follow_redirects=False
    ) as client:
        reply = client.post("/auth/token", json={"username": USER, "password": password})
        client.cookies.set("_token", reply.json()["access_token"])
        return {"pages": {path: _measured(client, path) for path in _addresses()}}


def _addresses() -> list[str]:
    from crm_airflow.web import PREFIX
    from crm_airflow.web.app import create_app
    from crm_sync.ledger import overview
    from crm_sync.ledger.database import Database, database_url

    with Database(database_url()).transaction() as tx:
        name = overview.names(tx)[0]
        known = {"connection_id": name, "run_id": str(overview.runs(tx, name, 1)[0].run_id)}
    found = []
    for route in create_app().routes:
        path: str = getattr(route, "path", "")
        if "GET" not in getattr(route, "methods", ()) or path in LEFT_OUT or path.endswith(WHOLE_FILES):
            continue
        for part, value in known.items():
            path = path.replace("{" + part + "}", value)
        if "{" not in path:
            found.append(PREFIX + path)
    return found


def _measured(client: TestClient, path: str) -> dict[str, float]:
    replies, took = [], []
    for _ in range(TIMES + 1):
        began = time.monotonic()
        replies.append(client.get(path))
        took.append(1000 * (time.monotonic() - began))
    if replies[-1].status_code >= 500:
        raise SystemExit(f"{path} answered {replies[-1].status_code}: {replies[-1].text[:400]}")
    return {"median": statistics.median(took[1:]), "most": max(took[1:]), "bytes": len(replies[-1].content)}
