"""What has to be in the databases before Airflow's processes start: tables, and the connection on both sides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from stack.errors import StackError
from stack.settings import APP_ROLE, CONNECTION, ROOT, Org


def prepare(environment: Mapping[str, str], org: Org, owner_url: str) -> None:
    """Airflow's tables and Connection, and our tables beside them; then our connection, which needs both.

    ``owner_url``: our database for the role that owns it; all others are content with less.
    """
    given = {
        "conn_id": CONNECTION,
        "url": org.url,
        "client_id": org.client_id,
        "client_secret": org.client_secret,
    }
    theirs = _run(environment, json.dumps(given), "stack.airflow_init")
    owner = {**environment, "CRM_SYNC_DATABASE_URL": owner_url}
    ours = _run(owner, "", "crm_sync", "migrate", "--app-role", APP_ROLE)
    _finish(theirs, "Airflow's tables and Connection")
    _finish(ours, "GPTWeb's tables (python -m crm_sync migrate)")
    connect = _run(environment, "", "crm_sync", "connect", CONNECTION, "--vendor", "salesforce")
    _finish(connect, f"the connection (python -m crm_sync connect {CONNECTION})")


def _run(environment: Mapping[str, str], given: str, module: str, *words: str) -> subprocess.Popen[str]:
    path = os.pathsep.join((environment["PYTHONPATH"], str(ROOT)))
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if process.stdin is not None:
        process.stdin.write(given)
        process.stdin.close()
        process.stdin = None
    return process


def _finish(process: subprocess.Popen[str], what: str) -> None:
    output, _ = process.communicate()
    if process.returncode:
        last = "\n".join(output.strip().splitlines()[-15:])
        raise StackError(f"Preparing {what} failed:\n{last}")
