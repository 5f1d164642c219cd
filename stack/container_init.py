"""The compose file's init service: databases, tables, the administrator's password, the connection of .env.

Runs at every start and changes nothing the second time.  Without SALESFORCE_URL no connection is made here: add it
in Airflow's UI (Admin, Connections, type Salesforce), then run `python -m crm_sync connect <its id>` in a container.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
from airflow.utils.db import initdb

from stack.airflow_init import upsert

CONNECTION = "salesforce_main"


def main() -> None:
    """Bring everything to where the services can start."""
    _create_database("airflow")
    _write_password(os.environ["AIRFLOW_ADMIN_PASSWORD"])
    initdb()
    _crm_sync("migrate")
    if url := os.environ.get("SALESFORCE_URL"):
        keys = {
            "client_id": os.environ["SALESFORCE_CLIENT_ID"],
            "client_secret": os.environ["SALESFORCE_CLIENT_SECRET"],
        }
        upsert(CONNECTION, {"url": url.rstrip("/"), **keys})
        _crm_sync("connect", CONNECTION, "--vendor", "salesforce")


def _create_database(name: str) -> None:
    with psycopg.connect(os.environ["CRM_SYNC_DATABASE_URL"], autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))


def _write_password(password: str) -> None:
    file = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    file.touch(mode=0o600)
    file.write_text(json.dumps({"admin": password}))


def _crm_sync(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "crm_sync", *words], check=True)


if __name__ == "__main__":
    main()
