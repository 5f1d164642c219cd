"""Rows of bulk jobs are stored by the engine alone, in the transaction that holds the job: no check per row.

Revision ID: 0018
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Drop the check (adr/0006 dropped those of the tables beside it)."""
    op.execute("alter table crm_sync.job_row drop constraint job_row_job_id_fkey")


def downgrade() -> None:
    """Bring it back."""
    op.execute("alter table crm_sync.job_row add foreign key (job_id) references crm_sync.job (job_id)")
