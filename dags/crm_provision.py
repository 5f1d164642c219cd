"""Prepare one CRM for the sync: fields, permissions, and a look as the integration user.

`preflight` → `plan_provisioning` → `apply_provisioning` → `verify_provisioning`

- **preflight** looks whether the CRM lets this work at all: log-in, rights, limits, rules. A problem ends the run here.
- **plan** compares the fields that GPTWeb needs with those that the CRM has, and changes nothing. A field that exists
  with another type is refused here; the log says which, and what to do.
- **apply** creates what is missing: fields, the permission set, its permissions, its assignment to the integration user.
- **verify** describes the objects as that user. If everything is there, the connection counts as provisioned and its
  sync DAG gets its schedule: the first run begins by itself within a minute.

Running it again plans nothing and changes nothing. **Dry run** ends after the plan.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from airflow.sdk import DAG, Param

from crm_airflow.operators.preflight_operator import PreflightOperator
from crm_airflow.operators.provision_apply_operator import ProvisionApplyOperator
from crm_airflow.operators.provision_plan_operator import ProvisionPlanOperator
from crm_airflow.operators.provision_verify_operator import ProvisionVerifyOperator
from crm_sync.ledger import snapshot

FORM = {
    "dry_run": Param(False, type="boolean", title="Dry run", description="Plan and report; change nothing.")
}


def provision_dag(connection: snapshot.ConnectionSnapshot) -> DAG:
    """The provisioning of one connection."""
    name = connection.name
    with DAG(
        f"crm_provision__{name}",
        dag_display_name=f"CRM provisioning: {name}",
        description=f"Creates GPTWeb's fields and permissions in {name} ({connection.vendor}).",
        doc_md=__doc__,
        schedule=None,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=1),
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync"},
        params=FORM,
        tags={"crm", "crm-provisioning", connection.vendor, name},
    ) as dag:
        preflight = PreflightOperator(task_id="preflight", connection=name)
        plan = ProvisionPlanOperator(
            task_id="plan_provisioning", connection=name, plan_only=cast("Any", dag.param("dry_run"))
        )
        run: dict[str, Any] = {"connection": name, "run_id": plan.output}
        apply = ProvisionApplyOperator(task_id="apply_provisioning", **run)
        preflight >> plan >> apply >> ProvisionVerifyOperator(task_id="verify_provisioning", **run)
    return dag


for entry in snapshot.read():
    globals()[f"crm_provision__{entry.name}"] = provision_dag(entry)
