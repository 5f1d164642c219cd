"""Bulk jobs: the line of each, and which intents are under way in it.

Revision ID: 0011
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Two tables; no job is under way yet."""
    for statement in _TABLES:
        op.execute(statement)


def downgrade() -> None:
    """Drop them, unless a job is under way: nobody else could tell what becomes of its rows."""
    op.execute("""do $$ begin
      if exists (select 1 from crm_sync.job where ended_at is null) then
        raise exception 'a bulk job is under way: let a sync end it first';
      end if;
    end $$""")
    op.execute("drop table crm_sync.job_row")
    op.execute("drop table crm_sync.job")


_TABLES = (
    # their_id stays null until the CRM has opened the job; nothing is written there before that is stored here.
    """
create table crm_sync.job (
  job_id bigint generated always as identity primary key,
  connection text not null references crm_sync.connection (name),
  object text not null,
  op text not null check (op in ('create', 'update')),
  run_id bigint not null references crm_sync.run (run_id),
  their_id text,
  rows integer not null default 0,
  looked_at timestamptz,
  looked_recv bigint,
  opened_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  end_state text
)""",
    "create index job_under_way on crm_sync.job (connection) where ended_at is null",
    # A row stands here as long as nobody knows what the job made of it.
    """
create table crm_sync.job_row (
  intent_id uuid primary key,
  job_id bigint not null references crm_sync.job (job_id),
  our_version bigint not null,
  seen_recv bigint not null,
  parent text,
  waits boolean not null
)""",
    "create index job_row_of_job on crm_sync.job_row (job_id)",
)
