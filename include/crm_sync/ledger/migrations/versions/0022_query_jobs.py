"""Query jobs: the job that reads an object for a run, so that another try goes on with it.

Revision ID: 0022
"""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the table; a read that is under way begins again."""
    op.execute("""
create table crm_sync.query_job (
  run_id bigint not null references crm_sync.run (run_id),
  object text not null,
  mapping text not null,
  job_id text not null,
  sent_no bigint not null,
  began timestamptz not null,
  read_start timestamptz not null,
  primary key (run_id, object))""")


def downgrade() -> None:
    """Drop it: a read that is under way begins again."""
    op.execute("drop table crm_sync.query_job")
