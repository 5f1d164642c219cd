"""The command line of the vault: a key that the vault takes, and a rotation that says what it did."""

from __future__ import annotations

import pytest

from crm_sync.__main__ import main
from crm_sync.access.oauth import Tokens
from crm_sync.access.vault import KeyRing, Vault, new_entry
from crm_sync.access.vault_login import keep
from crm_sync.ledger import settings
from crm_sync.ledger.database import Database


def test_a_new_key_goes_into_a_ring_as_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vault", "new-key"]) == 0
    entry = capsys.readouterr().out.strip()
    assert KeyRing.parse(entry).first == entry.partition(":")[0]
    main(["vault", "new-key"])
    assert capsys.readouterr().out.strip().partition(":")[2] != entry.partition(":")[2]


def test_rotating_says_what_became_of_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = new_entry("old"), new_entry("new")
    database = Database(database_url)
    with database.transaction() as tx:
        settings.connect(tx, "main", "salesforce", {})
        keep(tx, Vault(KeyRing.parse(old)), "main", Tokens("A1", "https://acme.example"), "app")
    database.close()
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", database_url)
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", f"{new},{old}")
    assert main(["vault", "rotate"]) == 0
    assert "Vault key 'new' seals now: 1 values sealed anew, 0 were already." in capsys.readouterr().out
    monkeypatch.setenv("CRM_SYNC_VAULT_KEYS", old)
    assert main(["vault", "rotate"]) == 1
    assert "need vault key 'new'" in capsys.readouterr().err


def test_without_keys_it_says_how_to_make_one(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRM_SYNC_DATABASE_URL", database_url)
    monkeypatch.delenv("CRM_SYNC_VAULT_KEYS", raising=False)
    assert main(["vault", "rotate"]) == 1
    assert "python -m crm_sync vault new-key" in capsys.readouterr().err
