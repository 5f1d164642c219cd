"""Approval: the plans that a person was asked about, and the answers.

Revision ID: 0015
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add the table; a plan that waits in the former way is made again, and asked about in this one."""
    # work: what the plan was made from; while that is the same, a rejected plan is not made again.
    op.execute("""
create table crm_sync.approval (
  approval_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  run_id bigint not null references crm_sync.run (run_id),
  digest text not null,
  reasons text[] not null,
  work text not null,
  asked_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  answer text check (answer in ('approved', 'rejected', 'expired', 'withdrawn')),
  answered_at timestamptz,
  answered_by text)""")
    op.execute("create unique index approval_open on crm_sync.approval (run_id) where answer is null")
    op.execute("create index approval_newest on crm_sync.approval (connection, approval_id)")
    op.execute(
        "update crm_sync.run set state = 'refused', message = 'its plan was not approved before this release; the next run "
        "plans anew' where state = 'waiting_approval' and kind <> 'provision'"
    )


def downgrade() -> None:
    """Drop it: what waits is planned again."""
    op.execute("drop table crm_sync.approval")
