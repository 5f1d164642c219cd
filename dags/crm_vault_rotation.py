"""Give the vault a new key: every stored token is sealed anew under the first key of the ring.

`rotate_vault`

1. Make a key: `python -m crm_sync vault new-key`.
2. Put it **behind** the others into `CRM_SYNC_VAULT_KEYS` (or the secrets backend) of every process of Airflow, and restart
   them one after the other. From here on all can read what it seals.
3. Move it **before** the others, and restart them again. From here on new tokens are sealed with it, old ones are still read.
4. Trigger this DAG. It seals one row after the other, each under its lock; syncs go on meanwhile.
5. When it is green, take the old key out of the ring.

Triggering it again changes nothing. `python -m crm_sync vault rotate` does the same without Airflow.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from crm_airflow.operators.vault_rotation_operator import VaultRotationOperator

with DAG(
    "crm_vault_rotation",
    dag_display_name="CRM vault: rotate keys",
    description="Seals the stored tokens of all connections under the vault's newest key.",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    is_paused_upon_creation=False,
    default_args={"owner": "crm-sync"},
    tags={"crm", "crm-vault"},
) as crm_vault_rotation:
    VaultRotationOperator(task_id="rotate_vault")
