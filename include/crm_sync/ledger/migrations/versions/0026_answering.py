"""Answering on our own page: what a plan would do is kept with its question.

Revision ID: 0026
"""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add two columns, empty for what was asked before, and an index."""
    op.execute(
        "alter table crm_sync.approval add column counts jsonb not null default '{}', add column calls bigint"
    )
    op.execute("create index approval_of_run on crm_sync.approval (run_id, approval_id)")


def downgrade() -> None:
    """Drop them; the counts are in the question that Airflow keeps."""
    op.execute("drop index crm_sync.approval_of_run")
    op.execute("alter table crm_sync.approval drop column counts, drop column calls")
