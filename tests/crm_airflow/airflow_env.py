"""The Airflow of the tests: a home of its own inside the checkout, SQLite, set before anything imports Airflow."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import DAG

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
HOME = "CRM_SYNC_TEST_AIRFLOW_HOME"
"""An AIRFLOW_HOME that is kept: tests that run Airflow in a process of its own look at what it left there."""
CONNECTIONS = [
    {
        "name": "salesforce_main",
        "vendor": "salesforce",
        "frequency": "5min",
        "provisioned": True,
        "active": True,
    },
    {
        "name": "salesforce_emea",
        "vendor": "salesforce",
        "frequency": "15min",
        "provisioned": True,
        "active": True,
    },
    {
        "name": "salesforce_apac",
        "vendor": "salesforce",
        "frequency": "hourly",
        "provisioned": True,
        "active": True,
    },
    {
        "name": "salesforce_new",
        "vendor": "salesforce",
        "frequency": "5min",
        "provisioned": False,
        "active": True,
    },
    {
        "name": "salesforce_off",
        "vendor": "salesforce",
        "frequency": "5min",
        "provisioned": True,
        "active": False,
    },
]


def _temporary_home() -> Path:
    (ROOT / ".local").mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="airflow-test-", dir=ROOT / ".local"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


@cache
def airflow_home() -> Path:
    """Set the environment once per process and return AIRFLOW_HOME."""
    home = Path(os.environ[HOME]) if HOME in os.environ else _temporary_home()
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "ZmFrZWtleWZha2VrZXlmYWtla2V5ZmFrZWtleWZha2U=",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "CRM_SYNC_VAULT_KEYS": os.environ.get("CRM_SYNC_VAULT_KEYS") or "test:" + "QUJD" * 21 + "QQ",
    }
    write_snapshot(CONNECTIONS)
    return home


def write_snapshot(entries: list[dict]) -> None:
    """Write the connections that DAG parsing reads."""
    home = Path(os.environ["AIRFLOW_HOME"])
    (home / "crm_sync_connections.json").write_text(json.dumps(entries), encoding="utf-8")


@cache
def airflow_database() -> None:
    """Make Airflow's own tables, once, for the tests that run a DAG."""
    airflow_home()
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]


def register(dag: DAG) -> None:
    """Make a DAG known that no file holds: ``dag.test`` takes only such."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    bag = DagBag(DAGS, collect_dags=False, bundle_path=DAGS, bundle_name="dags-folder")
    dag.fileloc, dag.relative_fileloc = str(DAGS / "none.py"), "none.py"
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
