"""The vault with its keys: from this process's environment, else from Airflow's secrets backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from airflow.sdk import Variable
from airflow.sdk.log import mask_secret

from crm_sync.access.vault import KEYS_VARIABLE, KeyRing, Vault

__all__ = ["vault"]

AIRFLOW_VARIABLE: Final = KEYS_VARIABLE.lower()


def vault(get_variable: Callable[[str], str | None] = lambda name: Variable.get(name, default=None)) -> Vault:
    """The vault; Misconfigured says how to make a key where there is none."""
    text = os.environ.get(KEYS_VARIABLE) or get_variable(AIRFLOW_VARIABLE) or ""
    ring = KeyRing.parse(text)
    for entry in text.replace(",", " ").split():
        mask_secret(entry.partition(":")[2])
    return Vault(ring)
