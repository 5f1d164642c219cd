"""Prepare one CRM for the sync: fields, permissions, page layouts, and a look as the integration user; or take it back.

`preflight` → `plan_provisioning` → `apply_provisioning` → `verify_provisioning`

- **preflight** looks whether the CRM lets this work at all: log-in, rights, limits, rules. A problem ends the run here.
- **plan** compares the fields that GPTWeb needs with those that the CRM has, and changes nothing. A field that exists
  with another type is refused here; the log says which, and what to do.
  What changed in the CRM since provisioning made it is told as "Drifted since …".
- **apply** creates what is missing: fields, the permission set of the integration user, the read-only one of the sales
  people with its assignments, and a section "GPTWeb Insights" on the page layouts.
- **verify** describes the objects as that user. If everything is there, the connection counts as provisioned and its
  sync DAG gets its schedule: the first run begins by itself within a minute.

Running it again plans nothing and changes nothing. **Dry run** ends after the plan.

**Remove** takes it back instead: `plan_removal` → `approve_removal` → `apply_removal`. The list is shown under Browse →
Required Actions; what is approved there is removed and nothing else; without an answer in a day nothing is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from crm_airflow.operators.preflight_operator import PreflightOperator
from crm_airflow.operators.provision_apply_operator import ProvisionApplyOperator
from crm_airflow.operators.provision_plan_operator import ProvisionPlanOperator
from crm_airflow.operators.provision_verify_operator import ProvisionVerifyOperator
from crm_airflow.operators.removal_apply_operator import RemovalApplyOperator
from crm_airflow.operators.removal_approve_operator import RemovalApproveOperator
from crm_airflow.operators.removal_plan_operator import RemovalPlanOperator, skip_unless
from crm_sync.ledger import snapshot

FORM = {
    name: Param(False, type="boolean", title=title, description=description)
    for name, title, description in (
        ("dry_run", "Dry run", "Plan and report; change nothing."),
        ("remove", "Remove", "Take back what provisioning made, after approval."),
    )
}
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)


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
        dagrun_timeout=timedelta(hours=60),  # a day for the answer, 36 hours for pauses
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync", "execution_timeout": AN_HOUR},
        params=FORM,
        tags={"crm", "crm-provisioning", connection.vendor, name},
    ) as dag:
        dry: dict[str, Any] = {"connection": name, "plan_only": dag.param("dry_run")}
        making, taking = skip_unless("remove", False), skip_unless("remove", True)
        preflight = PreflightOperator(task_id="preflight", connection=name, pre_execute=making)
        plan = ProvisionPlanOperator(task_id="plan_provisioning", **dry)
        run: dict[str, Any] = {"connection": name, "run_id": plan.output}
        apply = ProvisionApplyOperator(task_id="apply_provisioning", **run)
        preflight >> plan >> apply >> ProvisionVerifyOperator(task_id="verify_provisioning", **run)

        listed = RemovalPlanOperator(task_id="plan_removal", pre_execute=taking, **dry)
        run = {"connection": name, "run_id": listed.output}
        approve = RemovalApproveOperator(task_id="approve_removal", response_timeout=A_DAY, **run)
        RemovalApplyOperator(task_id="apply_removal", answer=approve.output, **run)
    return dag


for entry in snapshot.read():
    globals()[f"crm_provision__{entry.name}"] = provision_dag(entry)
