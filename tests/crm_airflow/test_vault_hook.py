"""Where the vault's keys come from, and that they are masked once they were read."""

from __future__ import annotations

import pytest
from airflow.sdk._shared.secrets_masker import redact

from crm_airflow.hooks.vault_hook import vault
from crm_sync.access.vault import new_entry
from crm_sync.errors import Misconfigured


def test_the_environment_comes_first(monkeypatch):
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", new_entry("mine"))
    assert vault(lambda name: new_entry("other")).ring.first == "mine"


def test_else_airflows_secrets_backend_is_asked(monkeypatch):
    monkeypatch.delenv("CRM_SYNC_VAULT_KEYS")
    monkeypatch.setenv("AIRFLOW_VAR_CRM_SYNC_VAULT_KEYS", new_entry("backend"))
    assert vault().ring.first == "backend"


def test_no_key_says_how_to_make_one(monkeypatch):
    monkeypatch.delenv("CRM_SYNC_VAULT_KEYS")
    with pytest.raises(Misconfigured, match="python -m crm_sync vault new-key"):
        vault(lambda name: None)


def test_the_keys_are_masked_in_logs(monkeypatch):
    entry = new_entry("masked")
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", entry)
    vault()
    assert entry.partition(":")[2] not in str(redact(f"the key is {entry.partition(':')[2]}"))
