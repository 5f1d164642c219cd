"""Look whether one CRM will let provisioning and the sync work; change nothing.

`preflight`

Each check gives one line in the log: what was checked, the result, the evidence, and what to do.

- **problem**: provisioning or the sync is impossible until it is mended; the task is red, and its message names them all.
- **warning**: it works, but something will be refused or missed.
- **not known**: Salesforce does not tell it to this user; the line says where a person looks.

It costs three API calls. Provisioning begins with the same task. What is checked, and the least rights that suffice:
docs/permissions.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from crm_airflow.operators.preflight_operator import PreflightOperator
from crm_sync.ledger import snapshot


def preflight_dag(connection: snapshot.ConnectionSnapshot) -> DAG:
    """The preflight of one connection."""
    name = connection.name
    with DAG(
        f"crm_preflight__{name}",
        dag_display_name=f"CRM preflight: {name}",
        description=f"Checks whether {name} ({connection.vendor}) lets provisioning and the sync work.",
        doc_md=__doc__,
        schedule=None,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=36),  # a pause may take a day; it is not counted in a task's own hour
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync", "execution_timeout": timedelta(hours=1)},
        tags={"crm", "crm-preflight", connection.vendor, name},
    ) as dag:
        PreflightOperator(task_id="preflight", connection=name)
    return dag


for entry in snapshot.read():
    globals()[f"crm_preflight__{entry.name}"] = preflight_dag(entry)
