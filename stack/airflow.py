"""Airflow on one machine: its settings (environment only, no airflow.cfg to edit) and its four processes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import requests

from crm_sync.access.vault import KEYS_VARIABLE
from stack.errors import StackError
from stack.ports import LOOPBACK
from stack.postgres import Server
from stack.processes import Processes, Service
from stack.settings import APP_ROLE, ROOT, Settings, write_private

USER = "admin"
USERS = {USER: "admin", "viewer": "viewer"}
"""Whom Airflow knows, with their roles; the password is one."""
HEARTS = ("scheduler", "triggerer", "dag_processor")
COMPONENTS = ("metadatabase", *HEARTS)
Health = dict[str, dict[str, str | None]]
START_SECONDS = 180.0
# The log servers of scheduler and triggerer bind all interfaces: on one machine logs are read from the disk.
COMMANDS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


def environment(settings: Settings, server: Server, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of every Airflow process: the caller's, without its AIRFLOW variables, and ours."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(("AIRFLOW", "CRM_SYNC_", "SALESFORCE_", "PG"))
    }
    return kept | _core(settings) | _database(settings, server) | _pace() | _addresses(settings)


def _core(settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(settings.airflow_home),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "include"), str(ROOT / "plugins"))),
        "PATH": os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath))),  # noqa: PTH120
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__FERNET_KEY": settings.secrets.fernet_key,
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(settings.airflow_home / "passwords.json"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.airflow_home / "logs"),
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.secrets.jwt_secret,
        KEYS_VARIABLE: settings.secrets.vault_keys,
    }


def _database(settings: Settings, server: Server) -> dict[str, str]:
    address = server.database("airflow").removeprefix("postgresql")
    return {
        "CRM_SYNC_DATABASE_URL": server.url_for(APP_ROLE, settings.secrets.app_password),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2{address}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg{address}",
    }


def _pace() -> dict[str, str]:
    """Short intervals: a person is waiting."""
    return {
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A task's slot is free a second after its end instead of five.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        # A killed worker's task is noticed after a minute instead of five.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    }


def _addresses(settings: Settings) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(settings.ports.airflow),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "NO_PROXY": f"{LOOPBACK},localhost",
        "no_proxy": f"{LOOPBACK},localhost",
    }


def write_passwords(settings: Settings) -> None:
    """The password file of Airflow's SimpleAuthManager: a person may also look at everything as a viewer."""
    settings.airflow_home.mkdir(parents=True, exist_ok=True)
    passwords = json.dumps(dict.fromkeys(USERS, settings.secrets.airflow_password))
    write_private(settings.airflow_home / "passwords.json", passwords)


def services(env: Mapping[str, str]) -> list[Service]:
    """Airflow's processes, in the order in which they are started."""
    return [Service(name, (sys.executable, "-m", "airflow", *words), env) for name, words in COMMANDS.items()]


def health(settings: Settings) -> Health:
    """What Airflow says of its components; empty while its API does not answer."""
    try:
        reply = requests.get(f"{settings.airflow_url}/api/v2/monitor/health", timeout=5)
        reply.raise_for_status()
        return {name: part or {} for name, part in reply.json().items()}
    except (requests.RequestException, ValueError):
        return {}


def is_healthy(settings: Settings, since: datetime) -> bool:
    """Whether every component has reported in since then; what an earlier start reported does not count."""
    state = health(settings)
    beats = [
        str(part[key]) for part in state.values() for key in part if key.startswith("latest_") and part[key]
    ]
    fresh = [beat for beat in beats if datetime.fromisoformat(beat) >= since]
    return sick(state) == [] and len(fresh) >= len(HEARTS)


def sick(state: Health) -> list[str]:
    """The components that are not healthy."""
    return [name for name in COMPONENTS if state.get(name, {}).get("status") != "healthy"]


def wait_until_healthy(settings: Settings, processes: Processes) -> None:
    """Wait for every component; a process that dies meanwhile ends the wait with its last words."""
    since = datetime.now(UTC)
    deadline = time.monotonic() + START_SECONDS
    while not is_healthy(settings, since):
        processes.require(COMMANDS)
        if time.monotonic() > deadline:
            logs = processes.log("api-server").parent
            raise StackError(
                f"Airflow was not ready after {START_SECONDS:.0f} s ({', '.join(sick(health(settings)))} missing): see {logs}."
            )
        time.sleep(0.3)
