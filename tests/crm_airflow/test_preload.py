"""The plugin loads what the tasks need, and a task process is spared it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crm_airflow.preload import MODULES
from tests.crm_airflow.airflow_env import ROOT, airflow_home

COMMANDS = ("__main__", "audit_commands", "ledger.export", "ledger.migrate", "ledger.roles")
PAGES = (
    "decide.setup", "ledger.activity", "ledger.custody", "ledger.deciding", "ledger.questions", "ledger.scoping",
    "ledger.settings_history", "ledger.setup", "reconciliation_",
)  # fmt: skip
NOT_NEEDED = (*COMMANDS, *PAGES, "stores.memory")
"""How the names of those parts of the product begin that no task imports."""

LOADED = """
import sys, types
{before}
import pytest

from crm_airflow.preload import preload
preload()
print(*sorted(name for name in sys.modules if name.startswith("crm_sync.")))
"""


def loaded(before: str = "") -> set[str]:
    path = os.pathsep.join([str(ROOT / "include"), str(ROOT / "plugins")])
    env = {**os.environ, "PYTHONPATH": path, "AIRFLOW_HOME": str(airflow_home())}
    command = [sys.executable, "-c", LOADED.format(before=before)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_every_module_of_the_product_that_a_task_may_import_is_loaded_before_the_fork():
    product = ROOT / "include" / "crm_sync"
    files = [path.relative_to(product) for path in product.rglob("*.py") if "migrations" not in path.parts]
    ours = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files} - {"__init__"}
    needed = {f"crm_sync.{name}" for name in ours if not name.startswith(NOT_NEEDED)}
    assert needed - loaded() == set()


def test_a_task_process_imports_only_what_it_uses():
    task = 'sys.modules["airflow.sdk.execution_time.task_runner"] = types.SimpleNamespace(SUPERVISOR_COMMS=object())'
    assert loaded(before=task) < {"crm_sync.errors", "crm_sync.model", "crm_sync"}


@pytest.mark.filterwarnings("ignore")  # what Airflow's plugin loader imports warns
def test_airflows_plugin_loader_takes_it():
    from airflow import plugins_manager

    assert "crm_sync" in {plugin["name"] for plugin in plugins_manager.get_plugin_info()}
    assert plugins_manager.get_import_errors() == {}
    assert set(MODULES) <= set(sys.modules)
