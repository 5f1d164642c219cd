"""Rotating the vault's keys by its task, on what a log-in has stored."""

from __future__ import annotations

import pytest

from crm_airflow.hooks.sync_hook import CrmSyncHook
from crm_airflow.operators.vault_rotation_operator import VaultRotationOperator
from crm_sync.access.vault import new_entry
from crm_sync.errors import Misconfigured
from tests.crm_airflow.real import NAME, rows

KEY_IDS = "select distinct key_id from crm_sync.credential where sealed is not null"


def test_tokens_are_sealed_anew_and_the_old_key_is_needed_no_more(hub, monkeypatch):
    old, new = new_entry("old"), new_entry("new")
    rows(hub, "delete from crm_sync.credential")
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", old)
    with CrmSyncHook(NAME).login() as login:
        token = login.token()
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", f"{new},{old}")
    assert rows(hub, KEY_IDS) == [("old",)]
    task = VaultRotationOperator(task_id="rotate_vault")
    assert task.execute({}) == {"resealed": 1, "kept": 0}
    assert rows(hub, KEY_IDS) == [("new",)]
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", new)
    with CrmSyncHook(NAME).login() as login:
        assert login.token() == token
    assert task.execute({}) == {"resealed": 0, "kept": 1}
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", new_entry("third"))
    with pytest.raises(Misconfigured, match="need vault key 'new'"):
        task.execute({})
    rows(hub, "delete from crm_sync.credential")
