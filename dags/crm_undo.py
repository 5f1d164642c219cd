"""Take back what runs of one CRM connection wrote: by run, by record, by field, by time.

`open_undo` → `plan_undo` → `apply_undo` → `sync_now` → `settle`

- **Shown first**: `plan_undo` says what would be put back, what is kept because somebody changed it since, and what can't be
  undone and why. It waits for your answer, on its run's page in CRM Sync or under Browse → Required Actions; without a yes nothing happens.
- **In GPTWeb's records alone**: the values before are written here, and the next sync carries them into the CRM, with its usual
  checks. **Sync now** starts that at once.
- **A later edit is kept**, on whichever side, also one that was made between the plan and the answer.
- **Records that were made** are taken away only with *Remove records*: ours go into the archive, theirs into the recycle bin.
- **An undo is a run**, with its own lines in `crm_sync.audit_trail`: give its number here, and it is undone itself.
- **What can be undone and what not**, with examples: docs/undo-and-backfill.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from crm_airflow.operators.removal_plan_operator import skip_unless
from crm_airflow.operators.settle_operator import SettleOperator
from crm_airflow.operators.sync_trigger_operator import SyncTriggerOperator
from crm_airflow.operators.undo_apply_operator import UndoApplyOperator
from crm_airflow.operators.undo_open_operator import UndoOpenOperator
from crm_airflow.operators.undo_plan_operator import UndoPlanOperator
from crm_sync.ledger import snapshot
from crm_sync.model import OBJECTS

WHAT = {
    "runs": Param(None, type=["null", "string", "integer", "array"], title="Runs", description="Numbers, with commas."),
    "record": Param(None, type=["null", "string"], title="Record", description="Our id, or the CRM's of 18 characters."),
    "objects": Param(
        list(OBJECTS), type=["null", "array"], items={"type": "string", "enum": list(OBJECTS)}, examples=list(OBJECTS),
        title="Objects", description="Empty: all of them.",
    ),
    "fields": Param(
        None, type=["null", "string", "array"], title="Fields", description="GPTWeb's columns, with commas. Empty: all."
    ),
    "since": Param(None, type=["null", "string"], format="date-time", title="Written from", description="A time."),
    "until": Param(None, type=["null", "string"], format="date-time", title="Written before", description="A time."),
    "removals": Param(False, type="boolean", title="Remove records", description="Take away those that were made, too."),
}  # fmt: skip
HOW = {
    "dry_run": Param(False, type="boolean", title="Dry run", description="Plan and report; ask nobody, write nothing."),
    "approve": Param(
        None, type=["null", "string"], title="Approve", description="The digest that a dry run told: nobody is asked then."
    ),
    "read_first": Param(
        True, type="boolean", title="Read first", description="Look for new edits in the CRM, with one call."
    ),
    "sync_now": Param(False, type="boolean", title="Sync now", description="Start the sync that carries it at once."),
}  # fmt: skip


def undo_dag(connection: snapshot.ConnectionSnapshot) -> DAG:
    """The undo of one connection."""
    name = connection.name
    with DAG(
        f"crm_undo__{name}",
        dag_display_name=f"CRM undo: {name}",
        description=f"Takes back what runs of {name} ({connection.vendor}) wrote, where nobody changed it since.",
        doc_md=__doc__,
        schedule=None,
        start_date=datetime(2025, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=60),  # a day and more for the answer, a day for a pause
        is_paused_upon_creation=False,
        default_args={"owner": "crm-sync", "execution_timeout": timedelta(hours=6)},
        params=WHAT | HOW,
        tags={"crm", "crm-undo", connection.vendor, name},
    ) as dag:
        form: dict[str, Any] = {field: dag.param(field) for field in dag.params}
        what = {field: form[field] for field in (*WHAT, "approve")}
        opened = UndoOpenOperator(task_id="open_undo", connection=name, plan_only=form["dry_run"], **what)
        run: dict[str, Any] = {"connection": name, "run_id": opened.output}
        plan = UndoPlanOperator(task_id="plan_undo", read_first=form["read_first"], **run)
        apply = UndoApplyOperator(task_id="apply_undo", **run)
        asked = skip_unless("sync_now", True)
        carry = SyncTriggerOperator(task_id="sync_now", connection=name, pre_execute=asked)
        opened >> plan >> apply >> carry >> SettleOperator(task_id="settle", **run)
    return dag


for entry in snapshot.read():
    globals()[f"crm_undo__{entry.name}"] = undo_dag(entry)
