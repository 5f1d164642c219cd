"""Imports once, in the process that forks them, what otherwise each task and each parse of a DAG file imports again.

Airflow forks its tasks from the executor and its parsers from the DAG processor; both load plugins before they fork.
On 2 cores this takes more than half a second from every task, and so some 4 s from a run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

__all__ = ["MODULES", "preload"]

MODULES: Final = (
    "crm_airflow.hooks.sync_hook",
    "crm_sync.access.connecting",
    "crm_sync.access.oauth",
    "crm_sync.access.rotation",
    "crm_sync.access.transport",
    "crm_sync.access.vault_login",
    "crm_sync.decide.mapping",
    "crm_sync.engine.notes",
    "crm_sync.engine.pull",
    "crm_sync.engine.plan",
    "crm_sync.engine.push_ours",
    "crm_sync.engine.push_theirs",
    "crm_sync.engine.reconcile",
    "crm_sync.engine.settle",
    "crm_sync.engine.undo",
    "crm_sync.engine.undo_apply",
    "crm_sync.ledger.alerts",
    "crm_sync.ledger.months",
    "crm_sync.ledger.overview",
    "crm_sync.ledger.preflight",
    "crm_sync.ledger.provisioning",
    "crm_sync.ledger.snapshot",
    "crm_sync.ledger.spending",
    "crm_sync.ledger.verify",
    "crm_sync.preflight",
    "crm_sync.provision",
    "crm_sync.provision_removal",
    "crm_sync.stores.salesforce",
    "crm_sync.stores.salesforce_preflight",
    "crm_sync.stores.salesforce_removal",
    "crm_sync.stores.salesforce_schema",
)


def preload() -> None:
    """Import them, unless this process is a task: that imports what it needs, when it needs it."""
    if not _is_task():
        for name in MODULES:
            import_module(name)


def _is_task() -> bool:
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    return getattr(runner, "SUPERVISOR_COMMS", None) is not None
